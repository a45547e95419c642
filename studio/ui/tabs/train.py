"""The Train tab, for the studio's owner: own pictures in, a run in its own process, a model out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from studio.errors import InvalidRequest, StudioError
from studio.training.plans import EFFORTS, KINDS, Kind
from studio.training.runs import Runs
from studio.ui import components
from studio.ui.tabs.tab import QUICK, Page, Tab
from studio.ui.texts import text
from studio.ui.wells import picture_well, read_well

_MOST_PICTURES = 50


@dataclass(frozen=True, slots=True)
class TrainDesk:
    """What the tab works with.

    Attributes:
        runs: Begins runs and tells how they go.
        models: Kind -> the folders of the models that can be taught so, by name.
    """

    runs: Runs
    models: Callable[[Kind], Mapping[str, Path]]


def build(page: Page) -> None:
    """Lay out the tab and wire it."""
    desk: TrainDesk = page.studio.extras[TAB.id]
    with gr.Row(elem_classes=["desk"]):
        with gr.Column(elem_classes=["desk-ask"], min_width=0):
            inputs = _ask(desk)
            start = gr.Button(text("train_start"), variant="primary", elem_id="train-start")
            measure = gr.Button(text("train_measure"), size="sm", elem_id="train-measure")
            notice = components.notice()
        with gr.Column(elem_classes=["desk-stage"], min_width=0):
            components.piece("runs", None, scripts=["page/train.js"], elem_id="train-runs")
    _wire(page, desk, inputs, start=start, measure=measure, notice=notice)


def _ask(desk: TrainDesk) -> dict[str, Any]:
    kinds = [(text(f"train_{kind}"), kind) for kind in KINDS if desk.models(kind) or kind == KINDS[0]]
    models = list(desk.models(KINDS[0]))
    asked: dict[str, Any] = {
        "kind": gr.Radio(kinds, value=KINDS[0], label=text("train_kind"), elem_id="train-kind"),
        "pictures": picture_well("train_pictures", holds=_MOST_PICTURES, weighs=False, elem_id="train-pictures"),
        "folder": gr.Textbox(
            label=text("train_folder"), info=text("train_folder_help"), max_lines=1, elem_id="train-folder"
        ),
        "caption": gr.Textbox(
            label=text("train_caption"), info=text("train_caption_help"), max_lines=2, elem_id="train-caption"
        ),
        "name": gr.Textbox(label=text("train_name"), max_lines=1, elem_id="train-name"),
        "effort": gr.Radio(
            [(text(f"train_{effort}"), effort) for effort in EFFORTS], value="standard", label=text("train_effort"),
            elem_classes=["pills"], elem_id="train-effort",
        ),
        "model": gr.Dropdown(
            models, value=models[0] if models else None, label=text("train_model"), elem_id="train-model"
        ),
    }  # fmt: skip
    return asked


def _wire(
    page: Page, desk: TrainDesk, inputs: dict[str, Any], *, start: gr.Button, measure: gr.Button, notice: gr.HTML
) -> None:
    def pictures_of(values: Mapping[str, Any]) -> Any:
        folder = (values["folder"] or "").strip().strip('"')
        if folder:
            return Path(folder).expanduser()
        return [page.studio.pictures.get(ref) for ref in read_well(values["pictures"]).refs]

    def model_of(values: Mapping[str, Any]) -> Path:
        known = desk.models(values["kind"])
        if values["model"] not in known:
            raise InvalidRequest("There is no model to begin with.", "Get or make one first.")
        return known[values["model"]]

    def begin(**values: Any) -> Any:
        try:
            desk.runs.start(
                (values["name"] or "").strip(),
                kind=values["kind"],
                pictures=pictures_of(values),
                model=model_of(values),
                effort=values["effort"],
                caption=(values["caption"] or "").strip(),
            )
        except StudioError as error:
            return components.notice_value(error)

    def probe(**values: Any) -> Any:
        try:
            desk.runs.measure(kind=values["kind"], pictures=pictures_of(values), model=model_of(values))
        except StudioError as error:
            return components.notice_value(error)

    def models(kind: Kind) -> Any:
        known = list(desk.models(kind))
        return gr.Dropdown(known, value=known[0] if known else None)

    start.click(begin, inputs_kwargs=inputs, outputs=[notice], **QUICK)
    measure.click(probe, inputs_kwargs=inputs, outputs=[notice], **QUICK)
    inputs["kind"].input(models, [inputs["kind"]], [inputs["model"]], **QUICK)


TAB = Tab(id="train", title="tab_train", build=build)
