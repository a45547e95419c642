"""What the Style tab asks for, as one form: two wells, ready-made styles, up to three methods, and the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component
from PIL import Image

from studio.errors import InvalidRequest
from studio.requests import Request, Stylize, parse
from studio.stylize.methods import ALL, METHODS, suggested
from studio.stylize.presets import StylePreset, apply_presets
from studio.ui.control_fold import ControlPictures
from studio.ui.form import Form
from studio.ui.texts import text
from studio.ui.wells import picture_well, read_well, stored_well

AUTOMATIC = ""
_ASKS = ("content", "references", "presets", "first", "second", "third")


@dataclass(frozen=True, slots=True)
class Asked:
    """The controls of what is asked for, beside the settings."""

    content: gr.HTML
    references: gr.HTML
    presets: gr.Dropdown
    methods: tuple[gr.Dropdown, gr.Dropdown, gr.Dropdown]

    @property
    def controls(self) -> list[Component]:
        """All of them, in the order of `_ASKS`."""
        return [self.content, self.references, self.presets, *self.methods]


class StyleForm(Form):
    """The form of Stylize requests. `asked` and `steering` are set once their controls are laid out.

    Args:
        read_picture: Content hash -> picture; raises InvalidPicture.
        presets: Returns the ready-made styles by name.
    """

    asked: Asked
    steering: ControlPictures

    def __init__(
        self, read_picture: Callable[[str], Image.Image], presets: Callable[[], Mapping[str, StylePreset]]
    ) -> None:
        super().__init__(Stylize)
        self._read_picture, self._presets = read_picture, presets

    def wells(self, examples: Sequence[str]) -> tuple[gr.HTML, gr.HTML]:
        """Lay out the wells of the content and of the style pictures; examples called "style-..." are styles."""
        styles = [name for name in examples if name.startswith("style-")]
        contents = [name for name in examples if name not in styles]
        most = next(it.max_length for it in Stylize.model_fields["references"].metadata if hasattr(it, "max_length"))
        return (
            picture_well("style_content", examples=contents, elem_id="style-content"),
            picture_well("style_references", examples=styles, holds=most, elem_id="style-references"),
        )

    @property
    def outputs(self) -> list[Component]:
        """The controls, in the order of `fill`'s values."""
        return [*super().outputs, *self.asked.controls, *self.steering.inputs.values()]

    @property
    def names(self) -> list[str]:
        """The request's fields behind `outputs`."""
        return [*self.controls, *_ASKS, *self.steering.names]

    @property
    def inputs(self) -> dict[str, Component]:
        """All controls by the name `read` knows them under."""
        asks = dict(zip(_ASKS, self.asked.controls, strict=True))
        return {**self.controls, **asks, **self.steering.inputs}

    def read(self, values: dict[str, Any]) -> Request:
        """Return the request; raises InvalidRequest in plain words."""
        return self._request(values, _chain(values))

    def read_all(self, values: dict[str, Any]) -> Request:
        """Return the request that tries every method."""
        return self._request(values, (ALL,))

    def fill(self, recipe: dict[str, Any]) -> list[Any]:
        """Return a value for every control from a stored recipe; pictures that are gone leave their well empty."""
        try:
            request = parse({k: v for k, v in recipe.items() if k in Stylize.model_fields})
        except InvalidRequest:
            return [gr.skip()] * len(self.outputs)
        assert isinstance(request, Stylize)
        references = stored_well(request.references, self._read_picture, request.reference_weights)
        methods = [AUTOMATIC if name == ALL else name for name in request.methods]
        chain = [*methods, *[AUTOMATIC] * (len(self.asked.methods) - len(methods))]
        content = stored_well((request.content,), self._read_picture)
        wells = [content, {**references, "palette": request.palette or None}]
        return [*super().fill(recipe), *wells, [], *chain, *self.steering.fill(request)]

    def _request(self, values: dict[str, Any], methods: tuple[str, ...]) -> Request:
        content, style = read_well(values["content"]), read_well(values["references"])
        if not content.refs:
            raise InvalidRequest("There is no picture yet.", "Choose the picture to give a style.", field="content")
        known = self._presets()
        chosen = [known[name] for name in values["presets"] or () if name in known]
        prompt, negative = apply_presets(chosen, values["prompt"] or "", values["negative_prompt"] or "")
        if methods == (AUTOMATIC,):
            methods = suggested(pictures=bool(style.refs), palette=bool(style.palette))
        is_even = len(set(style.weights)) < 2
        palette = {k: v for k, v in style.palette.items() if k != "colours"}
        given = {name: values[name] for name in self.controls if values[name] is not None}
        return parse(
            {
                **given,
                "kind": "stylize",
                "content": content.refs[0],
                "references": style.refs,
                "reference_weights": () if is_even else style.weights,
                "palette": palette,
                "methods": methods,
                "prompt": prompt,
                "negative_prompt": negative,
                **self.steering.read(values),
            }
        )


def method_choices(*, none: str) -> list[tuple[Any, str]]:
    """Return (title, name) of every method, after `none` (a key) for the choice of no method."""
    return [(text(none), AUTOMATIC), *((text(f"method_{method.name}"), method.name) for method in METHODS)]


def _chain(values: Mapping[str, Any]) -> tuple[str, ...]:
    first, *later = (values[name] or AUTOMATIC for name in ("first", "second", "third"))
    return (first, *(name for name in later if name)) if first else _after_automatic(later)


def _after_automatic(later: Sequence[str]) -> tuple[str, ...]:
    chosen = tuple(name for name in later if name)
    return chosen or (AUTOMATIC,)
