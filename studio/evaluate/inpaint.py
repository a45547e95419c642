"""studio eval inpaint: known parts of the shipped pictures hidden and filled again; error, seams, untouched pixels."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from PIL import Image

from studio.errors import StudioError
from studio.evaluate.pictures import psnr, seam_visibility
from studio.evaluate.style import CONTENTS, EXAMPLES, fitted
from studio.events import Finished
from studio.inpaint.context import Context
from studio.inpaint.methods import METHODS, Method
from studio.inpaint.run import run_inpaint
from studio.pictures import open_picture, picture_hash
from studio.requests import Inpaint

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class InpaintRow:
    """One method on one kind of hidden part, means over the pictures.

    Attributes:
        method: Its name.
        hidden: What was hidden: "scratches", "spots" or "square".
        psnr: Of the hidden part against the original, dB; higher is nearer.
        seam: Seam visibility; the originals' own is `seam_original`.
        changed: Pixels changed outside the final mask; must be 0.
        seconds: Per picture, loading excluded.
    """

    method: str
    hidden: str
    psnr: float
    seam: float
    seam_original: float
    changed: int
    seconds: float


def evaluate_inpaint(
    context: Context,
    *,
    methods: Sequence[Method] = METHODS,
    side: int = 256,
    settings: dict[str, Any] | None = None,
    folder: Path = EXAMPLES,
    say: Callable[[str], None] = lambda line: None,
) -> list[InpaintRow]:
    """Return one row per method and kind of hidden part; methods that cannot run are named through `say`.

    Args:
        context: As a run has it; pictures are read from `folder` besides.
        methods: Which.
        side: Longer side of the pictures, in pixels.
        settings: Fields of Inpaint that differ from the defaults.
        folder: Where the pictures lie.
    """
    pictures = [fitted(open_picture(folder / name).image, side) for name in CONTENTS]
    rows = []
    for method in methods:
        try:
            rows += [_row(method, hidden, pictures, context, settings or {}) for hidden in HIDDEN]
        except StudioError as error:
            say(f"{method.name}: {error.message}")
    return rows


def as_table(rows: Sequence[InpaintRow]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| hidden | method | PSNR, dB | seam (original) | changed outside | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: list(HIDDEN).index(row.hidden)):
        lines.append(
            f"| {row.hidden} | {row.method} | {row.psnr:.1f} | {row.seam:.2f} ({row.seam_original:.2f}) "
            f"| {row.changed} | {row.seconds:.2f} |"
        )
    return "\n".join(lines)


def scratches(width: int, height: int) -> Array:
    """Return thin dark lines across the picture, (h, w) bool."""
    y, x = np.mgrid[0:height, 0:width]
    bent = [np.abs(y - height * at - 6 * np.sin(x / 17 + at)) < 1.5 for at in (0.2, 0.45, 0.8)]
    return np.logical_or.reduce(bent)


def spots(width: int, height: int) -> Array:
    """Return 24 round spots of 2 to 5 pixels, (h, w) bool."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:height, 0:width]
    found = np.zeros((height, width), bool)
    for cx, cy, radius in zip(
        rng.uniform(0, width, 24), rng.uniform(0, height, 24), rng.uniform(2, 5, 24), strict=True
    ):
        found |= (x - cx) ** 2 + (y - cy) ** 2 < radius**2
    return found


def square(width: int, height: int) -> Array:
    """Return a square of a quarter of the side off the middle, (h, w) bool."""
    found = np.zeros((height, width), bool)
    found[height // 2 : height // 2 + height // 4, width // 3 : width // 3 + width // 4] = True
    return found


HIDDEN: dict[str, Callable[[int, int], Array]] = {"scratches": scratches, "spots": spots, "square": square}


def _row(
    method: Method, hidden: str, pictures: Sequence[Image.Image], context: Context, settings: dict[str, Any]
) -> InpaintRow:
    measured, changed = [], 0
    for picture in pictures:
        where = HIDDEN[hidden](*picture.size)
        original = np.asarray(picture)
        damaged = Image.fromarray(np.where(where[..., None], np.uint8(128), original))
        mask = Image.fromarray(where.astype(np.uint8) * 255)
        by_hash = {picture_hash(image): image for image in (damaged, mask)}
        reads = Context(context.engine, by_hash.__getitem__, context.vqgan, context.cache_dir)
        request = Inpaint(
            source=picture_hash(damaged),
            mask=picture_hash(mask),
            method=method.name,
            seed=0,
            **{"grow": 1, "feather": 2, **settings},
        )
        began = time.perf_counter()
        *_, finished = run_inpaint(request, reads, lambda: False)
        assert isinstance(finished, Finished)
        seconds = finished.seconds or time.perf_counter() - began
        result = np.asarray(finished.images[0])
        changed += finished.extras["changed"]
        measured.append(
            (psnr(result, original, where), seam_visibility(result, where), seam_visibility(original, where), seconds)
        )
    error, seam, own, seconds = (mean(column) for column in zip(*measured, strict=True))
    return InpaintRow(method.name, hidden, error, seam, own, changed, seconds)
