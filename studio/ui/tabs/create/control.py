"""The control picture: a picture whose shapes steer the run, what is done to it first, and how firmly it acts."""

from __future__ import annotations

import gradio as gr

from studio.ui import components
from studio.ui.addon_choice import addon_choice, addon_choices
from studio.ui.tabs.create.form import CreateForm
from studio.ui.tabs.tab import QUICK, Page
from studio.ui.texts import text
from studio.ui.well_routes import example_files
from studio.ui.wells import picture_well

_FIRST = "create_control_first"
_PREPARED = ("none", "canny", "invert")


def control_fold(page: Page, tab: str, form: CreateForm) -> None:
    """Lay out and wire the fold, the form's control picture included."""
    examples = [name for name in example_files() if not name.startswith("style-")]
    with gr.Accordion(text("create_control"), open=False, elem_id="control-fold", elem_classes=["fold"]):
        form.control = picture_well("create_control_picture", examples=examples, elem_id="control-picture")
        with gr.Column(visible=_is_empty(page), min_width=0) as nothing_here:
            components.piece("label", "create_control_none", elem_classes=["craft-empty"])
        addon_choice(page, tab, form, "control_net", "controlnet", none=_FIRST, visible=True, elem_id="control-net")
        prepared = [(text(f"create_prepare_{name}"), name) for name in _PREPARED]
        form.radio("control_preprocessor", prepared, value="none", elem_classes=["pills"], elem_id="control-prepare")
        form.slider("control_scale", elem_id="control-scale")
        with gr.Row():
            form.slider("control_start", min_width=120)
            form.slider("control_end", min_width=120)
    page.tabs[tab].select(lambda: gr.Column(visible=_is_empty(page)), None, [nothing_here], **QUICK)


def _is_empty(page: Page) -> bool:
    return len(addon_choices(page.studio.settings, "controlnet", none=_FIRST)) == 1
