"""How long each inpainting method takes at 256 and 512 pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from studio.bench.turns import Arm, Say, Timings, by_side, in_turns, silent
from studio.evaluate.inpaint import square
from studio.evaluate.style import CONTENTS, EXAMPLES, reading
from studio.inpaint.context import Context
from studio.inpaint.methods import METHODS, Method
from studio.inpaint.run import run_inpaint
from studio.inpaint.standard import standard_settings
from studio.pictures import open_picture, picture_hash
from studio.requests import Inpaint

SIDES = (256, 512)


def run(context: Context, rounds: int, *, say: Say = silent) -> dict[str, Any]:
    """Time every method at both sides; see `time_methods`."""
    return time_methods(context, rounds, methods=METHODS, sides=SIDES, say=say)


def time_methods(
    context: Context, rounds: int, *, methods: Sequence[Method], sides: Sequence[int], say: Say = silent
) -> dict[str, Any]:
    """Return {side: {method: {"median_seconds", "spread_seconds", "rounds"}}}, and why a method could not run.

    A square of a quarter of the side is filled in a shipped picture, with the model's standard settings.

    Args:
        context: As a run has it.
        rounds: The most timings of a method; what is slow has fewer, at least one.
        methods: Which.
        sides: Sides of the square picture, in pixels.
        say: Is told each method's first time, or why it cannot run.
    """
    timings: dict[str, Timings] = {}
    for side in sides:
        arms = {method.name: _arm(method, side, context) for method in methods}
        timings[str(side)] = in_turns(arms, rounds=rounds, where=f"{side} px", say=say)
    return by_side(timings)


def repair_arms(side: int, context: Context) -> dict[str, Arm]:
    """Return what times each method that runs no model, on a picture of `side` pixels."""
    return {method.name: _arm(method, side, context) for method in METHODS if not method.needs_model}


def _arm(method: Method, side: int, context: Context) -> Arm:
    fill = _fill(method, side, context)
    return Arm(fill, warm=fill)


def _fill(method: Method, side: int, context: Context) -> Callable[[], object]:
    picture = open_picture(EXAMPLES / CONTENTS[0]).image.convert("RGB").resize((side, side))
    mask = Image.fromarray(square(side, side).astype(np.uint8) * 255)
    source, hidden = picture_hash(picture), picture_hash(mask)
    reads = reading(context, (picture, mask))

    def run() -> None:
        own = standard_settings(method.name, lambda: context.engine.scan())
        request = Inpaint(source=source, mask=hidden, method=method.name, seed=0, **own)
        for _ in run_inpaint(request, reads, lambda: False):
            pass

    return run
