"""How fast the gallery is with 100,000 pictures: a page, a search, a save; server side, in milliseconds."""

from __future__ import annotations

import random
import sqlite3
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from studio.bench.ratio import latency, ratio, time_interleaved
from studio.gallery import Entry, Filters, Gallery, Recipe
from studio.gallery import index as gallery_index
from studio.gallery.entry import new_id, picture_path, when
from studio.requests import TextToImage

ROWS = 100_000
GOALS_MS = {"page": 20, "search": 50}  # p95

_NOUNS = ("apple", "fox", "castle", "teapot", "whale", "robot", "mountain", "lantern", "bicycle", "苹果", "雪山", "猫")
_ADJECTIVES = ("red", "tiny", "ancient", "glass", "wooden", "misty", "golden", "paper", "neon", "quiet", "round", "old")
_STYLES = ("3d style", "flat icon", "watercolour", "pixel art", "sticker", "line drawing", "oil painting", "水墨画")
_KINDS = ("text_to_image", "text_to_image", "text_to_image", "inpaint", "stylize", "edit_tokens")


def run(rounds: int) -> dict[str, Any]:
    """Fill a gallery's index with 100,000 rows and time what the page asks of it.

    Args:
        rounds: Timings of each kind, in turn; 100 give a steady p95.

    Returns:
        "rows", "build_seconds", and for each of "page", "filtered page", "search" and "save" a dictionary of
        "p50_ms", "interval_ms", "p95_ms" and "rounds"; "page" and "search" also have "goal_ms" (p95). "page / page
        (noise)" and "search / search (noise)" are the paired ratios of two arms that ask for the like.
    """
    with tempfile.TemporaryDirectory(prefix="tessera-bench-") as place:
        began = time.perf_counter()
        with Gallery(Path(place) / "gallery", reserve_bytes=0) as gallery:
            fill(gallery, ROWS)
            built = time.perf_counter() - began
            seconds = _reads(gallery, max(rounds, 2))
            # apart from the reads: after a write the next of them takes the index's pages in anew
            seconds |= time_interleaved({"save": partial(_save, gallery)}, rounds=max(rounds, 2))
    again = {name: seconds.pop(f"again {name}") for name in GOALS_MS}
    return {
        "rows": ROWS,
        "build_seconds": round(built, 1),
        **{name: {**latency(values), **_goal(name)} for name, values in seconds.items()},
        **{f"{name} / {name} (noise)": ratio(values, seconds[name]).as_row() for name, values in again.items()},
    }


def _reads(gallery: Gallery, rounds: int) -> dict[str, list[float]]:
    """Time what the page asks, in turn; every arm draws its own questions."""

    def page(dice: random.Random) -> object:
        return gallery.page(_somewhere(dice), limit=50)

    def filtered(dice: random.Random) -> object:
        return gallery.page(_somewhere(dice), limit=50, filters=_filters(dice))

    def search(dice: random.Random) -> object:
        return gallery.page(limit=50, filters=Filters(text=_words(dice)))

    asked = {"page": page, "again page": page, "filtered page": filtered, "search": search, "again search": search}
    arms = {name: partial(ask, random.Random(name)) for name, ask in asked.items()}
    return time_interleaved(arms, rounds=rounds)


def fill(gallery: Gallery, rows: int) -> None:
    """Give `gallery`'s index `rows` made-up entries a minute apart; they have no files."""
    generator = random.Random(1)
    with gallery.index.writing() as db:
        for number in range(rows):
            gallery_index.insert(db, made_up(gallery.folder, number, generator))
            _mark(db, number, generator)


def made_up(folder: Path, number: int, generator: random.Random) -> Entry:
    """Return a plausible entry that differs for every `number`."""
    sequence = _sequence(number)
    prompt = f"a {_words(generator)} {_words(generator)}, {generator.choice(_STYLES)} {number}"
    request = TextToImage(prompt=prompt, negative_prompt="blurry, text", seed=number, steps=20)
    kind, width = generator.choice(_KINDS), generator.choice((256, 256, 512, 768))
    entry_id = new_id(sequence)
    recipe = Recipe(
        id=entry_id,
        created_us=sequence,
        settings={**request.model_dump(mode="json"), "kind": kind},
        seed=number,
        facts={"model": f"model {number % 5}", "checksum": f"{number:064x}", "device": "cpu", "torch": "2.13.0"},
        job=f"{number // 4:016x}",
        owner=f"owner {number % 3}",
    )
    return Entry(
        id=entry_id,
        sequence=sequence,
        created=when(sequence),
        kind=kind,
        model=f"model {number % 5}",
        prompt=prompt,
        negative_prompt="blurry, text",
        seed=number,
        width=width,
        height=256,
        sha256=f"{number:064x}",
        file_sha256=f"{number:064x}",
        bytes=100_000,
        owner=recipe.owner,
        job=recipe.job,
        starred=False,
        note="",
        trashed=False,
        collections=(),
        recipe=recipe,
        path=picture_path(folder, entry_id),
    )


def _mark(db: sqlite3.Connection, number: int, generator: random.Random) -> None:
    if generator.random() < 0.02:
        db.execute("UPDATE entries SET starred = 1 WHERE sequence = ?", (_sequence(number),))


def _sequence(number: int) -> int:
    return 1_600_000_000_000_000 + number * 60_000_000


def _somewhere(generator: random.Random) -> str:
    """A cursor anywhere between the newest and the oldest picture."""
    return new_id(_sequence(generator.randrange(100, ROWS)))


def _words(generator: random.Random) -> str:
    return f"{generator.choice(_ADJECTIVES)} {generator.choice(_NOUNS)}"


def _filters(generator: random.Random) -> Filters:
    begin = when(_sequence(generator.randrange(ROWS // 2)))
    choices = (
        Filters(models=(f"model {generator.randrange(5)}",)),
        Filters(kinds=("inpaint",)),
        Filters(starred=True),
        Filters(sizes=((768, 256),), kinds=("stylize", "inpaint")),
        Filters(created_from=begin, created_to=when(_sequence(ROWS // 2 + 5000))),
    )
    return generator.choice(choices)


def _save(gallery: Gallery) -> None:
    request = TextToImage(prompt="a picture like any other", seed=1)
    image = Image.effect_noise((256, 256), 60).convert("RGB")
    gallery.save(image, request=request, seed=1, facts={"model": "tiny"}, job_id="0" * 16, owner="bench")


def _goal(name: str) -> dict[str, int]:
    return {"goal_ms": GOALS_MS[name]} if name in GOALS_MS else {}
