"""What the Create tab asks for, as one form: the request's fields, ready-made styles by name, control pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from studio.errors import InvalidRequest, UnknownName
from studio.requests import MAX_PROMPT, Request, StyleWords, TextToImage, parse
from studio.stylize.presets import StylePreset, apply_presets
from studio.ui.control_fold import ControlPictures
from studio.ui.form import Form


class CreateForm(Form):
    """The form of TextToImage requests. `styles` and `steering` are set once their controls are laid out.

    Args:
        known: Returns the ready-made styles by name.
    """

    styles: gr.Dropdown
    steering: ControlPictures

    def __init__(self, known: Callable[[], Mapping[str, StylePreset]]) -> None:
        super().__init__(TextToImage)
        self._known = known

    @property
    def outputs(self) -> list[Component]:
        """The controls, in the order of `fill`'s values."""
        return [*super().outputs, self.styles, *self.steering.inputs.values()]

    @property
    def names(self) -> list[str]:
        """The request's fields behind `outputs`."""
        return [*self.controls, "styles", *self.steering.names]

    @property
    def inputs(self) -> dict[str, Component]:
        """All controls by the name `read` knows them under."""
        return {**self.controls, "styles": self.styles, **self.steering.inputs}

    def read(self, values: dict[str, Any]) -> Request:
        """Return the request; raises InvalidRequest, also for a style that is gone."""
        given = {name: values[name] for name in self.controls if values[name] is not None}
        styles = self._chosen(values.get("styles") or ())
        return parse({"kind": "text_to_image", **given, "styles": styles, **self.steering.read(values)})

    def fill(self, recipe: dict[str, Any]) -> list[Any]:
        """Return a value for every control from a stored recipe.

        A style that is no longer here, or has other words now, is put into the prompt, so that the recipe means what
        it meant.
        """
        try:
            request = parse({k: v for k, v in recipe.items() if k in TextToImage.model_fields})
        except InvalidRequest:
            return [gr.skip()] * len(self.outputs)
        assert isinstance(request, TextToImage)
        known = self._known()
        here = [style.name for style in request.styles if _same(known.get(style.name), style)]
        gone = [StylePreset(**style.model_dump()) for style in request.styles if style.name not in here]
        prompt, negative = apply_presets(gone, request.prompt, request.negative_prompt)
        if len(prompt) <= MAX_PROMPT and len(negative) <= MAX_PROMPT:
            request = request.model_copy(update={"prompt": prompt, "negative_prompt": negative})
        return [*super().fill(request.model_dump(mode="json")), here, *self.steering.fill(request)]

    def _chosen(self, names: Any) -> list[StyleWords]:
        known = self._known()
        for name in names:
            if name not in known:
                raise UnknownName("style", str(name), known, field="styles")
        return [StyleWords(**known[name].model_dump()) for name in names]


def _same(known: StylePreset | None, style: StyleWords) -> bool:
    return known is not None and (known.prompt, known.negative_prompt) == (style.prompt, style.negative_prompt)
