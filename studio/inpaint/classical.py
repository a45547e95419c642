"""Classical repair as a method: OpenCV fills the part from its surroundings, at once and without a model."""

from __future__ import annotations

from collections.abc import Generator

import cv2

from studio.events import Event, Step
from studio.inpaint.canvas import Canvas
from studio.inpaint.context import Context
from studio.inpaint.methods import Painted, ShouldStop
from studio.inpaint.prefill import repair
from studio.requests import Inpaint


def telea(
    canvas: Canvas, request: Inpaint, context: Context, should_stop: ShouldStop
) -> Generator[Event, None, Painted]:
    """Method "telea": see `prefill.repair`."""
    return (yield from _repaired(canvas, request, cv2.INPAINT_TELEA))


def navier_stokes(
    canvas: Canvas, request: Inpaint, context: Context, should_stop: ShouldStop
) -> Generator[Event, None, Painted]:
    """Method "navier_stokes": see `prefill.repair`."""
    return (yield from _repaired(canvas, request, cv2.INPAINT_NS))


def _repaired(canvas: Canvas, request: Inpaint, method: int) -> Generator[Event, None, Painted]:
    crop, strength = canvas.crop((canvas.box.width, canvas.box.height))
    picture = repair(crop, strength > 0, method=method)
    yield Step(1, 1)
    notes: tuple[str, ...] = ()
    if (strength > 0).all():
        notes = ("Everything is masked, so there is nothing to repair it from: the picture stayed as it was.",)
    if request.batch > 1:
        notes = (*notes, "Repair makes the same picture for every seed: one was made.")
    return Painted((picture,), (request.seed,), notes=notes)
