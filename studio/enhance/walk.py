"""Walks through a model's latent space: between two prompts, two seeds, or both, as a film.

Prompts are mixed on the straight line between their embeddings, start noises on the great circle (slerp, Shoemake
1985), so that every frame begins with noise of the usual length.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import torch
from PIL import Image

from studio.codebook.animation import save_animation
from studio.engine.denoise import Conditioning, Plan, Variation, denoise
from studio.engine.engine import Engine, ShouldStop
from studio.engine.images import to_pictures
from studio.engine.prompts import Embedding
from studio.engine.result import facts_of
from studio.events import Cancelled, Decoding, Event, Finished, Step
from studio.prompt.phrase import read_phrase
from studio.requests import Walk


def run_walk(engine: Engine, request: Walk, should_stop: ShouldStop) -> Iterator[Event]:
    """Make `request.frames` pictures from (prompt, seed) to (to_prompt, to_seed) and write them as a film.

    Finished.extras["file"] is its path. The first and the last frame are the pictures of the two ends made alone.
    """
    loaded = yield from engine.load(request.model, request.vae)
    loaded.card.check_size(request.width, request.height)
    began = time.perf_counter()
    frames: list[Image.Image] = []
    ends = [
        _condition(loaded.model, request, prompt) for prompt in (request.prompt, request.to_prompt or request.prompt)
    ]
    total = request.frames * request.steps
    for number in range(request.frames):
        share = _eased(number / (request.frames - 1), request.ease)
        plan = Plan(
            conditioning=_between(ends[0], ends[1], share),
            shape=loaded.model.latent_shape(request.width, request.height),
            scheduler=request.scheduler,
            steps=request.steps,
            seeds=(request.seed,),
            variation=Variation((request.to_seed,), share) if share and request.to_seed != request.seed else None,
        )
        last = None
        for last in denoise(loaded.model, plan, should_stop=should_stop):
            preview = loaded.preview(last.clean) if last.is_last else None
            taken = number * request.steps + last.index * request.steps // last.total
            yield Step(taken, total, preview, time.perf_counter() - began)
        if last is None or not last.is_last or should_stop():
            yield Cancelled(at_step=number * request.steps + (last.index if last else 0))
            return
        frames += to_pictures(loaded.model.decode(last.latents))
    yield Decoding()
    path = _written(engine, request, frames, loaded.checksum)
    seconds = time.perf_counter() - began
    yield Finished((), (), seconds, facts=facts_of(loaded), extras={"file": str(path), "frames": len(frames)})


def _written(engine: Engine, request: Walk, frames: list[Image.Image], checksum: str) -> Any:
    digest = hashlib.sha256(f"{request.model_dump_json()} {checksum}".encode()).hexdigest()[:32]
    path = engine.settings.cache_dir / "timelapses" / f"{digest}.{request.format}"
    save_animation(frames, path, fps=request.fps, bounce=request.bounce)
    return path


def _condition(model: Any, request: Walk, prompt: str) -> Conditioning:
    return model.condition(
        model.read_prompt(read_phrase(prompt)).phrase,
        model.read_prompt(read_phrase(request.negative_prompt)).phrase,
        guidance_scale=request.guidance_scale,
        width=request.width,
        height=request.height,
    )


def _between(first: Conditioning, second: Conditioning, share: float) -> Conditioning:
    """Return the conditioning `share` of the way from `first` to `second`."""
    if share in (0, 1):
        return second if share else first
    positive = _mixed(first.positive, second.positive, share)
    return Conditioning(positive, first.negative, first.guidance_scale)


def _mixed(first: Embedding, second: Embedding, share: float) -> Embedding:
    values: dict[str, Any] = {}
    for one in fields(Embedding):
        a, b = getattr(first, one.name), getattr(second, one.name)
        values[one.name] = None if a is None else torch.lerp(_as_long(a, b), _as_long(b, a), share)
    return Embedding(**values)


def _as_long(value: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return tokens (1, n, width), repeated to as many as `other` has: long prompts come in whole chunks."""
    if value.dim() != 3 or value.shape[1] >= other.shape[1]:
        return value
    return value.repeat(1, -(-other.shape[1] // value.shape[1]), 1)[:, : other.shape[1]]


def _eased(share: float, ease: bool) -> float:
    """Return a share that starts and ends slowly (smoothstep)."""
    return share * share * (3 - 2 * share) if ease else share
