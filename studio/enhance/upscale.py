"""Upscaling: Lanczos as the base, an upscaler's network where there is one, and diffusion that adds detail in tiles.

Source of the tiled refinement: image-to-image (SDEdit, Meng 2022) on overlapping crops of the enlarged picture, as in
"SD upscale" of the AUTOMATIC1111 studio and MultiDiffusion (Bar-Tal 2023); here whole tiles are blended after decoding.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image

from studio.engine.denoise import Start, steps_run
from studio.engine.engine import Engine, ShouldStop
from studio.engine.result import Result
from studio.engine.sample import facts_of_pictures
from studio.engine.store import Loaded
from studio.enhance.models import model_for_enhancing
from studio.enhance.networks import Enlarged, Networks, enlarge, preview_of
from studio.enhance.tiles import blended, tile_boxes
from studio.errors import InvalidRequest
from studio.events import Cancelled, Event, Finished, Step
from studio.inpaint.repaint import repaint
from studio.prompt.spoken import spoken
from studio.requests import MAX_SEED, Upscale

_MOST_PIXELS = 64_000_000


def run_upscale(engine: Engine, request: Upscale, should_stop: ShouldStop, *, networks: Networks) -> Iterator[Event]:
    """Yield the events of an upscaling; the picture is `request.scale` times as wide and as high.

    Raises:
        InvalidRequest: The result would be too large, or there is no such upscaler.
        ModelError: The model cannot refine, or as loading does.
        OutOfMemory: As loading and denoising do.
    """
    began = time.perf_counter()
    source = engine.read_picture(request.source)
    size = (source.width * request.scale, source.height * request.scale)
    if size[0] * size[1] > _MOST_PIXELS:
        raise InvalidRequest(
            f"{size[0]}×{size[1]} pixels are more than {_MOST_PIXELS // 10**6} megapixels.",
            "Choose 2x, or cut the picture.",
        )
    if request.method == "refine":
        model_for_enhancing(engine, request.model)
    alpha = source.getchannel("A").resize(size, Image.Resampling.LANCZOS) if source.mode == "RGBA" else None
    done = yield from enlarge(
        source.convert("RGB"), request.scale, upscaler=request.upscaler, networks=networks, should_stop=should_stop
    )
    facts: dict[str, Any] = {"upscaler": request.upscaler or "lanczos", **(done.facts if done else {})}
    if done is not None and request.method == "refine":
        loaded = yield from engine.load(request.model, request.vae)
        done = yield from _refined(engine, loaded, request, done.picture, should_stop)
    if done is None:
        return
    if alpha is not None:
        done.picture.putalpha(alpha)
    seconds = time.perf_counter() - began
    yield Finished((done.picture,), (request.seed,), seconds, facts={**facts, **done.facts}, notes=done.notes)


def _refined(
    engine: Engine, loaded: Loaded, request: Upscale, picture: Image.Image, should_stop: ShouldStop
) -> Generator[Event, None, Enlarged | None]:
    """Repaint `picture` tile by tile at the model's own size, all with the same words; None when stopped."""
    said = spoken(request, seed=request.seed, lists=engine.word_lists)
    if said.facts:
        request = request.model_copy(update=said.facts["drawn"])
    side = round(math.sqrt(loaded.card.width * loaded.card.height) / loaded.card.grid) * loaded.card.grid
    width, height = picture.size
    whole = np.asarray(picture)
    if min(width, height) < side:  # reflect, so that a tile fits, and cut back at the end
        missing = ((0, max(0, side - height)), (0, max(0, side - width)), (0, 0))
        whole = np.pad(whole, missing, mode="symmetric" if min(width, height) * 2 >= side else "edge")
    overlap = side // 4
    boxes = tile_boxes(whole.shape[1], whole.shape[0], side=side, overlap=overlap)
    total = len(boxes) * steps_run(request.steps, Start(torch.empty(0), request.strength))
    began, done, canvas, pieces = time.perf_counter(), 0, whole.copy(), []
    facts: dict[str, Any] = {}
    notes: dict[str, None] = {}
    for place, box in enumerate(boxes):
        tile = Image.fromarray(whole[box.top : box.bottom, box.left : box.right])
        own = request.model_copy(update={"seed": (request.seed + place) % (MAX_SEED + 1), "batch": 1})
        running = repaint(engine, loaded, own, tile, strength=request.strength, should_stop=should_stop)
        for event in (painting := _Returning(running)):
            if isinstance(event, Step):
                done += 1
                preview = preview_of(Image.fromarray(canvas)) if event.index == 1 else None
                yield Step(done, total, preview, time.perf_counter() - began)
            elif isinstance(event, Cancelled):
                yield Cancelled(at_step=done)
        result = painting.value
        if result is None:
            return None
        painted = np.asarray(result.images[0])
        canvas[box.top : box.bottom, box.left : box.right] = painted
        pieces.append((box, painted))
        facts |= result.facts
        notes |= dict.fromkeys(result.notes)
    joined = blended(pieces, width=whole.shape[1], height=whole.shape[0], overlap=overlap)
    facts |= facts_of_pictures([said])
    return Enlarged(Image.fromarray(joined[:height, :width]), facts, tuple(notes))


class _Returning:
    """Iterates over a generator and keeps what it returned as `value`."""

    value: Result | None = None

    def __init__(self, running: Generator[Event, None, Result | None]) -> None:
        self._running = running

    def __iter__(self) -> Iterator[Event]:
        self.value = yield from self._running
