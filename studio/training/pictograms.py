"""Build the pictogram pack: about 11,000 pictures of some 4,000 things in seven drawn styles.

Sources are published packages by name and pinned version (see `emoji.EMOJI_SETS` and `clipart`). Only
pictures whose licence allows them in weights we give away go into the pack; the GPL part of the Tux Paint
stamps, nearly all of its photographs, goes into a second pack on request and never into the first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from studio.training.build import Summary, build_pack, hashed_fraction
from studio.training.clipart import GPL, read_open_clipart, read_stamps
from studio.training.emoji import EMOJI_SETS, Candidate, Emojibase, read_emoji_set
from studio.training.fetch import debian_version, fetch_debian, fetch_npm
from studio.training.vocabulary import CORE, EVERYDAY_THINGS

EMOJIBASE = ("emojibase-data", "17.0.0")
DEBIAN = (("openclipart-svg", "1:0.18+dfsg-19"), ("tuxpaint-stamps-default", "2022.06.04-1"))
HELD_OUT_THINGS = 0.045  # share of the well-covered things no style of which is trained on
HELD_OUT_PICTURES = 0.03
_HELD_OUT_CATEGORIES = frozenset(
    {"animal", "plant", "food", "place", "vehicle", "object", "activity", "clothing", "nature"}
)
CORE_FACTOR, EVERYDAY_FACTOR = 12.0, 3.0  # how much oftener what people ask for first is drawn
_FLUENT_STYLES = frozenset({"3d", "glossy", "flat"})  # one drawing in three finishes: held out together


def build_pictograms(
    out: str | Path, cache: str | Path, progress: Callable[[str], Any] = print, *, gpl: bool = False
) -> Summary:
    """Fetch the sources and build the pictogram pack.

    Args:
        out: The `NAME.pack` folder to make.
        cache: Folder that keeps the downloaded packages between builds (about 1.3 GB).
        progress: Called with a line of text now and then.
        gpl: Build from the GPL-2.0 pictures only, for weights that stay with you or are given away under
            the GPL. Without it those are left out.

    Raises:
        StudioError: A package could not be fetched, or `out` exists already.
    """
    progress("fetching packages")
    candidates = [weighted(c) for c in read_sources(Path(cache).resolve()) if (c.licence == GPL) == gpl]
    progress(f"{len(candidates)} candidates")
    return build_pack(Path(out), candidates, split=split_by_thing, progress=progress)


def read_sources(cache: Path) -> Iterator[Candidate]:
    """Yield every candidate of every source, fetching what the cache lacks."""
    emojibase = Emojibase(fetch_npm(*EMOJIBASE, cache=cache))
    for emoji_set in EMOJI_SETS:
        folder = fetch_npm(emoji_set.package, emoji_set.version, cache=cache)
        yield from read_emoji_set(emoji_set, folder, emojibase)
    for (package, version), read in zip(DEBIAN, (read_open_clipart, read_stamps), strict=True):
        folder = fetch_debian(package, version, cache=cache)
        for candidate in read(folder, emojibase):
            yield replace(candidate, source=f"{candidate.source}@{debian_version(package, cache=cache)}")


def weighted(candidate: Candidate) -> Candidate:
    """Return ``candidate``, heavier if people ask for it: a small model draws a few hundred things well, or none."""
    factor = CORE_FACTOR if candidate.thing in CORE else EVERYDAY_FACTOR if candidate.thing in EVERYDAY_THINGS else 1.0
    return replace(candidate, weight=candidate.weight * factor)


def split_by_thing(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Hold out some things in every style, and some single pictures of things that are trained on.

    A thing is held out together with everything whose name contains it ("tiger" takes "bengal tiger" along).
    The choice depends on the names alone, so it is the same in every build.
    """
    styles = Counter(thing for thing, _ in {(c.thing, c.style) for c in candidates})
    drawn = {c.thing for c in candidates if c.category in _HELD_OUT_CATEGORIES}
    covered = [thing for thing in sorted(drawn - CORE) if styles[thing] >= 3]
    held = [thing for thing in covered if hashed_fraction(f"thing {thing}") < HELD_OUT_THINGS]
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, held))})\b") if held else re.compile(r"(?!)")

    def split(candidate: Candidate) -> str:
        if any(pattern.search(name) for name in candidate.names):
            return "heldout_thing"
        drawn_alike = "fluent" if candidate.style in _FLUENT_STYLES else candidate.style
        chance = hashed_fraction(f"picture {candidate.thing} {drawn_alike}")
        is_held = styles[candidate.thing] >= 3 and chance < HELD_OUT_PICTURES
        return "heldout_picture" if is_held else "train"

    return {candidate.id: split(candidate) for candidate in candidates}
