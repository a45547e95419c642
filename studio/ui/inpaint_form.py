"""What the Inpaint tab asks for, as one form: a canvas, how to fill the mask, sides to extend, and the settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from studio.errors import InvalidRequest
from studio.fields import field_spec
from studio.inpaint.methods import METHODS, Method
from studio.requests import Inpaint, Request, parse
from studio.ui.canvas.canvas import read_canvas, show
from studio.ui.control_fold import ControlPictures
from studio.ui.form import Form
from studio.ui.presets import NO_MODEL, quality_choices, quality_of, scheduler_choices
from studio.ui.studio import ModelCard
from studio.ui.texts import text

SIDES = ("left", "top", "right", "bottom")
EDGE = ("grow", "feather")
_MOST_ADDED = 2048  # pixels on one side, as requests.Extension


@dataclass(frozen=True, slots=True)
class Asked:
    """The controls beside the settings: the canvas, and pixels to add on the left, top, right and bottom."""

    canvas: gr.HTML
    sides: tuple[gr.Number, ...]


class InpaintForm(Form):
    """The form of Inpaint requests. `asked` and `steering` are set once their controls are laid out.

    Args:
        listed: Lists the models there are at this moment.
    """

    asked: Asked
    steering: ControlPictures

    def __init__(self, listed: Callable[[], Sequence[ModelCard]]) -> None:
        super().__init__(Inpaint)
        self._listed = listed

    @property
    def cards(self) -> list[ModelCard]:
        """The models there are."""
        return list(self._listed())

    @property
    def methods(self) -> list[Method]:
        """The methods to offer: drawing tokens only where a model has a prior for it."""
        return [method for method in METHODS if method.name != "tokens" or self.models_for(method.name)]

    @property
    def method_choices(self) -> list[tuple[Any, str]]:
        """(title, name) of the methods to offer."""
        return [(text(f"fill_{method.name}"), method.name) for method in self.methods]

    def models_for(self, method: str) -> list[ModelCard]:
        """Return the models that suit a method, the best first: for masks made ones, priors for tokens."""
        fitting = [it for it in self.cards if it.draws_tokens == (method == "tokens") and not it.is_stock]
        return sorted(fitting, key=lambda card: not card.is_inpainting)

    def model_choices(self, method: str) -> list[tuple[str, str]]:
        """Return (title, id) of the models that suit a method."""
        return [(card.title, card.id) for card in self.models_for(method) or [NO_MODEL]]

    def card(self, model_id: str) -> ModelCard:
        """Return the card of a model; one that knows nothing where there is none."""
        return next((card for card in self.cards if card.id == model_id), NO_MODEL)

    def colour(self, name: str, **look: Any) -> gr.ColorPicker:
        """Add a colour."""
        return self._add(name, gr.ColorPicker(field_spec(Inpaint, name).default, **{**self._words(name), **look}))

    @property
    def inputs(self) -> dict[str, Component]:
        """All controls by the name `read` knows them under; the canvas first, whose strokes its `flush_js` awaits."""
        sides = dict(zip(SIDES, self.asked.sides, strict=True))
        return {"canvas": self.asked.canvas, **self.controls, **sides, **self.steering.inputs}

    @property
    def outputs(self) -> list[Component]:
        """The controls, in the order of `fill`'s values. The canvas is not one: it keeps its own work."""
        return [*super().outputs, *self.asked.sides, *self.steering.inputs.values()]

    @property
    def names(self) -> list[str]:
        """The request's fields behind `outputs`."""
        return [*self.controls, *["extend"] * len(SIDES), *self.steering.names]

    def read(self, values: dict[str, Any]) -> Request:
        """Return the request; raises InvalidRequest in plain words."""
        canvas, extend = read_canvas(values["canvas"]), extension(values)
        if canvas.source is None:
            raise InvalidRequest(
                "There is no picture yet.", "Drop one on the canvas, paste one, or take one from the gallery."
            )
        if canvas.mask is None and not any(extend):
            raise InvalidRequest(
                "Paint the part to change.", "Nothing is painted yet. Or extend a side of the picture."
            )
        given = {name: values[name] for name in self.controls if values[name] is not None}
        given["fill_colour"] = as_hex(given["fill_colour"])
        if given["method"] == "diffusion":  # the others take no control picture, and hide it
            given |= self.steering.read(values)
            if given["control_preprocessor"] == "inpaint" and given["control"] is None:
                given["control"] = canvas.source  # it is what such a network was made to see
        return parse({**given, "kind": "inpaint", "source": canvas.source, "mask": canvas.mask, "extend": extend})

    def fill(self, recipe: dict[str, Any]) -> list[Any]:
        """Return a value for every control but the canvas from a stored recipe; damaged recipes change nothing."""
        request = _stored(recipe)
        if request is None:
            return [gr.skip()] * len(self.outputs)
        values = dict(zip(self.controls, super().fill(recipe), strict=True))
        if request.method not in [method.name for method in self.methods]:
            values["method"] = gr.skip()
        choices = self.model_choices(request.method)
        if request.model in dict(choices).values():
            values["model"] = gr.Dropdown(choices, value=request.model)
            values["scheduler"] = _scheduler(self.card(request.model), request.scheduler)
        else:
            values["model"] = values["scheduler"] = gr.skip()
        return [*values.values(), *request.extend, *self.steering.fill(request)]

    def recall(self, recipe: dict[str, Any]) -> list[Any]:
        """Return `fill`'s values, and that of the canvas: the picture and the mask of the recipe."""
        request = _stored(recipe)
        canvas = gr.skip() if request is None else show(request.source, request.mask)
        return [*self.fill(recipe), canvas]


def edge_of(method: Method) -> list[int]:
    """Return how far a method's mask is grown and feathered unless the artist says otherwise, in pixels."""
    return [method.suits.get(name, field_spec(Inpaint, name).default) for name in EDGE]


def standard_of(card: ModelCard) -> list[Any]:
    """Return what a model brings along: quality choices and its standard steps, guidance and scheduler."""
    standard = quality_of(card, "standard")
    return [
        gr.Radio(quality_choices(card), value="standard" if "standard" in card.qualities else None),
        standard.steps,
        standard.guidance_scale,
        _scheduler(card, standard.scheduler),
    ]


def _scheduler(card: ModelCard, chosen: str) -> Any:
    choices = scheduler_choices(card)
    return gr.Dropdown(choices, value=chosen if chosen in dict(choices).values() else choices[0][1])


def as_hex(colour: str) -> str:
    """Return a colour as "#rrggbb"; pickers say it as "rgba(r, g, b, a)" too. Anything else is left for `parse`."""
    found = re.fullmatch(r"rgba?\(([\d.]+),\s*([\d.]+),\s*([\d.]+)(?:,\s*[\d.]+)?\)", colour)
    return colour if found is None else "#" + "".join(f"{min(round(float(it)), 255):02x}" for it in found.groups())


def extension(values: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the pixels to add on the left, top, right and bottom; raises InvalidRequest, naming the side."""
    added = []
    for side in SIDES:
        pixels = values[side] or 0
        if not 0 <= pixels <= _MOST_ADDED or pixels != int(pixels):
            raise InvalidRequest(
                f"The {side} side cannot be extended by {pixels:g} pixels.",
                f"Choose a whole number between 0 and {_MOST_ADDED}.",
                field="extend",
            )
        added.append(int(pixels))
    return tuple(added)


def choices(prefix: str, names: tuple[str, ...]) -> list[tuple[Any, str]]:
    """Return (title, name) of each of `names`; the keys of the titles are `<prefix>_<name>`."""
    return [(text(f"{prefix}_{name}"), name) for name in names]


def _stored(recipe: dict[str, Any]) -> Inpaint | None:
    try:
        request = parse({name: value for name, value in recipe.items() if name in Inpaint.model_fields})
    except InvalidRequest:
        return None
    return request if isinstance(request, Inpaint) else None
