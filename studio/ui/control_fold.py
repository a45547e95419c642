"""Control pictures of a tab: pictures whose shapes steer the run, what is done to them first, how firmly they act."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component
from PIL import Image

from studio.requests import MAX_CONTROLS, Controlled, ControlUse, Inpaint
from studio.ui import components
from studio.ui.addon_choice import addon_choices
from studio.ui.form import Form
from studio.ui.tabs.tab import QUICK, Page
from studio.ui.texts import text
from studio.ui.well_routes import example_files
from studio.ui.wells import picture_well, read_well, stored_well

_FIRST = "create_control_first"
_PREPARED = ("none", "canny", "invert")
_PAINTED = "inpaint"  # offered where a part is painted
_FURTHER = ("create_control_second", "create_control_third")
_HOW = ("net", "preprocessor", "scale", "start", "end")
_PLACES = range(2, MAX_CONTROLS + 1)


@dataclass(frozen=True, slots=True)
class ControlPictures:
    """The controls of a tab's control pictures. How the first acts is among the tab's own form.

    Attributes:
        wells: One for each picture.
        further: How the second, the third ... acts.
        read_picture: Content hash -> picture; raises InvalidPicture.
    """

    wells: tuple[gr.HTML, ...]
    further: tuple[Form, ...]
    read_picture: Callable[[str], Image.Image]

    @property
    def inputs(self) -> dict[str, Component]:
        """The controls by the name `read` knows them under."""
        found: dict[str, Component] = {"control": self.wells[0]}
        for place, well, form in zip(_PLACES, self.wells[1:], self.further, strict=True):
            found[f"control{place}"] = well
            found |= {f"{name}{place}": form.controls[name] for name in _names()}
        return found

    @property
    def names(self) -> list[str]:
        """The request's fields behind the controls."""
        return ["control", *["more_controls"] * (len(self.inputs) - 1)]

    def read(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the request's fields; empty wells are left out. Raises InvalidRequest."""
        more = []
        for place in _PLACES:
            picture = _picture(values.get(f"control{place}"))
            if picture is not None:
                how = {part: values[f"{name}{place}"] for part, name in zip(_HOW, _names(), strict=True)}
                more.append({"picture": picture, **{k: v for k, v in how.items() if v is not None}})
        return {"control": _picture(values.get("control")), "more_controls": more}

    def fill(self, request: Controlled) -> list[Any]:
        """Return a value for every control; a picture that is gone leaves its well empty."""
        filled = [self._well(request.control)]
        for place in range(len(self.further)):
            use = request.more_controls[place] if place < len(request.more_controls) else None
            shown = use or ControlUse(picture="0" * 64)
            filled += [self._well(use.picture if use else None), *(getattr(shown, part) for part in _HOW)]
        return filled

    def _well(self, ref: str | None) -> dict[str, Any]:
        return stored_well((ref,) if ref else (), self.read_picture)


def control_fold(page: Page, tab: str, form: Form, *, name: str, classes: Sequence[str] = ()) -> ControlPictures:
    """Lay out and wire the fold.

    Args:
        form: Of requests that take control pictures; how the first acts is added to it.
        name: What the ids of the fold and its controls begin with.
        classes: Of the fold.
    """
    further = tuple(Form(form.request) for _ in _FURTHER)
    with gr.Accordion(text("create_control"), open=False, elem_id=f"{name}-fold", elem_classes=["fold", *classes]):
        with gr.Column(visible=_is_empty(page), min_width=0) as nothing_here:
            components.piece("label", "create_control_none", elem_classes=["craft-empty"])
        wells = [_one(page, form, name)]
        for place, title, settings in zip(_PLACES, _FURTHER, further, strict=True):
            with gr.Accordion(text(title), open=False, elem_id=f"{name}-{place}", elem_classes=["fold"]):
                wells.append(_one(page, settings, f"{name}{place}"))

    def again() -> list[Any]:
        """ControlNets come and go in the Models tab."""
        choices = addon_choices(page.studio.settings, "controlnet", none=_FIRST)
        return [gr.Column(visible=len(choices) == 1), *[gr.Dropdown(choices=choices)] * len(wells)]

    nets = [one.controls["control_net"] for one in (form, *further)]
    page.tabs[tab].select(again, None, [nothing_here, *nets], **QUICK)
    return ControlPictures(tuple(wells), further, page.studio.pictures.get)


def _one(page: Page, form: Form, name: str) -> gr.HTML:
    """Lay out one control picture and how it acts; returns its well."""
    examples = [it for it in example_files() if not it.startswith("style-")]
    well = picture_well("create_control_picture", examples=examples, elem_id=f"{name}-picture")
    choices = addon_choices(page.studio.settings, "controlnet", none=_FIRST)
    form.dropdown("control_net", choices, value="", elem_id=f"{name}-net")
    ways = (*_PREPARED, _PAINTED) if issubclass(form.request, Inpaint) else _PREPARED
    prepared = [(text(f"create_prepare_{it}"), it) for it in ways]
    form.radio("control_preprocessor", prepared, value="none", elem_classes=["pills"], elem_id=f"{name}-prepare")
    form.slider("control_scale", elem_id=f"{name}-scale")
    with gr.Row():
        form.slider("control_start", min_width=120)
        form.slider("control_end", min_width=120)
    return well


def _names() -> list[str]:
    return [f"control_{part}" for part in _HOW]


def _picture(well: Any) -> str | None:
    return next(iter(read_well(well).refs), None)


def _is_empty(page: Page) -> bool:
    return len(addon_choices(page.studio.settings, "controlnet", none=_FIRST)) == 1
