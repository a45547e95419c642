"""Diffusion in the masked part: crop, pre-fill, repaint at the model's size; any model the engine has."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from functools import partial

import numpy as np
from PIL import Image

from studio.engine.control_maps import fitted
from studio.errors import ModelError
from studio.events import Event
from studio.inpaint.canvas import Canvas, filled, shown_in_place
from studio.inpaint.context import Context
from studio.inpaint.geometry import resize, take, working_size
from studio.inpaint.methods import Painted
from studio.inpaint.repaint import repaint
from studio.requests import Inpaint


def run(
    canvas: Canvas, request: Inpaint, context: Context, should_stop: Callable[[], bool]
) -> Generator[Event, None, Painted | None]:
    """Method "diffusion": masked blending, or a dedicated inpainting U-Net where the model is one."""
    loaded = yield from context.engine.load(request.model, request.vae)
    card = loaded.card
    if card.architecture == "tokens":
        raise ModelError(f"{card.name} draws tokens; it takes no noise away.", 'Use the method "tokens" with it.')
    side = request.size or round(math.sqrt(card.width * card.height))
    size = working_size(canvas.box.width, canvas.box.height, side=side, multiple=card.grid)
    crop, strength = canvas.crop(size)
    start = Image.fromarray(filled(crop, strength, request))
    mask = strength if request.soft else (strength > 0).astype(np.float32)
    loop = repaint(
        context.engine,
        loaded,
        request,
        start,
        strength=request.strength,
        mask=mask,
        soft=request.soft,
        should_stop=should_stop,
        take_up=context.take_up,
        lay_control=partial(lay_control, canvas=canvas, extend=request.extend, mask=mask),
    )
    result = yield from shown_in_place(canvas, loop, count=request.batch)
    if result is None:
        return None
    pictures = tuple(np.asarray(picture.convert("RGB")) for picture in result.images)
    return Painted(pictures, result.seeds, result.facts, result.notes, result.films)


def lay_control(
    picture: Image.Image, *, canvas: Canvas, extend: tuple[int, int, int, int], mask: np.ndarray
) -> tuple[Image.Image, tuple[str, ...]]:
    """Return what a control picture shows of the part worked on, and what to tell the artist of it.

    One of the source's size lies on the source, and what is added around is black; any other covers the whole canvas.
    It is RGBA and as large as `mask` (h, w), strengths in [0, 1]: what is painted by more than half has no alpha.
    """
    height, width = canvas.final_mask.shape
    left, top, right, bottom = extend
    source = width - left - right, height - top - bottom
    whole, notes = fitted(picture, source if picture.size == source else (width, height))
    pixels = np.asarray(whole)
    if picture.size == source:
        pixels = np.pad(pixels, ((top, bottom), (left, right), (0, 0)))
    seen = resize(take(pixels, canvas.box), (mask.shape[1], mask.shape[0]))
    alpha = np.where(mask > 0.5, 0, 255).astype(np.uint8)
    return Image.fromarray(np.dstack([seen, alpha])), notes
