"""The page put together: the header, and one `gr.Tab` for each of `TABS`."""

from __future__ import annotations

import gradio as gr

from studio.ui import components
from studio.ui.api import add_api
from studio.ui.sends import Sends
from studio.ui.session import Sessions
from studio.ui.studio import Studio
from studio.ui.tabs import codebook, create, gallery
from studio.ui.tabs.tab import Page, Tab
from studio.ui.texts import text

TITLE = "Tessera Studio"
TABS: tuple[Tab, ...] = (create.TAB, codebook.TAB, gallery.TAB)
_NEED_EXTRAS = frozenset({"codebook"})  # shown where `Studio.extras` has what they work with
_FILES_KEPT_SECONDS = 3600


def build_page(studio: Studio, sessions: Sessions | None = None) -> gr.Blocks:
    """Return the page of `studio`; nothing is loaded or started.

    Args:
        sessions: Tells browsers apart; by default with the key in the data directory.
    """
    sessions = sessions or Sessions.in_folder(studio.settings.data_dir)
    tabs = [tab for tab in TABS if tab.id not in _NEED_EXTRAS or tab.id in studio.extras]
    sends = Sends([tab.id for tab in tabs if tab.receives])
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=(600, _FILES_KEPT_SECONDS), fill_width=True
    ) as blocks:
        page = Page(studio, sessions, blocks, sends)
        add_api(page)  # first, so that no handler takes its name
        components.header()
        with gr.Tabs(elem_id="tabs") as bar:
            for tab in tabs:
                with gr.Tab(text(tab.title), id=tab.id, elem_id=f"tab-{tab.id}") as page.tabs[tab.id]:
                    tab.build(page)
        sends.connect(bar, recipe_of=page.recipe)
    return blocks
