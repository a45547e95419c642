"""How long each inpainting method takes at 256 and 512 pixels, in interleaved rounds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from studio.errors import StudioError
from studio.evaluate.inpaint import square
from studio.evaluate.style import CONTENTS, EXAMPLES
from studio.inpaint.context import Context
from studio.inpaint.methods import METHODS, Method
from studio.inpaint.run import run_inpaint
from studio.inpaint.standard import standard_settings
from studio.pictures import open_picture, picture_hash
from studio.requests import Inpaint

SIDES = (256, 512)


def run(context: Context, rounds: int) -> dict[str, Any]:
    """Time every method at both sides; see `time_methods`."""
    return time_methods(context, rounds, methods=METHODS, sides=SIDES)


def time_methods(context: Context, rounds: int, *, methods: Sequence[Method], sides: Sequence[int]) -> dict[str, Any]:
    """Return {side: {method: {"median_seconds", "spread_seconds", "rounds"}}}, and why a method could not run.

    A square of a quarter of the side is filled in a shipped picture, with the model's standard settings. Methods take
    turns, so that a busy moment hits them alike; the first round loads and warms up and is not counted.

    Args:
        context: As a run has it.
        rounds: Timings of each method.
        methods: Which.
        sides: Sides of the square picture, in pixels.
    """
    results: dict[str, Any] = {}
    for side in sides:
        picture = open_picture(EXAMPLES / CONTENTS[0]).image.convert("RGB").resize((side, side))
        mask = Image.fromarray(square(side, side).astype(np.uint8) * 255)
        timings: dict[str, list[float]] = {}
        for number in range(rounds + 1):
            for method in methods:
                seconds = _seconds(method, picture, mask, context)
                if isinstance(seconds, str):
                    results[f"without {method.name}"] = seconds
                elif number:
                    timings.setdefault(method.name, []).append(seconds)
        results[str(side)] = {name: _summary(values) for name, values in timings.items()}
    return results


def _seconds(method: Method, picture: Image.Image, mask: Image.Image, context: Context) -> float | str:
    """Return how long the method takes, or why it cannot run."""
    by_hash = {picture_hash(image): image for image in (picture, mask)}
    reads = Context(context.engine, by_hash.__getitem__, context.vqgan, context.cache_dir, context.model_folders)
    try:
        own = standard_settings(method.name, lambda: context.engine.scan())
        request = Inpaint(source=picture_hash(picture), mask=picture_hash(mask), method=method.name, seed=0, **own)
        began = time.perf_counter()
        for _ in run_inpaint(request, reads, lambda: False):
            pass
    except StudioError as error:
        return error.message
    return time.perf_counter() - began


def _summary(values: list[float]) -> dict[str, Any]:
    return {
        "median_seconds": round(median(values), 4),
        "spread_seconds": round(max(values) - min(values), 4),
        "rounds": len(values),
    }
