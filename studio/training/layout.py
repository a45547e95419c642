"""Where things stand in a drawn scene, and the words for it: size, position, number, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from studio.training import captions as words

Place = tuple[float, float, float]  # centre x, centre y, scale; all as fractions of the frame
Kind = Literal["single", "several", "pair"]

_POSITIONS = {
    "on the left": (0.25, 0.5), "on the right": (0.75, 0.5), "at the top": (0.5, 0.25), "at the bottom": (0.5, 0.75),
    "in the top left corner": (0.22, 0.22), "in the top right corner": (0.78, 0.22),
    "in the bottom left corner": (0.22, 0.78), "in the bottom right corner": (0.78, 0.78), "in the middle": (0.5, 0.5),
}  # fmt: skip
_ROWS = {2: 0.5, 3: 0.345, 4: 0.47}


@dataclass(frozen=True)
class Layout:
    """Places of one to four things and what is said about them.

    `size` ("small", "big" or "") goes before the noun, `position` after it; `relation` joins two things.
    """

    places: tuple[Place, ...]
    size: str = ""
    position: str = ""
    relation: str = "{} and {}"

    @classmethod
    def whole(cls) -> Self:
        """One thing filling the frame, nothing said."""
        return cls(((0.5, 0.5, 1.0),))

    def describe(self, things: Sequence[tuple[str, tuple[str, ...]]], rng: np.random.Generator) -> str:
        """Name the things (noun, adjectives) with articles or numbers, sizes and positions."""
        if len(things) == 1:
            (noun, adjectives), sizes = things[0], (self.size,) if self.size else ()
            text = words.with_article(noun, adjectives=(*sizes, *adjectives))
        elif all(thing == things[0] for thing in things):
            text = words.several(things[0][0], len(things), adjectives=things[0][1])
        else:
            first, second = (words.with_article(noun, adjectives=adjectives) for noun, adjectives in things)
            text = self.relation.format(first, second)
        return f"{text} {self.position}" if self.position else text


def arrange(kind: Kind, count: int, rng: np.random.Generator) -> Layout:
    """Draw a layout for one thing, `count` copies of a thing, or two different things."""
    if kind == "single":
        return _single(rng)
    if kind == "several":
        return _several(count, rng)
    return _pair(rng)


def _single(rng: np.random.Generator) -> Layout:
    chance = rng.random()
    if chance < 0.62:
        return Layout((_jittered(0.5, 0.5, float(rng.uniform(0.93, 1.03)), 0.01, rng),))
    if chance < 0.78:
        return Layout((_jittered(0.5, 0.5, float(rng.uniform(0.7, 0.93)), 0.04, rng),))
    if chance < 0.84:
        return Layout((_jittered(0.5, 0.5, float(rng.uniform(0.3, 0.45)), 0.03, rng),), size=_one("small", "tiny", rng))
    if chance < 0.88:
        return Layout((_jittered(0.5, 0.5, float(rng.uniform(1.02, 1.1)), 0.0, rng),), size=_one("big", "large", rng))
    position = list(_POSITIONS)[int(rng.integers(len(_POSITIONS)))]
    scale = float(rng.uniform(0.38, 0.5))
    x, y = _POSITIONS[position]
    size = "small" if scale < 0.44 and rng.random() < 0.4 else ""
    return Layout((_jittered(x, y, scale, 0.02, rng),), size=size, position=position)


def _several(count: int, rng: np.random.Generator) -> Layout:
    scale = _ROWS[count] * float(rng.uniform(0.9, 1.0))
    if count == 4:
        centres = [(0.26, 0.26), (0.74, 0.26), (0.26, 0.74), (0.74, 0.74)]
    elif count == 3 and rng.random() < 0.4:  # a triangle leaves more room than a row
        centres, scale = [(0.5, 0.27), (0.26, 0.73), (0.74, 0.73)], scale * 1.3
    else:
        centres = [((i + 0.5) / count, 0.5) for i in range(count)]
    return Layout(tuple(_jittered(x, y, scale, 0.015, rng) for x, y in centres))


def _pair(rng: np.random.Generator) -> Layout:
    scale = float(rng.uniform(0.44, 0.52))
    if rng.random() < 0.25:
        relation = _one("{} above {}", "{} on top and {} below", rng)
        centres = [(0.5, 0.26), (0.5, 0.74)]
    else:
        choices = ("{} and {}", "{} next to {}", "{} on the left and {} on the right", "{} to the left of {}")
        relation = choices[int(rng.choice(4, p=[0.6, 0.2, 0.12, 0.08]))]
        centres = [(0.26, 0.5), (0.74, 0.5)]
    return Layout(tuple(_jittered(x, y, scale, 0.015, rng) for x, y in centres), relation=relation)


def _jittered(x: float, y: float, scale: float, spread: float, rng: np.random.Generator) -> Place:
    dx, dy = rng.uniform(-spread, spread, 2)
    room = min(0.5, scale * 0.47)  # a thing fills 92 % of its place: it stays inside the frame
    x, y = (min(max(v, room), 1 - room) for v in (x + float(dx), y + float(dy)))
    return x, y, scale


def _one(usual: str, other: str, rng: np.random.Generator) -> str:
    return usual if rng.random() < 0.7 else other
