"""What lies unsent on every tab is kept on the server, and is there again after a reload, a restart, a lost network.

A tab names its components once (`Drafting.keep`; `desk.run` does it for every tab that runs jobs). In the browser
`page/drafts.js` gathers their values and sends them a moment after they change; when the page opens, they come back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.components import Component

from studio.state.drafts import Drafts
from studio.ui.session import Sessions

_QUIET: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}


@dataclass(slots=True)
class Drafting:
    """The forms of a page whose inputs are kept.

    Args:
        drafts: Where they are kept; None: nowhere.
    """

    drafts: Drafts | None
    _forms: dict[str, Mapping[str, Component]] = field(default_factory=dict)

    def keep(self, form: str, inputs: Mapping[str, Component]) -> None:
        """Keep the values of `inputs` under the name `form`, by their own names."""
        self._forms[form] = {name: it for name, it in inputs.items() if hasattr(it, "change")}

    def holds(self, form: str, owner: str) -> bool:
        """Tell whether a page of `owner` has, or had, something on `form`."""
        return self.drafts is not None and form in self._forms and self.drafts.find(owner, form) is not None

    def connect(self, blocks: gr.Blocks, sessions: Sessions) -> None:
        """Wire everything; called once, when all tabs are built."""
        drafts = self.drafts
        if drafts is None or not self._forms:
            return
        shown = [it for inputs in self._forms.values() for it in inputs.values()]
        name = gr.Textbox(visible=False)  # the page's own name, put in by the script

        def restore(page: str, request: gr.Request) -> list[Any]:
            owner, values = sessions.of(request), []
            for form, inputs in self._forms.items():
                kept = drafts.find(owner, form, page=page or "") or {}
                values += [_fitting(component, kept.get(key)) for key, component in inputs.items()]
            return values

        texts = {
            component.elem_id: (form, key)
            for form, inputs in self._forms.items()
            for key, component in inputs.items()
            if isinstance(component, gr.Textbox) and component.elem_id
        }
        opened = blocks.load(restore, [name], shown, js=f"() => tessera.drafts.open({json.dumps(texts)})", **_QUIET)
        opened.then(None, None, None, js="() => { tessera.drafts.begin(); }")
        for form, inputs in self._forms.items():
            names = ", ".join(f"'{key}'" for key in inputs)
            gr.on(
                [it.change for it in inputs.values()],  # type: ignore[attr-defined]
                None,
                list(inputs.values()),
                None,
                js=f"(...values) => {{ tessera.drafts.keep('{form}', [{names}], values); }}",
                trigger_mode="multiple",
            )


def _fitting(component: Component, value: Any) -> Any:
    """Return `value` if `component` can still show it: a model may be gone, a bound may have moved."""
    if value is None:
        return gr.skip()
    if isinstance(component, gr.Dropdown | gr.Radio):
        choices = [choice[1] if isinstance(choice, tuple) else choice for choice in component.choices or []]
        fits = value in choices if isinstance(value, str | int | float) else False
    elif isinstance(component, gr.Slider | gr.Number):
        low, high = component.minimum, component.maximum
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = is_number and (low is None or value >= low) and (high is None or value <= high)
    elif isinstance(component, gr.Checkbox):
        fits = isinstance(value, bool)
    elif isinstance(component, gr.Textbox):
        fits = isinstance(value, str)
    elif isinstance(component, gr.HTML):
        fits = isinstance(value, dict)
        value = {**value, "kept": True} if fits and "source" in value else value  # canvases keep more in the browser
    else:
        fits = False
    return value if fits else gr.skip()
