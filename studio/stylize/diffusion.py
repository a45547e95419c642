"""Diffusion: the content noised as far as the style strength says, and denoised towards the style words.

Structure is kept where it shows: along the content's edges the picture is let go later (Differential
Diffusion), so that shapes stay put while faces and grounds are painted anew.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import cv2
import numpy as np
from PIL import Image

from studio.engine.control_maps import fitted
from studio.engine.store import Loaded
from studio.inpaint.context import Context
from studio.inpaint.geometry import working_size
from studio.inpaint.repaint import repaint
from studio.stylize.task import Outcome, ShouldStop, Stage, Task

Array = np.ndarray[Any, Any]

_EDGE_PERCENTILE = 95.0
_LEAST_STRENGTH = 0.02
_REFINING = 0.4  # of the style strength, behind another method: more paints over what that one made (style-transfer.md)


def run(task: Task, context: Context, should_stop: ShouldStop) -> Stage:
    """Method "diffusion": image-to-image towards `request.prompt`, one picture per seed."""
    loaded = yield from context.engine.load(task.request.model, task.request.vae)
    return (yield from paint(task, context, loaded, should_stop))


def paint(task: Task, context: Context, loaded: Loaded, should_stop: ShouldStop) -> Stage:
    """Run image-to-image with a loaded model, gently behind another method; `run` and the reference method share it."""
    request, card = task.request, loaded.card
    side = request.size or round(math.sqrt(card.width * card.height))
    size = working_size(task.content.width, task.content.height, side=side, multiple=card.grid)
    mask = None
    if request.structure > 0:
        original = np.asarray(task.original.resize(size, Image.Resampling.LANCZOS))
        mask = freedom(original, structure=request.structure, cell=card.grid)
    result = yield from repaint(
        context.engine,
        loaded,
        request.model_copy(update={"seed": task.seeds[0], "batch": len(task.seeds)}),
        task.content.resize(size, Image.Resampling.LANCZOS),
        strength=max(request.strength * (_REFINING if task.refines else 1), _LEAST_STRENGTH),
        mask=mask,
        soft=True,
        should_stop=should_stop,
        take_up=context.take_up,
        lay_control=partial(fitted, size=size, shape=task.content.size),
    )
    return None if result is None else Outcome(result.images, result.facts, result.notes, result.films)


def freedom(picture: Array, *, structure: float, cell: int) -> Array:
    """Return how free each pixel of `picture` (h, w, 3) uint8 is, in [1 - structure, 1]: least on strong edges.

    An edge is the gradient of the smoothed lightness over its 95th percentile; a picture without edges is free.
    Edges are widened so that they hold whole cells of `cell` pixels, the grid that the model works on.
    """
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.5)
    slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    strong = max(float(np.percentile(slope, _EDGE_PERCENTILE)), 8.0)
    edges = cv2.dilate(np.clip(slope / strong, 0, 1), np.ones((2 * cell - 1,) * 2, np.uint8))
    return (1 - structure * edges).astype(np.float32)
