"""How long each style-transfer and repair method takes at 256 and 512 pixels, in interleaved rounds."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from studio.errors import StudioError
from studio.evaluate.report import fitted
from studio.evaluate.style import CONTENTS, EXAMPLES, STYLES
from studio.inpaint.context import Context
from studio.pictures import open_picture, picture_hash
from studio.requests import Stylize
from studio.stylize.methods import METHODS
from studio.stylize.run import run_stylize

SIDES = (256, 512)


def run(context: Context, rounds: int) -> dict[str, Any]:
    """Return {side: {method: {"median_seconds", "spread_seconds", "rounds"}}} for every method that can run.

    Args:
        context: As a run has it; the pictures are the shipped examples.
        rounds: Timings of each method; all methods take turns, so that a busy moment hits them alike.
    """
    results: dict[str, Any] = {}
    for side in SIDES:
        content = fitted(open_picture(EXAMPLES / CONTENTS[0]).image, side)
        style = fitted(open_picture(EXAMPLES / STYLES[0]).image, side)
        by_hash = {picture_hash(picture): picture for picture in (content, style)}
        reads = Context(context.engine, by_hash.__getitem__, context.vqgan, context.cache_dir, context.model_folders)
        timings: dict[str, list[float]] = {}
        for number in range(rounds + 1):
            for method in METHODS:
                if method.needs != "reference" or method.has_chance:
                    continue
                request = Stylize(
                    content=picture_hash(content), references=(picture_hash(style),), methods=(method.name,)
                )
                began = time.perf_counter()
                try:
                    for _ in run_stylize(request, reads, lambda: False):
                        pass
                except StudioError:
                    continue
                if number:  # the first round loads and warms up
                    timings.setdefault(method.name, []).append(time.perf_counter() - began)
        results[str(side)] = {name: _summary(values) for name, values in timings.items()}
    return results


def _summary(values: list[float]) -> dict[str, Any]:
    return {
        "median_seconds": round(median(values), 4),
        "spread_seconds": round(max(values) - min(values), 4),
        "rounds": len(values),
    }
