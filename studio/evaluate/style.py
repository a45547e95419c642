"""studio eval style: every method on the shipped pictures; style gained, content kept, colours, time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from studio.evaluate.pictures import colour_distance, content_kept, style_distance
from studio.evaluate.report import Figures, Log, fitted, markdown, means, rows_of, said
from studio.events import Finished
from studio.inpaint.context import Context
from studio.pictures import open_picture, picture_hash
from studio.requests import Stylize
from studio.settings import ROOT
from studio.stylize.methods import METHODS, Method
from studio.stylize.run import run_stylize

EXAMPLES = ROOT / "assets" / "examples"
CONTENTS = ("cat.jpg", "still-life.jpg", "valley.jpg")
STYLES = ("style-cornfield.jpg", "style-woodblock.jpg", "style-stained-glass.jpg")


@dataclass(frozen=True, slots=True)
class StyleRow:
    """One method over all pairs of content and style, means.

    Attributes:
        method: Its name.
        settings: What differs from the defaults.
        style_before, style_after: Style distance of the content and of the result to the style; lower is nearer.
        content: Content kept, at most 1.
        colour_before, colour_after: Colour distance, delta E.
        seconds: Per picture, loading excluded.
    """

    method: str
    settings: str
    style_before: float
    style_after: float
    content: float
    colour_before: float
    colour_after: float
    seconds: float


def evaluate_style(
    context: Context,
    *,
    methods: Sequence[Method] = METHODS,
    side: int = 256,
    settings: Mapping[str, float] | None = None,
    folder: Path = EXAMPLES,
    log: Log | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[StyleRow]:
    """Return one row per method that can run on pictures as style; others are named through `say`.

    Args:
        context: As a run has it; pictures are read from `folder` besides.
        methods: Which.
        side: Longer side of the pictures, in pixels.
        settings: Fields of Stylize that differ from the defaults (strength, structure).
        folder: Where CONTENTS and STYLES lie.
        log: Keeps what has been measured, for a run that is cut.
    """
    pictures = {name: fitted(open_picture(folder / name).image, side) for name in (*CONTENTS, *STYLES)}
    by_hash = {picture_hash(picture): picture for picture in pictures.values()}
    reads = Context(context.engine, by_hash.__getitem__, context.vqgan, context.cache_dir, context.model_folders)
    changes, log = settings or {}, log or Log()

    def row(method: Method) -> list[StyleRow]:
        measured = []
        for content in CONTENTS:
            for style in STYLES:
                what = {"method": method.name, "content": content, "style": style, "side": side, **changes}
                request = _request(method, pictures[content], pictures[style], changes)
                measure = partial(_measure, request, pictures[content], style=pictures[style], context=reads)
                measured.append(log.figures(what, measure))
        return [StyleRow(method.name, said(changes), **means(measured))]

    return rows_of([method for method in methods if method.needs == "reference"], row, say=say)


def as_table(rows: Sequence[StyleRow]) -> str:
    """Return the rows as a Markdown table."""
    return markdown(
        {
            "method": lambda row: row.method,
            "settings": lambda row: row.settings,
            "style distance": lambda row: f"{row.style_before:.2f} → {row.style_after:.2f}",
            "content kept": lambda row: f"{row.content:.2f}",
            "colour distance": lambda row: f"{row.colour_before:.1f} → {row.colour_after:.1f}",
            "seconds": lambda row: f"{row.seconds:.2f}",
        },
        rows,
    )


def _request(method: Method, content: Image.Image, style: Image.Image, changes: Mapping[str, float]) -> Stylize:
    values = {"content": picture_hash(content), "references": (picture_hash(style),), "methods": (method.name,)}
    return Stylize.model_validate({**values, "seed": 0, **changes})


def _measure(request: Stylize, content: Image.Image, *, style: Image.Image, context: Context) -> Figures:
    *_, finished = run_stylize(request, context, lambda: False)
    assert isinstance(finished, Finished)
    before, after, wanted = (np.asarray(picture) for picture in (content, finished.images[0], style))
    return {
        "style_before": style_distance(before, wanted),
        "style_after": style_distance(after, wanted),
        "content": content_kept(before, after),
        "colour_before": colour_distance(before, wanted),
        "colour_after": colour_distance(after, wanted),
        "seconds": finished.seconds,
    }
