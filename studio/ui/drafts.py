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
        places = [(form, key) for form, inputs in self._forms.items() for key in inputs]
        shown = [self._forms[form][key] for form, key in places]
        name = gr.Textbox(visible=False)  # the page's own name, put in by the script
        kept = gr.JSON(visible=False)  # what comes back, by its place in `shown`; the script puts it in

        def restore(page: str, request: gr.Request) -> dict[str, Any]:
            owner, found = sessions.of(request), {}
            for form in self._forms:
                found[form] = drafts.find(owner, form, page=page or "") or {}
            values = enumerate(found[form].get(key) for form, key in places)
            return {str(i): _shown(shown[i], value) for i, value in values if _fits(shown[i], value)}

        texts = {
            component.elem_id: (form, key)
            for form, inputs in self._forms.items()
            for key, component in inputs.items()
            if isinstance(component, gr.Textbox) and component.elem_id
        }
        blocks.load(None, shown, None, js="(...values) => { tessera.drafts.found(values); }")
        opened = blocks.load(restore, [name], [kept], js=f"() => tessera.drafts.open({json.dumps(texts)})", **_QUIET)
        merge = f"(kept, ...values) => tessera.drafts.merged({json.dumps(places)}, kept, values)"
        filled = opened.then(None, [kept, *shown], shown, js=merge)
        filled.then(None, None, None, js="() => { tessera.drafts.begin(); }")
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


def _fits(component: Component, value: Any) -> bool:
    """Tell whether `component` can still show `value`: a model may be gone, a bound may have moved."""
    if isinstance(component, gr.Dropdown | gr.Radio):
        choices = [choice[1] if isinstance(choice, tuple) else choice for choice in component.choices or []]
        return value in choices if isinstance(value, str | int | float) else False
    if isinstance(component, gr.Slider | gr.Number):
        low, high = component.minimum, component.maximum
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and (low is None or value >= low) and (high is None or value <= high)
    if isinstance(component, gr.Checkbox):
        return isinstance(value, bool)
    if isinstance(component, gr.Textbox):
        return isinstance(value, str)
    return isinstance(component, gr.HTML) and isinstance(value, dict)


def _shown(component: Component, value: Any) -> Any:
    """Return `value` as `component` shows it: canvases keep more in the browser."""
    return {**value, "kept": True} if isinstance(component, gr.HTML) and "source" in value else value
