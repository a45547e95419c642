"""studio eval style: every method on the shipped pictures; style gained, content kept, colours, time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
from PIL import Image

from studio.errors import StudioError
from studio.evaluate.pictures import colour_distance, content_kept, style_distance
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
    settings: dict[str, float] | None = None,
    folder: Path = EXAMPLES,
    say: Callable[[str], None] = lambda line: None,
) -> list[StyleRow]:
    """Return one row per method that can run on pictures as style; others are named through `say`.

    Args:
        context: As a run has it; pictures are read from `folder` besides.
        methods: Which.
        side: Longer side of the pictures, in pixels.
        settings: Fields of Stylize that differ from the defaults (strength, structure).
        folder: Where CONTENTS and STYLES lie.
    """
    pictures = {name: fitted(open_picture(folder / name).image, side) for name in (*CONTENTS, *STYLES)}
    by_hash = {picture_hash(picture): picture for picture in pictures.values()}
    reads = Context(context.engine, by_hash.__getitem__, context.vqgan, context.cache_dir, context.model_folders)
    rows = []
    for method in methods:
        if method.needs != "reference":
            continue
        try:
            rows.append(_row(method, pictures, reads, settings or {}))
        except StudioError as error:
            say(f"{method.name}: {error.message}")
    return rows


def as_table(rows: Sequence[StyleRow]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| method | settings | style distance | content kept | colour distance | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row.method} | {row.settings} | {row.style_before:.2f} → {row.style_after:.2f} | {row.content:.2f} "
            f"| {row.colour_before:.1f} → {row.colour_after:.1f} | {row.seconds:.2f} |"
        )
    return "\n".join(lines)


def fitted(picture: Image.Image, side: int) -> Image.Image:
    """Return `picture` in RGB with its longer side `side` pixels long."""
    scale = side / max(picture.size)
    size = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _row(method: Method, pictures: dict[str, Image.Image], context: Context, settings: dict[str, float]) -> StyleRow:
    measured = []
    for content_name in CONTENTS:
        for style_name in STYLES:
            content, style = pictures[content_name], pictures[style_name]
            request = Stylize(
                content=picture_hash(content),
                references=(picture_hash(style),),
                methods=(method.name,),
                seed=0,
                **settings,  # type: ignore[arg-type]
            )
            finished = _finished(request, context)
            a, b, s = np.asarray(content), np.asarray(finished.images[0]), np.asarray(style)
            measured.append(
                (
                    style_distance(a, s),
                    style_distance(b, s),
                    content_kept(a, b),
                    colour_distance(a, s),
                    colour_distance(b, s),
                    finished.seconds,
                )
            )
    said = ", ".join(f"{name} {value:g}" for name, value in settings.items()) or "defaults"
    return StyleRow(method.name, said, *(mean(column) for column in zip(*measured, strict=True)))


def _finished(request: Stylize, context: Context) -> Finished:
    *_, last = run_stylize(request, context, lambda: False)
    assert isinstance(last, Finished)
    return last
