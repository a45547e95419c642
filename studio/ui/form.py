"""Controls derived from a request's fields, and the way from their values to a request and back.

Bounds, defaults, titles and help come from `requests.field_spec`, so the page offers exactly what the
engine accepts. Values travel by field name, never by position.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from studio.errors import InvalidRequest
from studio.fields import field_spec
from studio.requests import Request, parse
from studio.ui.texts import field_text


class Form:
    """The controls of one kind of request, by field name.

    Args:
        request: The request type the controls are for.
    """

    def __init__(self, request: type[Request]) -> None:
        self.request = request
        self.controls: dict[str, Component] = {}

    def slider(self, name: str, *, maximum: float | None = None, value: float | None = None, **look: Any) -> gr.Slider:
        """Add a slider with the field's bounds; `maximum` narrows it to what is sensible on a page."""
        spec = field_spec(self.request, name)
        assert spec.minimum is not None and spec.maximum is not None, f"{name} has no bounds"
        return self._add(
            name,
            gr.Slider(
                spec.minimum,
                min(maximum, spec.maximum) if maximum else spec.maximum,
                value=spec.default if value is None else value,
                step=spec.step,
                **self._words(name),
                **look,
            ),
        )

    def textbox(self, name: str, **look: Any) -> gr.Textbox:
        """Add a text field; its length is checked by the request, which says what is wrong with it."""
        return self._add(name, gr.Textbox(**{**self._words(name), **look}))

    def dropdown(self, name: str, choices: Sequence[tuple[str, str]], **look: Any) -> gr.Dropdown:
        """Add a choice between (title, value) pairs."""
        return self._add(name, gr.Dropdown(list(choices), **{**self._words(name), **look}))

    def radio(self, name: str, choices: Sequence[tuple[Any, str]], **look: Any) -> gr.Radio:
        """Add a choice between (title, value) pairs, all in sight."""
        return self._add(name, gr.Radio(list(choices), **{**self._words(name), **look}))

    def checkbox(self, name: str, **look: Any) -> gr.Checkbox:
        """Add a yes or no."""
        return self._add(name, gr.Checkbox(field_spec(self.request, name).default, **{**self._words(name), **look}))

    def add(self, name: str, control: Component) -> Component:
        """Add a control made by the tab itself."""
        return self._add(name, control)

    @property
    def outputs(self) -> list[Component]:
        """The controls, in the order of `fill`'s values."""
        return list(self.controls.values())

    def read(self, values: dict[str, Any]) -> Request:
        """Return the request the controls describe; raises InvalidRequest in plain words."""
        kind = self.request.model_fields["kind"].default
        return parse({"kind": kind, **{name: values[name] for name in self.controls if values[name] is not None}})

    def fill(self, recipe: dict[str, Any]) -> list[Any]:
        """Return a value for every control from a stored recipe; unknown or damaged fields stay as they are."""
        try:
            request = parse({k: v for k, v in recipe.items() if k in self.request.model_fields})
        except InvalidRequest:
            return [gr.skip()] * len(self.controls)
        known = type(request).model_fields
        return [
            gr.skip() if name not in known
            else str(getattr(request, name)) if isinstance(control, gr.Textbox)
            else getattr(request, name)
            for name, control in self.controls.items()
        ]  # fmt: skip

    def _words(self, name: str) -> dict[str, Any]:
        return {"label": field_text("field", self.request, name), "info": field_text("help", self.request, name)}

    def _add(self, name: str, control: Any) -> Any:
        assert name in self.request.model_fields, f"{self.request.__name__} has no field {name}"
        self.controls[name] = control
        return control
