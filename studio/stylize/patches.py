"""Brush strokes: the content painted with patches cut from the style pictures. No network, no training.

From coarse to fine, every patch of the picture is replaced by the style patch most like it, and overlapping
patches are blended; repeating this makes neighbours agree, so that strokes run on. In between, the content's
edges are drawn back in. Colours are brought to the style's first, so that like finds like.

Known deviations from the paper: patches are compared in Lab; the levels and patch sizes are fewer; the search is
over a random sample of the style's patches.

Source: Elad & Milanfar 2017, "Style transfer via texture synthesis", sections III and IV; the blending is Kwatra et
al. 2005, "Texture optimization for example-based synthesis", section 3.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image

from studio.events import Step
from studio.inpaint.context import Context
from studio.stylize.colour import match_statistics, reference_pixels
from studio.stylize.lab import to_lab, to_rgb
from studio.stylize.task import Outcome, ShouldStop, Stage, Task

Array = np.ndarray[Any, Any]

_SAMPLE = 16_384  # style patches that are searched
_DIMENSIONS = 40  # patches are compared by their largest principal components
_FAR = 1.4  # how strongly a patch that fits badly loses against its neighbours
_CHUNK = 2048  # patches looked up at once: bounds the memory


@dataclass(frozen=True, slots=True)
class Level:
    """One pass: the picture at `scale` of its size, patches of `size` pixels, repeated `rounds` times."""

    scale: float
    size: int
    rounds: int


LEVELS = (Level(0.25, 16, 4), Level(0.5, 16, 4), Level(1.0, 20, 2), Level(1.0, 12, 2))


def paint(
    content: Array, styles: Sequence[Array], weights: Sequence[float], *, structure: float, strength: float, seed: int
) -> Iterator[Array]:
    """Yield `content` (h, w, 3) uint8 after every round of painting it with patches of `styles`, each uint8.

    Args:
        content: The picture, at the size to work at.
        styles: The style pictures, of about that size: the size decides how broad the strokes are.
        weights: One per style picture: its share of the patches.
        structure: How firmly edges are drawn back in, in [0, 1].
        strength: How far the picture may leave the content, in [0, 1].
        seed: Of the sample of patches.
    """
    rng = np.random.default_rng(seed)
    own = to_lab(match_statistics(content, reference_pixels(styles, weights)))
    palettes = [to_lab(style) for style in styles]
    edges = _edges(own[..., 0])
    picture = cv2.resize(own, None, fx=LEVELS[0].scale, fy=LEVELS[0].scale, interpolation=cv2.INTER_AREA)
    for number, level in enumerate(LEVELS):
        size = max(round(own.shape[1] * level.scale), level.size), max(round(own.shape[0] * level.scale), level.size)
        goal = cv2.resize(own, size, interpolation=cv2.INTER_AREA)
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
        keep = (1 - strength) / 2 + structure * cv2.resize(edges, size, interpolation=cv2.INTER_AREA) / (1 + number)
        source = _Source.of([_scaled(style, level) for style in palettes], weights, level.size, rng=rng)
        for _ in range(level.rounds):
            picture = source.repaint(picture)
            picture += np.clip(keep, 0, 1)[..., None] * (goal - picture)
            yield _shown(picture, own)
    yield _shown(source.repaint(picture), own)


def run(task: Task, context: Context, should_stop: ShouldStop) -> Stage:
    """Method "strokes": every round is shown."""
    request, began = task.request, time.perf_counter()
    styles = [np.asarray(picture) for picture in task.references]
    total = sum(level.rounds for level in LEVELS) + 1
    rounds = paint(
        np.asarray(task.content),
        styles,
        task.weights,
        structure=request.structure,
        strength=request.strength,
        seed=task.seeds[0],
    )
    picture = task.content
    for index, painted in enumerate(rounds, start=1):
        picture = Image.fromarray(painted)
        yield Step(index, total, preview=picture, seconds=time.perf_counter() - began)
        if should_stop():
            return None
    return Outcome((picture,))


@dataclass(frozen=True, slots=True)
class _Source:
    """The patches to paint with: their pixels (n, s * s * 3), and what they are found by (n, d)."""

    patches: Array
    codes: Array
    axes: Array
    mean: Array
    size: int

    @classmethod
    def of(cls, styles: Sequence[Array], weights: Sequence[float], size: int, *, rng: np.random.Generator) -> _Source:
        drawn = []
        for style, weight in zip(styles, weights, strict=True):
            count = round(_SAMPLE * weight / sum(weights))
            windows = np.lib.stride_tricks.sliding_window_view(style, (size, size), axis=(0, 1))
            rows, columns = (rng.integers(0, side, count) for side in windows.shape[:2])
            drawn.append(windows[rows, columns].transpose(0, 2, 3, 1).reshape(count, size * size * 3))
        patches = np.concatenate(drawn)
        mean = patches.mean(axis=0)
        some = patches[:: max(1, len(patches) // 4096)] - mean
        _, vectors = np.linalg.eigh(some.T @ some)
        axes = np.ascontiguousarray(vectors[:, -_DIMENSIONS:])
        return cls(patches, (patches - mean) @ axes, axes, mean, size)

    def repaint(self, picture: Array) -> Array:
        """Return `picture` (h, w, 3) with its patches replaced by the nearest ones, blended where they overlap."""
        places = [_stops(side, self.size) for side in picture.shape[:2]]
        windows = np.lib.stride_tricks.sliding_window_view(picture, (self.size, self.size), axis=(0, 1))
        wanted = windows[places[0]][:, places[1]].transpose(0, 1, 3, 4, 2).reshape(-1, self.patches.shape[1])
        nearest, distance = self._nearest((wanted - self.mean) @ self.axes)
        trust = (distance + 1e-3) ** (-_FAR / 2)
        window = np.outer(*[np.hanning(self.size + 2)[1:-1].astype(np.float32)] * 2)[..., None]
        total, share = np.zeros_like(picture), np.full((*picture.shape[:2], 1), 1e-6, np.float32)
        corners = [(top, left) for top in places[0] for left in places[1]]
        for (top, left), index, weight in zip(corners, nearest, trust / trust.mean(), strict=True):
            here = np.s_[top : top + self.size, left : left + self.size]
            total[here] += weight * window * self.patches[index].reshape(self.size, self.size, 3)
            share[here] += weight * window
        return total / share

    def _nearest(self, wanted: Array) -> tuple[Array, Array]:
        """Return the patch nearest to each of `wanted` (m, d), and its squared distance."""
        lengths = (self.codes**2).sum(axis=1)
        found, distance = np.empty(len(wanted), np.int64), np.empty(len(wanted), np.float32)
        for begin in range(0, len(wanted), _CHUNK):
            part = wanted[begin : begin + _CHUNK]
            far = lengths - 2 * part @ self.codes.T
            best = far.argmin(axis=1)
            found[begin : begin + _CHUNK] = best
            distance[begin : begin + _CHUNK] = np.maximum(far[np.arange(len(part)), best] + (part**2).sum(axis=1), 0)
        return found, distance


def _shown(picture: Array, content: Array) -> Array:
    return to_rgb(cv2.resize(picture, content.shape[1::-1], interpolation=cv2.INTER_CUBIC))


def _scaled(style: Array, level: Level) -> Array:
    """Return a style picture at a level's scale, never smaller than two patches."""
    scale = max(level.scale, 2 * level.size / min(style.shape[:2]))
    size = round(style.shape[1] * scale), round(style.shape[0] * scale)
    return cv2.resize(style, size, interpolation=cv2.INTER_AREA)


def _stops(side: int, size: int) -> Array:
    """Return where patches begin along a side: overlapping by two thirds, the last one at the end."""
    return np.unique(np.append(np.arange(0, side - size, size // 3), side - size))


def _edges(lightness: Array) -> Array:
    """Return how much of an edge each pixel is, in [0, 1]: the gradient over its 97th percentile, widened."""
    smooth = cv2.GaussianBlur(np.ascontiguousarray(lightness), (0, 0), 2)
    slope = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    strong = max(float(np.percentile(slope, 97)), 1.0)
    return cv2.GaussianBlur(cv2.dilate(np.clip(slope / strong, 0, 1), np.ones((3, 3), np.uint8)), (0, 0), 1.5)
