"""studio eval inpaint: known parts of the shipped pictures hidden and filled again; error, seams, untouched pixels."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from studio.evaluate.pictures import psnr, seam_visibility
from studio.evaluate.report import Figures, Log, Missing, fitted, markdown, means, rows_of
from studio.evaluate.style import CONTENTS, EXAMPLES
from studio.events import Finished
from studio.inpaint.context import Context
from studio.inpaint.methods import METHODS, Method
from studio.inpaint.run import run_inpaint
from studio.inpaint.standard import standard_settings
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
    settings: Mapping[str, Any] | None = None,
    folder: Path = EXAMPLES,
    log: Log | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[InpaintRow | Missing]:
    """Return one row per method and kind of hidden part, and one that says why for a method that cannot run.

    Args:
        context: As a run has it; pictures are read from `folder` besides.
        methods: Which.
        side: Longer side of the pictures, in pixels.
        settings: Fields of Inpaint that differ from the defaults.
        folder: Where the pictures lie.
        log: Keeps what has been measured, for a run that is cut.
        say: Is told which method is being measured.
    """
    pictures = {name: fitted(open_picture(folder / name).image, side) for name in CONTENTS}
    changes, log = settings or {}, log or Log()

    def rows(method: Method) -> list[InpaintRow]:
        return [row(method, hidden) for hidden in HIDDEN]

    def row(method: Method, hidden: str) -> InpaintRow:
        measured = []
        for name, picture in pictures.items():
            what = {"method": method.name, "hidden": hidden, "picture": name, "side": side, **changes}
            measure = partial(_measure, method, hidden, picture=picture, context=context, changes=changes)
            measured.append(log.figures(what, measure))
        total = sum(int(figures["changed"]) for figures in measured)
        return InpaintRow(method.name, hidden, **{**means(measured), "changed": total})  # type: ignore[arg-type]

    return rows_of({method.name: partial(rows, method) for method in methods}, say=say)


def as_table(rows: Sequence[InpaintRow | Missing]) -> str:
    """Return the rows as a Markdown table, by what was hidden; methods that cannot run come last."""
    order = [*HIDDEN]
    return markdown(
        {
            "hidden": lambda row: row.hidden,
            "method": lambda row: row.method,
            "PSNR, dB": lambda row: f"{row.psnr:.1f}",
            "seam (original)": lambda row: f"{row.seam:.2f} ({row.seam_original:.2f})",
            "changed outside": lambda row: str(row.changed),
            "seconds": lambda row: f"{row.seconds:.2f}",
        },
        sorted(rows, key=lambda row: len(order) if isinstance(row, Missing) else order.index(row.hidden)),
    )


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


def _measure(
    method: Method, hidden: str, *, picture: Image.Image, context: Context, changes: Mapping[str, Any]
) -> Figures:
    where = HIDDEN[hidden](*picture.size)
    original = np.asarray(picture)
    damaged = Image.fromarray(np.where(where[..., None], np.uint8(128), original))
    mask = Image.fromarray(where.astype(np.uint8) * 255)
    by_hash = {picture_hash(image): image for image in (damaged, mask)}
    reads = Context(context.engine, by_hash.__getitem__, context.vqgan, context.cache_dir)
    own = standard_settings(method.name, lambda: context.engine.scan())
    request = Inpaint(
        source=picture_hash(damaged),
        mask=picture_hash(mask),
        method=method.name,
        seed=0,
        **{**own, **changes},
    )
    began = time.perf_counter()
    *_, finished = run_inpaint(request, reads, lambda: False)
    assert isinstance(finished, Finished)
    result = np.asarray(finished.images[0])
    return {
        "psnr": psnr(result, original, where),
        "seam": seam_visibility(result, where),
        "seam_original": seam_visibility(original, where),
        "changed": finished.extras["changed"],
        "seconds": finished.seconds or time.perf_counter() - began,
    }
