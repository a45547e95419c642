"""A choice of one add-on of a kind: it follows the Models tab, where add-ons come and go."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.engine.addon_keys import BASE_TITLES, Kind
from studio.engine.addons import scan_addons
from studio.settings import Settings
from studio.ui.form import Form
from studio.ui.tabs.tab import QUICK, Page
from studio.ui.texts import text


def addon_choice(page: Page, tab: str, form: Form, name: str, kind: Kind, *, none: str, **look: Any) -> gr.Dropdown:
    """Lay out the choice of field `name`, hidden while there is nothing to choose.

    Args:
        tab: The tab it stands in.
        none: Key of the title of the empty choice.
        look: Passed to the dropdown; `visible=True` shows it always.
    """
    choices = addon_choices(page.studio.settings, kind, none=none)
    visible = look.pop("visible", None)
    control = form.dropdown(name, choices, value="", visible=visible or len(choices) > 1, **look)

    def again() -> gr.Dropdown:
        found = addon_choices(page.studio.settings, kind, none=none)
        return gr.Dropdown(choices=found, visible=visible or len(found) > 1)

    page.tabs[tab].select(again, None, [control], **QUICK)
    return control


def addon_choices(settings: Settings, kind: Kind, *, none: str) -> list[tuple[Any, str]]:
    """Return (title, id) of the usable add-ons of `kind`, after the empty choice."""
    found = [addon for addon in scan_addons(settings.checkpoint_folders, kind) if not addon.problem]
    titles = [(f"{it.name} ({BASE_TITLES[it.base]})" if it.base in BASE_TITLES else it.name, it.id) for it in found]
    return [(text(none), ""), *titles]
