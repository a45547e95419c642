"""Colour only: the content's colours moved onto the style's, in Lab. The drawing stays as it is.

Two ways: the linear map that matches mean and covariance, and optimal transport of the whole distribution
by slices. Several references are one distribution: their pixels, drawn in proportion to the weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from studio.events import Step
from studio.inpaint.context import Context
from studio.stylize.lab import to_lab, to_rgb
from studio.stylize.smoothing import guided_filter
from studio.stylize.task import Outcome, ShouldStop, Stage, Task

Array = np.ndarray[Any, Any]

ROUNDS = 12
_SAMPLE = 32_768
_LEVELS = 512
_RIDGE = 1e-3  # Lab units squared: keeps flat pictures invertible


def reference_pixels(references: Sequence[Array], weights: Sequence[float], *, count: int = _SAMPLE) -> Array:
    """Return about `count` Lab pixels (n, 3) of the references, evenly spread, in proportion to `weights`."""
    total = sum(weights)
    drawn = []
    for picture, weight in zip(references, weights, strict=True):
        pixels = to_lab(picture).reshape(-1, 3)
        wanted = round(count * weight / total)
        if wanted:
            drawn.append(pixels[np.linspace(0, len(pixels) - 1, wanted).round().astype(np.int64)])
    return np.concatenate(drawn)


def match_statistics(content: Array, style: Array, *, strength: float = 1.0) -> Array:
    """Return `content` (h, w, 3) uint8 with the mean and covariance of the `style` pixels (n, 3) in Lab.

    The map is the linear one that moves colours least.

    Source: Pitié & Kokaram 2007, "The linear Monge-Kantorovitch linear colour mapping", eq. 8.
    """
    lab = to_lab(content)
    pixels = lab.reshape(-1, 3).astype(np.float64)
    transform = _monge(_covariance(pixels), _covariance(style.astype(np.float64)))
    mapped = (pixels - pixels.mean(axis=0)) @ transform + style.mean(axis=0)
    return _mixed(lab, mapped.reshape(lab.shape).astype(np.float32), strength)


def transport(content: Array, style: Array, *, strength: float = 1.0, seed: int = 0) -> Iterator[Array]:
    """Yield `content` (h, w, 3) uint8 after every round of moving its colours onto the `style` pixels (n, 3).

    Each round turns Lab space at random and matches the three marginals exactly; ROUNDS rounds bring the
    distributions together. The displacement is smoothed along the content's edges, which removes the grain
    that exact matching leaves in skies and skins.

    Source: Pitié, Kokaram, Dahyot 2007, "Automated colour grading using colour distribution transfer",
    sections 3 and 4; Bonneel et al. 2015 for the view as sliced optimal transport.
    """
    lab = to_lab(content)
    pixels = lab.reshape(-1, 3).astype(np.float64)
    sample = np.linspace(0, len(pixels) - 1, min(len(pixels), _SAMPLE)).round().astype(np.int64)
    rng = np.random.default_rng(seed)
    levels = np.linspace(0, 1, _LEVELS)
    for _ in range(ROUNDS):
        axes = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        moved, target = pixels @ axes, style.astype(np.float64) @ axes
        for axis in range(3):
            source, target_levels = np.quantile(moved[sample, axis], levels), np.quantile(target[:, axis], levels)
            moved[:, axis] = np.interp(moved[:, axis], *_steps(source, target_levels))
        pixels = moved @ axes.T
        yield _mixed(lab, _without_grain(lab, pixels.reshape(lab.shape).astype(np.float32)), strength)


def run_statistics(task: Task, context: Context, should_stop: ShouldStop) -> Stage:
    """Method "colour": mean and covariance."""
    if should_stop():
        return None
    result = match_statistics(np.asarray(task.content), _style(task), strength=task.request.strength)
    picture = Image.fromarray(result)
    yield Step(1, 1, preview=picture)
    return Outcome((picture,))


def run_transport(task: Task, context: Context, should_stop: ShouldStop) -> Stage:
    """Method "colour_transport": the whole distribution; every round is shown."""
    rounds = transport(np.asarray(task.content), _style(task), strength=task.request.strength, seed=task.seeds[0])
    picture = task.content
    for index in range(1, ROUNDS + 1):
        if should_stop():
            return None
        picture = Image.fromarray(next(rounds))
        yield Step(index, ROUNDS, preview=picture)
    return Outcome((picture,))


def _style(task: Task) -> Array:
    return reference_pixels([np.asarray(picture) for picture in task.references], task.weights)


def _steps(source: Array, target: Array) -> tuple[Array, Array]:
    """Return rising quantiles and where each goes; equal ones (a flat colour) go to the middle of their share."""
    values, place = np.unique(source.round(4), return_inverse=True)
    return values, np.bincount(place, weights=target) / np.bincount(place)


def _without_grain(lab: Array, mapped: Array) -> Array:
    radius = max(2, min(lab.shape[:2]) // 64)
    guide = np.ascontiguousarray(lab[..., 0])
    return lab + guided_filter(guide, mapped - lab, radius=radius, epsilon=4.0)


def _mixed(lab: Array, mapped: Array, strength: float) -> Array:
    return to_rgb(lab + np.float32(strength) * (mapped - lab))


def _covariance(pixels: Array) -> Array:
    return np.cov(pixels, rowvar=False, bias=True) + _RIDGE * np.eye(3)


def _monge(source: Array, target: Array) -> Array:
    """Return A = S^-1/2 (S^1/2 T S^1/2)^1/2 S^-1/2, symmetric, with A S A = T."""
    root, inverse = _power(source, 0.5), _power(source, -0.5)
    return inverse @ _power(root @ target @ root, 0.5) @ inverse


def _power(matrix: Array, exponent: float) -> Array:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 1e-12) ** exponent) @ vectors.T
