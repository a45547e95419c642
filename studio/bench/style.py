"""How long each style-transfer and repair method takes at 256 and 512 pixels.

A method that works at a larger size unless asked otherwise (the VQGAN's do, at 768) is timed there besides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from studio.bench.inpaint import repair_arms
from studio.bench.turns import Arm, Say, Timings, by_side, in_turns, silent
from studio.evaluate.report import fitted
from studio.evaluate.style import CONTENTS, EXAMPLES, STYLES, reading, request_for
from studio.inpaint.context import Context
from studio.pictures import open_picture
from studio.stylize.methods import METHODS, Method
from studio.stylize.run import run_stylize

SIDES = (256, 512)
_WARM_SIDE = 64  # pixels: loads what a method needs and costs little


def run(context: Context, rounds: int, *, say: Say = silent) -> dict[str, Any]:
    """Time every method at both sides; see `time_methods`."""
    return time_methods(context, rounds, methods=METHODS, sides=SIDES, say=say)


def time_methods(
    context: Context, rounds: int, *, methods: Sequence[Method], sides: Sequence[int], say: Say = silent
) -> dict[str, Any]:
    """Return {side: {method: {"median_seconds", "spread_seconds", "rounds"}}}, and why a method could not run.

    Args:
        context: As a run has it; the pictures are the shipped examples.
        rounds: The most timings of a method; what is slow has fewer, at least one.
        methods: Which, in the order of a round; the repair methods of Inpaint go first.
        sides: Longer sides of content and style, in pixels; methods work at that size.
        say: Is told each method's first time, or why it cannot run.
    """
    own = sorted({method.size for method in methods if method.size} - set(sides))
    timings: dict[str, Timings] = {}
    for side in (*sides, *own):
        here = [method for method in methods if side in sides or method.size == side]
        arms = {method.name: _arm(method, side, context) for method in here}
        if side in sides:
            arms = {**repair_arms(side, context), **arms}
        timings[str(side)] = in_turns(arms, rounds=rounds, where=f"{side} px", say=say)
    return by_side(timings)


def _arm(method: Method, side: int, context: Context) -> Arm:
    return Arm(_transfer(method, side, context), warm=_transfer(method, _WARM_SIDE, context))


def _transfer(method: Method, side: int, context: Context) -> Callable[[], object]:
    """Return the style transfer by one method, pictures and work at `side`."""
    pair = CONTENTS[0], STYLES[0]
    pictures = {name: fitted(open_picture(EXAMPLES / name).image, side) for name in pair}
    reads = reading(context, pictures.values())

    def run() -> None:
        for _ in run_stylize(request_for((method,), pair, pictures, reads, size=side), reads, lambda: False):
            pass

    return run
