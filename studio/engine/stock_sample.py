"""Pictures from a stock pipeline (`families/pipeline.py`), told as the loop tells of its own runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from studio.engine.denoise import LoopOptions
from studio.engine.noise import seeds_of
from studio.engine.result import Previews, Result, facts_of, offload_note
from studio.engine.sample import Asked, facts_of_pictures, speak
from studio.engine.schedulers import choose
from studio.engine.stock_run import StockStep
from studio.errors import ModelError
from studio.events import Cancelled, Event, Step
from studio.prompt.phrase import read_phrase

if TYPE_CHECKING:
    from studio.engine.engine import Engine

NO_FILM = "This model keeps no steps: its pictures have no film and cannot be forked."
PLAIN = "This model reads plain words: weights and changes during the run were left out."
WHOLE = "This model runs to its last step: only the studio's own loop sees when a picture has settled."


def sample_stock(
    engine: Engine, asked: Asked, should_stop: Callable[[], bool], *, took: dict[str, int]
) -> Generator[Event, None, Result | None]:
    """Make the pictures of a run, one after another: yield Step or Cancelled; return them, or None if stopped.

    Raises:
        InvalidRequest, ModelError: As `Engine.sample`; also for what only the loop can do.
    """
    loaded, request, size = asked.loaded, asked.request, asked.size
    if asked.options.guidance != (0, 1):
        raise ModelError(f"{loaded.card.name} is guided in every step.", "Let guidance act from 0 until 1.")
    if asked.options != LoopOptions():
        raise ModelError(f"{loaded.card.name} only makes pictures from prompts.", "Choose another model here.")
    model, begin = loaded.model, time.perf_counter()
    choose(request.scheduler, loaded.card.schedule, steps=request.steps)
    seeds = seeds_of(request.seed, request.batch)
    said, worn = speak(engine, model, request, seeds)
    phrases = [tuple(read_phrase(prompt) for prompt in prompts) for prompts in worn.prompts]
    images: list[Image.Image] = []
    previews, done, total = Previews(loaded, engine.settings.preview_seconds), 0, request.steps * len(seeds)
    for seed, (prompt, negative) in zip(seeds, phrases, strict=True):
        for message in model.run(prompt.text, negative.text, request, size, seed, should_stop=should_stop):
            if isinstance(message, StockStep):
                done += 1
                preview = previews.at(done, total, _latents(model, message, size))
                yield Step(done, total, preview, time.perf_counter() - begin)
            elif message is not None:
                images += message
        if message is None or should_stop():
            yield Cancelled(at_step=done)
            return None
    is_plain = all(phrase.plain is not None for pair in phrases for phrase in pair)
    said_of_it = (*(() if is_plain else (PLAIN,)), *((WHOLE,) if request.auto_stop else ()))
    notes = (*said_of_it, *worn.notes, *offload_note(loaded), NO_FILM)
    seconds, facts = time.perf_counter() - begin, {**facts_of(loaded), **worn.facts, **facts_of_pictures(said)}
    return Result(tuple(images), seeds, seconds, facts, notes, np.empty(0), (), took)


def _latents(model: Any, step: StockStep, size: tuple[int, int]) -> Callable[[], Any]:
    return lambda: model.latents_of(step.clean, *size)
