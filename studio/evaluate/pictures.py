"""Measures between two pictures, NumPy and OpenCV only; RGB uint8 arrays (h, w, 3) throughout."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from studio.stylize.lab import to_lab

Array = np.ndarray[Any, Any]

_PATCH, _LEVELS, _SLICES, _PATCHES = 7, 3, 128, 4096
_QUANTILES = 256


def ssim(first: Array, second: Array) -> float:
    """Return the structure similarity of two luminances (h, w), 0 to 255, at most 1.

    Source: Wang et al. 2004, "Image quality assessment", with its Gaussian window (sigma 1.5, K 0.01 and 0.03).
    """
    x, y = first.astype(np.float64), second.astype(np.float64)

    def mean(values: Array) -> Array:
        return cv2.GaussianBlur(values, (11, 11), 1.5)

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    score = ((2 * mx * my + c1) * (2 * cov + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    inner = score[5:-5, 5:-5] if min(score.shape) > 10 else score
    return float(inner.mean())


def content_kept(content: Array, result: Array) -> float:
    """Return how much of the content's drawing is left: SSIM on lightness and on edge strength, averaged."""
    pair = [np.ascontiguousarray(to_lab(picture)[..., 0]) * 2.55 for picture in (content, result)]
    edges = [np.hypot(cv2.Sobel(p, cv2.CV_32F, 1, 0) / 4, cv2.Sobel(p, cv2.CV_32F, 0, 1) / 4) for p in pair]
    return (ssim(*pair) + ssim(*edges)) / 2


def style_distance(picture: Array, style: Array, *, seed: int = 0) -> float:
    """Return how far the textures of two pictures are apart, colour included; 0 for the same picture.

    The sliced Wasserstein distance between 7x7 Lab patches of three Laplacian levels, averaged. Unlike feature
    distances it owes nothing to any network, so it does not favour the method that uses that network.

    Source: Karras et al. 2018, "Progressive growing of GANs", section 5 (they use levels of RGB).
    """
    rng = np.random.default_rng(seed)
    total = 0.0
    for ours, theirs in zip(_laplacian(to_lab(picture)), _laplacian(to_lab(style)), strict=True):
        slices = rng.standard_normal((_PATCH * _PATCH * 3, _SLICES))
        slices /= np.linalg.norm(slices, axis=0)
        total += _sliced_distance(_patches(ours, rng) @ slices, _patches(theirs, rng) @ slices)
    return total / _LEVELS


def colour_distance(picture: Array, style: Array) -> float:
    """Return the sliced Wasserstein distance between the Lab pixels of two pictures, in units of delta E."""
    slices = np.random.default_rng(0).standard_normal((3, 64))
    slices /= np.linalg.norm(slices, axis=0)
    return _sliced_distance(to_lab(picture).reshape(-1, 3) @ slices, to_lab(style).reshape(-1, 3) @ slices)


def psnr(first: Array, second: Array, where: Array) -> float:
    """Return the peak signal-to-noise ratio in dB over the pixels `where` (h, w) bool."""
    error = np.mean((first[where].astype(np.float64) - second[where]) ** 2)
    return float(10 * np.log10(255**2 / max(float(error), 1e-10)))


def seam_visibility(picture: Array, mask: Array, *, band: int = 6) -> float:
    """Return the mean lightness step across the edge of `mask` (h, w) bool over that beside it, in and out.

    1: the seam is as smooth as its surroundings; 2: twice as steep. `band` is the width, in pixels, of what
    counts as beside it.
    """
    lightness = np.ascontiguousarray(to_lab(picture)[..., 0])
    slope = np.hypot(cv2.Sobel(lightness, cv2.CV_32F, 1, 0), cv2.Sobel(lightness, cv2.CV_32F, 0, 1))
    inside = mask.astype(np.uint8)
    near = cv2.dilate(inside, np.ones((3, 3), np.uint8)) != cv2.erode(inside, np.ones((3, 3), np.uint8))
    wide = np.ones((2 * band + 1,) * 2, np.uint8)
    beside = (cv2.dilate(inside, wide) != cv2.erode(inside, wide)) & ~near
    return float(slope[near].mean() / max(slope[beside].mean(), 0.05))


def _laplacian(lab: Array) -> list[Array]:
    levels = []
    for _ in range(_LEVELS - 1):
        small = cv2.pyrDown(lab)
        levels.append(lab - cv2.pyrUp(small, dstsize=(lab.shape[1], lab.shape[0])))
        lab = small
    return [*levels, lab]


def _patches(level: Array, rng: np.random.Generator) -> Array:
    """Random patches (n, 7 * 7 * 3) of a level."""
    if min(level.shape[:2]) < _PATCH:
        level = cv2.resize(level, (max(level.shape[1], _PATCH), max(level.shape[0], _PATCH)))
    windows = np.lib.stride_tricks.sliding_window_view(level, (_PATCH, _PATCH), axis=(0, 1))
    rows = rng.integers(0, windows.shape[0], _PATCHES)
    columns = rng.integers(0, windows.shape[1], _PATCHES)
    return windows[rows, columns].reshape(_PATCHES, -1)


def _sliced_distance(first: Array, second: Array) -> float:
    at = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    return float(np.abs(np.quantile(first, at, axis=0) - np.quantile(second, at, axis=0)).mean())
