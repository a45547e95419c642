"""studio eval style: every method on the shipped pictures; style gained, content kept, colours, time.

A method that takes words gets those of WORDS and STYLE_PRESETS: what an artist would write for this pair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from studio.evaluate.pictures import colour_distance, content_kept, style_distance
from studio.evaluate.report import Figures, Log, Missing, fitted, markdown, means, rows_of, said
from studio.events import Finished
from studio.inpaint.context import Context
from studio.pictures import open_picture, picture_hash
from studio.requests import Stylize
from studio.settings import ROOT
from studio.stylize.methods import METHODS, Method, find_method
from studio.stylize.presets import find_preset, load_presets
from studio.stylize.run import run_stylize

EXAMPLES = ROOT / "assets" / "examples"
CONTENTS = ("cat.jpg", "still-life.jpg", "valley.jpg")
STYLES = ("style-cornfield.jpg", "style-woodblock.jpg", "style-stained-glass.jpg")
WORDS = {"cat.jpg": "a cat", "still-life.jpg": "a bowl of fruit", "valley.jpg": "a house in a green valley"}
STYLE_PRESETS = {
    "style-cornfield.jpg": "Impressionism",
    "style-woodblock.jpg": "Woodblock print",
    "style-stained-glass.jpg": "Stained glass",
}
REFINED = (("wct", "diffusion"), ("tokens", "diffusion"))
Chain = tuple[Method, ...]


@dataclass(frozen=True, slots=True)
class StyleRow:
    """One method or chain over all pairs of content and style, means.

    Attributes:
        method: Its name, or those of a chain joined by "+".
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


def read_chain(text: str) -> Chain:
    """Return the methods of "tokens" or "tokens+diffusion"; raises UnknownName with the nearest names."""
    return tuple(find_method(name.strip()) for name in text.split("+"))


def all_chains() -> tuple[Chain, ...]:
    """Return every method alone, and those of REFINED."""
    return (*((method,) for method in METHODS), *(tuple(map(find_method, names)) for names in REFINED))


def evaluate_style(
    context: Context,
    *,
    chains: Sequence[Chain] = all_chains(),
    side: int = 256,
    settings: Mapping[str, float] | None = None,
    folder: Path = EXAMPLES,
    log: Log | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[StyleRow | Missing]:
    """Return one row per method or chain, over all pairs of content and style; one that cannot run says why.

    Args:
        context: As a run has it; pictures are read from `folder` besides.
        chains: Which; the methods of a chain follow each other.
        side: Longer side of the pictures, in pixels.
        settings: Fields of Stylize that differ from the defaults (strength, structure).
        folder: Where CONTENTS and STYLES lie.
        log: Keeps what has been measured, for a run that is cut.
        say: Is told which is being measured.
    """
    pictures = {name: fitted(open_picture(folder / name).image, side) for name in (*CONTENTS, *STYLES)}
    reads = reading(context, pictures.values())
    changes, log = settings or {}, log or Log()

    def row(chain: Chain) -> list[StyleRow]:
        name, measured = _name(chain), []
        for content, style in product(CONTENTS, STYLES):
            words = words_for(chain, content, style)
            what = {"method": name, "content": content, "style": style, "side": side, **words, **changes}
            request = request_for(chain, (content, style), pictures, reads, **changes)
            measure = partial(_measure, request, pictures[content], style=pictures[style], context=reads)
            measured.append(log.figures(what, measure))
        return [StyleRow(name, said(changes), **means(measured))]

    return rows_of({_name(chain): partial(row, chain) for chain in chains}, say=say)


def reading(context: Context, pictures: Iterable[Image.Image]) -> Context:
    """Return `context`, reading `pictures` by their hashes."""
    by_hash = {picture_hash(picture): picture for picture in pictures}
    return Context(context.engine, by_hash.__getitem__, context.vqgan, context.cache_dir, context.model_folders)


def request_for(
    chain: Chain, pair: tuple[str, str], pictures: Mapping[str, Image.Image], context: Context, **changes: float
) -> Stylize:
    """Return the request to give the first of `pair` the style of the second, both names of shipped pictures.

    Args:
        chain: The methods; one that runs a model gets the default model's standard preset.
        pair: Content and style.
        pictures: Both, by name, at the size to work from.
        context: Knows the models.
        changes: Fields of Stylize that differ from the defaults.

    Raises:
        ModelError: The chain runs a model, and there is none.
    """
    content, style = pair
    values: dict[str, Any] = {"content": picture_hash(pictures[content]), "methods": tuple(m.name for m in chain)}
    if any(method.needs == "reference" for method in chain):
        values["references"] = (picture_hash(pictures[style]),)
    if any(method.has_chance for method in chain):
        preset = context.engine.scan().find("").preset("standard")
        values |= {"steps": preset.steps, "scheduler": preset.scheduler, "guidance_scale": preset.guidance_scale}
    return Stylize.model_validate({**values, **words_for(chain, content, style), "seed": 0, **changes})


def words_for(chain: Chain, content: str, style: str) -> dict[str, str]:
    """Return the prompts for a pair, by its pictures' names; none for a chain that takes no words."""
    if not any(method.needs == "words" for method in chain):
        return {}
    preset = find_preset(STYLE_PRESETS[style], load_presets())
    return {"prompt": preset.around(WORDS[content]), "negative_prompt": preset.negative_prompt}


def as_table(rows: Sequence[StyleRow | Missing]) -> str:
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


def _name(chain: Chain) -> str:
    return "+".join(method.name for method in chain)


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
