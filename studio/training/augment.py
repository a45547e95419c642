"""Caption-aware augmentation: every change of the picture is also said in its caption, or not noticeable.

From a pack of things on transparency this draws scenes that teach a model to compose: a thing in another
colour ("a blue apple"), on a coloured background, small or in a corner, several of it ("three stars"), or
two different things side by side ("a cat and a lemon"). Colour words are measured on the final pixels.
Some (colour, thing) pairs are never drawn, so that composition can be tested honestly on them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from studio.training import captions as words
from studio.training.build import hashed_fraction
from studio.training.colours import COLOURS, HUES_DEGREES, dominant_colours, paint, recolour
from studio.training.layout import Layout, arrange
from studio.training.pack import SIDE, Pack, Record

HELD_OUT_PAIRS = 0.06  # share of the (colour, thing) pairs that are never drawn
_FIXED_COLOUR = frozenset({"person", "hand", "family", "flag", "text", "sentence"})
_NOT_COUNTED = frozenset({"person", "family", "flag", "text", "symbol", "hand", "sentence"})
_NOT_MIRRORED = frozenset({"flag", "text", "symbol"})
_SOLID = 0.93  # a picture this opaque brings its own background
_CHANCE_MIRROR, _CHANCE_RECOLOUR, _CHANCE_SAY_COLOUR = 0.5, 0.3, 0.5
_CHANCE_STYLE, _CHANCE_KEYWORDS, _CHANCE_OTHER_NAME, _CHANCE_NO_ARTICLE = 0.6, 0.12, 0.35, 0.1
_CHANCE_BACKGROUND, _CHANCE_SAY_WHITE = 0.3, 0.05


@dataclass(frozen=True)
class Example:
    """One training sample: `picture` (size, size, 3) uint8 RGB, its caption, and the number in the pack."""

    picture: NDArray[np.uint8]
    caption: str
    index: int


@dataclass(frozen=True)
class _Plan:
    """What sampling needs, computed once per pack: picture numbers and summed weights, in all and by style."""

    numbers: NDArray[np.int64]
    summed: NDArray[np.float64]
    by_style: dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]
    held: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class _Thing:
    rgba: NDArray[np.uint8]
    name: str
    adjectives: tuple[str, ...]
    colours: tuple[str, ...]


def draw(
    pack: Pack, rng: np.random.Generator, *, size: int = 256, captions: bool = True, composed: float = 1.0
) -> Example:
    """Draw one augmented sample from the train split, by weight.

    Args:
        pack: Where the things come from.
        rng: Decides everything; the same state gives the same sample.
        size: Side of the picture in pixels.
        captions: False leaves the caption empty, for tasks without text.
        composed: Share of samples that may have any layout, 0 to 1. The others are what a model should learn first:
            one thing filling the frame, with its style named.
    """
    plan = _plan(pack)
    index = _pick(plan.numbers, plan.summed, rng)
    record = pack.records[index]
    is_simple = composed < 1 and rng.random() >= composed
    if record.solid > _SOLID:
        picture, caption = _whole_picture(pack, index, size, rng)
    else:
        if is_simple:
            things, layout = [_thing(pack, plan, index, rng)], Layout.whole()
        else:
            things, layout = _cast(pack, plan, index, rng)
        background, said = _background(things, rng)
        picture = _compose([thing.rgba for thing in things], layout, background, size)
        scene = layout.describe([(thing.name, thing.adjectives) for thing in things], rng)
        caption = f"{scene} {said}" if said else scene
    said = _finish(caption, record, rng, style=1.0 if is_simple else _CHANCE_STYLE) if captions else ""
    return Example(picture, said, index)


def plain(pack: Pack, i: int, size: int = 256) -> Example:
    """Return picture `i` as it is, on white, with its canonical caption."""
    record = pack.records[i]
    adjectives = record.colours[:1] if record.category in ("heart", "shape") else ()
    caption = words.canonical(_names(record)[0], record.style, adjectives=adjectives)
    white = np.full(3, 255, np.uint8)
    return Example(_compose([pack.picture(i)], Layout.whole(), white, size), caption, i)


def heldout_pairs(pack: Pack) -> frozenset[tuple[str, str]]:
    """Return the (colour, thing) pairs that `draw` never makes and no training picture shows."""
    return _plan(pack).held


@lru_cache(maxsize=4)
def _plan(pack: Pack) -> _Plan:
    numbers = pack.indices("train")
    weights = np.array([pack.records[i].weight for i in numbers])
    styles = np.array([pack.records[i].style for i in numbers])
    flat = np.array([pack.records[i].solid <= _SOLID for i in numbers], bool)
    by_style = {}
    for style in dict.fromkeys(styles.tolist()):
        chosen = (styles == style) & flat
        by_style[style] = numbers[chosen], np.cumsum(weights[chosen])
    return _Plan(numbers, np.cumsum(weights), by_style, _held(pack, numbers))


def _held(pack: Pack, numbers: NDArray[np.int64]) -> frozenset[tuple[str, str]]:
    shown: dict[str, set[str]] = {}
    pictures: dict[str, int] = {}
    for record in (pack.records[i] for i in numbers):
        if record.category not in _FIXED_COLOUR:
            shown.setdefault(record.thing, set()).update(record.colours)
            pictures[record.thing] = pictures.get(record.thing, 0) + 1
    return frozenset(
        (colour, thing)
        for thing, natural in shown.items()
        for colour in HUES_DEGREES
        if pictures[thing] >= 3 and colour not in natural and hashed_fraction(f"{colour} {thing}") < HELD_OUT_PAIRS
    )


def _pick(numbers: NDArray[np.int64], summed: NDArray[np.float64], rng: np.random.Generator) -> int:
    return int(numbers[np.searchsorted(summed, rng.random() * summed[-1], side="right")])


def _cast(pack: Pack, plan: _Plan, index: int, rng: np.random.Generator) -> tuple[list[_Thing], Layout]:
    """Choose what is in the scene and where: one thing, several of it, or two different things."""
    record = pack.records[index]
    first = _thing(pack, plan, index, rng)
    chance = rng.random()
    countable = record.category not in _NOT_COUNTED and words.can_be_counted(first.name)
    if chance < 0.09 and countable:
        count = int(rng.choice([2, 3, 4], p=[0.45, 0.4, 0.15]))
        return [first] * count, arrange("several", count, rng)
    numbers, summed = plan.by_style[record.style]
    if chance < 0.27 and len(numbers) > 1:
        other = _pick(numbers, summed, rng)
        second = _thing(pack, plan, other, rng)
        if second.name != first.name:
            return [first, second], arrange("pair", 2, rng)
    return [first], arrange("single", 1, rng)


def _thing(pack: Pack, plan: _Plan, index: int, rng: np.random.Generator) -> _Thing:
    """Take one thing out of the pack, perhaps mirrored, renamed or in another colour."""
    record = pack.records[index]
    names = _names(record)
    name = names[0]
    if len(names) > 1 and rng.random() < _CHANCE_OTHER_NAME:
        name = names[int(rng.integers(1, len(names)))]
    rgba = pack.picture(index)
    is_mirrored = rng.random() < _CHANCE_MIRROR
    if is_mirrored and record.category not in _NOT_MIRRORED and not re.search(r"\b(left|right)\b", name):
        rgba = rgba[:, ::-1]
    if record.category not in _FIXED_COLOUR and rng.random() < _CHANCE_RECOLOUR:
        colour = COLOURS[int(rng.integers(len(COLOURS)))]
        if (colour, record.thing) not in plan.held and colour not in record.colours:
            changed = recolour(rgba, colour)
            if changed is not None:
                return _Thing(changed, name, (colour,), dominant_colours(changed))
    says = rng.random() < _CHANCE_SAY_COLOUR or record.category in ("heart", "shape")
    return _Thing(rgba, name, record.colours[:1] if says else (), record.colours)


def _background(things: list[_Thing], rng: np.random.Generator) -> tuple[NDArray[np.uint8], str]:
    """Choose a background and what is said of it: mostly white and nothing."""
    taken = {colour for thing in things for colour in thing.colours}
    chance = rng.random()
    if chance < (0.8 if "white" in taken else _CHANCE_BACKGROUND):
        free = [colour for colour in COLOURS if colour not in taken and colour != "white"]
        colour = free[int(rng.integers(len(free)))]
        article = "an" if colour == "orange" else "a"
        said = f"on {article} {colour} background" if rng.random() < 0.8 else f", {colour} background"
        return paint(colour, rng), said
    said = "on a white background" if chance > 1 - _CHANCE_SAY_WHITE else ""
    return np.full(3, 255, np.uint8), said


def _compose(
    pictures: list[NDArray[np.uint8]], layout: Layout, background: NDArray[np.uint8], size: int
) -> NDArray[np.uint8]:
    """Lay RGBA pictures over a flat background at the places of the layout, -> (size, size, 3) uint8."""
    canvas = np.empty((size, size, 3), np.float32)
    canvas[:] = background
    for rgba, (x, y, scale) in zip(pictures, layout.places, strict=True):
        side = max(4, round(size * scale))
        left, top = round(x * size - side / 2), round(y * size - side / 2)
        x0, y0, x1, y1 = max(0, left), max(0, top), min(size, left + side), min(size, top + side)
        if x1 <= x0 or y1 <= y0:
            continue
        colour, alpha = _premultiplied(rgba, side)
        inside = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
        region = canvas[y0:y1, x0:x1]
        region *= 1 - alpha[inside]
        region += colour[inside]
    return np.clip(canvas + 0.5, 0, 255).astype(np.uint8)


def _premultiplied(rgba: NDArray[np.uint8], side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scale to (side, side): colour times alpha 0-255 (side, side, 3), and alpha 0-1 (side, side, 1)."""
    pixels = rgba.astype(np.float32)
    pixels[..., :3] *= pixels[..., 3:] * (1 / 255)
    if side != SIDE:
        how = cv2.INTER_AREA if side < SIDE else cv2.INTER_LINEAR
        pixels = np.asarray(cv2.resize(pixels, (side, side), interpolation=how), np.float32)
    return pixels[..., :3], pixels[..., 3:] * np.float32(1 / 255)


def _whole_picture(pack: Pack, index: int, size: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], str]:
    """A picture with its own background: mirrored or cropped a little, never recoloured."""
    record = pack.records[index]
    rgba = pack.picture(index)
    if rng.random() < _CHANCE_MIRROR and record.category not in _NOT_MIRRORED:
        rgba = rgba[:, ::-1]
    margin = int(rng.integers(0, SIDE // 8))
    left, top = (int(v) for v in rng.integers(0, margin + 1, 2))
    crop = rgba[top : top + SIDE - margin, left : left + SIDE - margin, :3]
    how = cv2.INTER_AREA if size < SIDE else cv2.INTER_LINEAR
    picture = cv2.resize(np.ascontiguousarray(crop), (size, size), interpolation=how)
    return np.asarray(picture, np.uint8), words.with_article(_names(record)[0])


def _finish(caption: str, record: Record, rng: np.random.Generator, *, style: float) -> str:
    """Add style word and keywords, drop an article: the ways people write prompts."""
    if rng.random() < _CHANCE_NO_ARTICLE:
        caption = re.sub(r"^(an?|the) ", "", caption)
    if record.keywords and rng.random() < _CHANCE_KEYWORDS:
        chosen = rng.permutation(len(record.keywords))[: int(rng.integers(1, 3))]
        caption = ", ".join([caption, *(record.keywords[int(i)] for i in chosen)])
    if rng.random() < style:
        caption = words.in_style(caption, record.style, rng)
    return caption.replace(" ,", ",")


def _names(record: Record) -> tuple[str, ...]:
    return record.names or (record.thing,)
