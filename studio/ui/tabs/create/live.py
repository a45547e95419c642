"""What is said while the artist writes: how long the prompt is to the model, and what the run will take."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.engine.prompt_addons import cut_loras
from studio.errors import StudioError
from studio.prompt.grammar import parse
from studio.prompt.spoken import spoken
from studio.prompt.tree import Alternating, Choice, Parts, Scheduled, Weighted, Wildcard
from studio.requests import TextToImage
from studio.ui import components
from studio.ui.tabs.create.craft import Craft
from studio.ui.tabs.create.form import CreateForm
from studio.ui.tabs.tab import QUICK, Page


def prompt_line() -> gr.HTML:
    """Return the line under the prompt."""
    return components.piece("promptLine", {}, scripts=["page/create.js"], elem_id="prompt-line")


def forecast_line() -> gr.HTML:
    """Return the line under Generate."""
    return components.piece(
        "forecast", None, scripts=["page/stage.js", "page/create.js"], events=["choose"], elem_id="forecast"
    )


def wire_live(page: Page, craft: Craft, form: CreateForm, *, line: gr.HTML, forecast: gr.HTML) -> None:
    """Keep both lines true: after every change, when the page opens, when a job begins or ends."""
    inputs = form.inputs

    def look(**values: Any) -> list[Any]:
        request = _request(form, values)
        return [line_value(craft, request) if request else {}, forecast_value(craft, request) if request else None]

    def take(event: gr.EventData, **values: Any) -> list[Any]:
        """Show the forecast again, or take over the setting that fits."""
        request = _request(form, values)
        if request is None:
            return [gr.skip()] * 4
        smaller = craft.forecast(request).smaller if event._data.get("action") == "smaller" else None
        request = request.model_copy(update=smaller or {})
        changed = [request.width, request.height, request.batch] if smaller else [gr.skip()] * 3
        return [*changed, forecast_value(craft, request)]

    changes = [it.change for it in inputs.values() if hasattr(it, "change")]
    shown = [line, forecast]
    gr.on([*changes, page.blocks.load], look, inputs_kwargs=inputs, outputs=shown, trigger_mode="always_last", **QUICK)
    sizes = [form.controls[name] for name in ("width", "height", "batch")]
    forecast.choose(take, inputs_kwargs=inputs, outputs=[*sizes, forecast], trigger_mode="multiple", **QUICK)


def line_value(craft: Craft, request: TextToImage) -> dict[str, Any]:
    """Return what the line under the prompt shows: the count of the words as they would be drawn now."""
    count = craft.card(request.model).count_tokens
    try:
        random = list(dict.fromkeys(_random_parts(parse(request.prompt))))
        words, _ = cut_loras(spoken(request, seed=request.seed, lists=craft.word_lists).prompt)
    except StudioError:
        return {}
    counted = count(words, steps=request.steps) if count else None
    numbers = (
        {}
        if counted is None
        else {"tokens": counted.tokens, "room": counted.room, "chunks": counted.chunks, "is_cut": counted.is_cut}
    )
    return {**numbers, "random": random, "styles": [style.name for style in request.styles]}


def forecast_value(craft: Craft, request: TextToImage) -> dict[str, Any] | None:
    """Return what the line under Generate shows; nothing where there is no model."""
    if not request.model:
        return None
    found = craft.forecast(request)
    return {
        "seconds": found.seconds,
        "need": found.need_bytes,
        "free": found.free_bytes,
        "place": found.place,
        "fits": found.fits,
        "smaller": found.smaller,
    }


def _request(form: CreateForm, values: dict[str, Any]) -> TextToImage | None:
    """Return the request as it stands; a dot for a prompt that is still empty, None while a value is out of bounds."""
    try:
        request = form.read({**values, "prompt": values["prompt"] or ".", "seed": values["seed"] or "0"})
    except StudioError:
        return None
    assert isinstance(request, TextToImage)
    return request if values["prompt"] else request.model_copy(update={"prompt": ""})


def _random_parts(parts: Parts) -> list[str]:
    found: list[str] = []
    for part in parts:
        match part:
            case Choice() | Wildcard():
                found.append(part.source)
            case Weighted(inner, _):
                found += _random_parts(inner)
            case Scheduled(before, after):
                found += [*_random_parts(before), *_random_parts(after)]
            case Alternating(options):
                found += [source for option in options for source in _random_parts(option)]
    return found
