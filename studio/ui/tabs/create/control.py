"""The control picture: a picture whose shapes steer the run, what is done to it first, and how firmly it acts."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.engine.addons import scan_addons
from studio.ui import components
from studio.ui.tabs.create.craft import Craft
from studio.ui.tabs.create.form import CreateForm
from studio.ui.tabs.tab import QUICK, Page
from studio.ui.texts import text
from studio.ui.well_routes import example_files
from studio.ui.wells import picture_well

_PREPARED = ("none", "canny", "invert")


def control_fold(page: Page, craft: Craft, form: CreateForm) -> None:
    """Lay out and wire the fold, the form's control picture included."""
    examples = [name for name in example_files() if not name.startswith("style-")]
    choices = _choices(craft)
    with gr.Accordion(text("create_control"), open=False, elem_id="control-fold", elem_classes=["fold"]):
        form.control = picture_well("create_control_picture", examples=examples, elem_id="control-picture")
        with gr.Column(visible=len(choices) == 1, min_width=0) as none_here:
            components.piece("label", "create_control_none", elem_classes=["craft-empty"])
        form.dropdown("control_net", choices, value="", elem_id="control-net")
        prepared = [(text(f"create_prepare_{name}"), name) for name in _PREPARED]
        form.radio("control_preprocessor", prepared, value="none", elem_classes=["pills"], elem_id="control-prepare")
        form.slider("control_scale", elem_id="control-scale")
        with gr.Row():
            form.slider("control_start", min_width=120)
            form.slider("control_end", min_width=120)

    def look() -> list[Any]:
        """ControlNets come and go in the Models tab."""
        found = _choices(craft)
        return [gr.Dropdown(choices=found), gr.Column(visible=len(found) == 1)]

    page.tabs["create"].select(look, None, [form.controls["control_net"], none_here], **QUICK)


def _choices(craft: Craft) -> list[tuple[Any, str]]:
    found = scan_addons(craft.studio.settings.checkpoint_folders, "controlnet")
    usable = [(f"{it.name} ({it.base})" if it.base else it.name, it.id) for it in found if not it.problem]
    return [(text("create_control_first"), ""), *usable]
