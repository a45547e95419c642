"""Diffusion in the masked part: crop, pre-fill, repaint at the model's size; any model the engine has."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator

import numpy as np
from PIL import Image

from studio.errors import ModelError
from studio.events import Event
from studio.inpaint.canvas import Canvas, filled, shown_in_place
from studio.inpaint.context import Context
from studio.inpaint.geometry import working_size
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
    )
    result = yield from shown_in_place(canvas, loop, count=request.batch)
    if result is None:
        return None
    pictures = tuple(np.asarray(picture.convert("RGB")) for picture in result.images)
    return Painted(pictures, result.seeds, result.facts, result.notes, result.films)
