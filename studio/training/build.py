"""Turn candidates into a pack: rasterise in several processes, drop duplicates, hold pictures out, write.

Shared by the pictogram sources and by an artist's own folder. One damaged file never ends a build: it is
listed with its reason in the `Summary`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from studio.errors import StudioError
from studio.training.colours import dominant_colours
from studio.training.emoji import Candidate
from studio.training.pack import PackWriter, encode_webp
from studio.training.raster import Unusable, rasterise

Progress = Callable[[str], Any]
Splitter = Callable[[Sequence[Candidate]], dict[str, str]]
PROCESSES = 2
_NEAR_BITS = 2  # difference hashes this close, and
_NEAR_MEAN, _NEAR_MAX = 1.2, 30  # thumbnails this close (of 255) are the same picture
_COLOURLESS = frozenset({"person", "hand", "family", "flag", "text", "sentence"})


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a build kept and what it refused.

    `duplicates` lists (id left out, id kept), `rejected` (id, reason).
    """

    path: Path
    pictures: int
    bytes: int
    by_style: dict[str, int]
    by_split: dict[str, int]
    by_licence: dict[str, int]
    things: int
    duplicates: tuple[tuple[str, str], ...] = ()
    rejected: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        styles = ", ".join(f"{style or 'no style'} {n}" for style, n in sorted(self.by_style.items()))
        held = sum(n for split, n in self.by_split.items() if split != "train")
        return (
            f"{self.path}: {self.pictures} pictures of {self.things} things, {self.bytes / 1e6:.1f} MB "
            f"({styles}; {held} held out; {len(self.duplicates)} duplicates and {len(self.rejected)} unusable left out)"
        )


@dataclass(frozen=True)
class _Drawn:
    webp: bytes
    colours: tuple[str, ...]
    solid: float
    hash: int
    thumbnail: NDArray[np.int16]


def build_pack(
    out: Path,
    candidates: Sequence[Candidate],
    *,
    split: Splitter,
    progress: Progress,
    processes: int = PROCESSES,
    also_rejected: Sequence[tuple[str, str]] = (),
) -> Summary:
    """Rasterise candidates into a new pack.

    Args:
        out: The `NAME.pack` folder to make.
        candidates: What to draw; of two duplicates the first one is kept.
        split: Gives every kept candidate's id its split.
        progress: Called with a line of text every few hundred pictures.
        processes: Rasterising processes; 1 works in this one.
        also_rejected: What the caller refused already, for the summary.

    Raises:
        StudioError: Nothing usable was found, or `out` exists.
    """
    with PackWriter(out) as writer:
        drawn, rejected = _draw_all(candidates, progress, processes)
        kept, duplicates = _without_duplicates(drawn)
        if not kept:
            raise StudioError(
                f"None of {len(candidates)} pictures could be used.", _first_reason(rejected) or "There were none."
            )
        splits = split([candidate for candidate, _ in kept])
        records = []
        for candidate, picture in kept:
            colours = () if candidate.category in _COLOURLESS else picture.colours
            about = {key: getattr(candidate, key) for key in _COPIED}
            about |= {"split": splits[candidate.id], "colours": colours, "solid": round(picture.solid, 3)}
            records.append(writer.add(picture.webp, **about))
    return Summary(
        path=out,
        pictures=len(records),
        bytes=sum(path.stat().st_size for path in out.iterdir()),
        by_style=dict(Counter(record.style for record in records)),
        by_split=dict(Counter(record.split for record in records)),
        by_licence=dict(Counter(record.licence for record in records)),
        things=len({record.thing for record in records}),
        duplicates=tuple(duplicates),
        rejected=(*also_rejected, *rejected),
    )


def hashed_fraction(text: str) -> float:
    """Return a number in [0, 1) that depends on the text alone, the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48


_WORTH_A_PROCESS = 200  # fewer pictures are drawn before the processes have started
_COPIED = ("id", "source", "thing", "names", "keywords", "style", "category", "weight", "licence")


def _draw_all(
    candidates: Sequence[Candidate], progress: Progress, processes: int
) -> tuple[list[tuple[Candidate, _Drawn]], list[tuple[str, str]]]:
    if processes > 1 and len(candidates) >= _WORTH_A_PROCESS:
        # spawned, not forked: a fork of a process with threads (torch's, OpenCV's) can hang on a lock they held
        spawned = get_context("spawn")
        with ProcessPoolExecutor(processes, spawned, initializer=partial(cv2.setNumThreads, 1)) as pool:
            results = pool.map(_draw, [candidate.drawing for candidate in candidates], chunksize=16)
            return _sorted_out(candidates, results, progress)
    return _sorted_out(candidates, (_draw(candidate.drawing) for candidate in candidates), progress)


def _sorted_out(
    candidates: Sequence[Candidate], results: Iterable[_Drawn | str], progress: Progress
) -> tuple[list[tuple[Candidate, _Drawn]], list[tuple[str, str]]]:
    drawn: list[tuple[Candidate, _Drawn]] = []
    rejected: list[tuple[str, str]] = []
    for number, (candidate, result) in enumerate(zip(candidates, results, strict=True), 1):
        if isinstance(result, str):
            rejected.append((candidate.id, result))
        else:
            drawn.append((candidate, result))
        if number % 500 == 0 or number == len(candidates):
            progress(f"drawn {number} of {len(candidates)} pictures, {len(rejected)} unusable")
    return drawn, rejected


def _draw(source: str | Path) -> _Drawn | str:
    """Rasterise and measure one picture; a refusal comes back as its reason."""
    try:
        rgba = rasterise(source)
    except Unusable as reason:
        return str(reason)
    alpha = rgba[..., 3:].astype(np.float32) / 255
    on_white = rgba[..., :3] * alpha + 255 * (1 - alpha)
    grey = cv2.resize(cv2.cvtColor(on_white.astype(np.uint8), cv2.COLOR_RGB2GRAY), (9, 8), interpolation=cv2.INTER_AREA)
    bits = (grey[:, 1:] > grey[:, :-1]).ravel()
    return _Drawn(
        webp=encode_webp(rgba),
        colours=dominant_colours(rgba),
        solid=float((rgba[..., 3] > 128).mean()),
        hash=int.from_bytes(np.packbits(bits).tobytes()),
        thumbnail=cv2.resize(on_white, (12, 12), interpolation=cv2.INTER_AREA).astype(np.int16),
    )


def _without_duplicates(
    drawn: list[tuple[Candidate, _Drawn]],
) -> tuple[list[tuple[Candidate, _Drawn]], list[tuple[str, str]]]:
    """Keep the first of every group of near-identical pictures of one style (dHash, then thumbnails).

    The limits are tight: a neutral and a slightly smiling face differ by 1.4 on average and 49 at most.
    """
    hashes = np.array([picture.hash for _, picture in drawn], np.uint64)
    kept_hashes = np.empty_like(hashes)
    kept: list[int] = []
    duplicates: list[tuple[str, str]] = []
    for i, (candidate, picture) in enumerate(drawn):
        close = np.flatnonzero(np.bitwise_count(kept_hashes[: len(kept)] ^ hashes[i]) <= _NEAR_BITS)
        others = (drawn[kept[int(j)]] for j in close)
        same = (c.id for c, seen in others if c.style == candidate.style and _is_same(seen, picture))
        if (first := next(same, None)) is None:
            kept_hashes[len(kept)] = hashes[i]
            kept.append(i)
        else:
            duplicates.append((candidate.id, first))
    return [drawn[i] for i in kept], duplicates


def _is_same(one: _Drawn, other: _Drawn) -> bool:
    difference = np.abs(one.thumbnail - other.thumbnail)
    return bool(difference.mean() < _NEAR_MEAN and difference.max() <= _NEAR_MAX)


def _first_reason(rejected: list[tuple[str, str]]) -> str:
    return f"The first, {rejected[0][0]}: {rejected[0][1]}." if rejected else ""
