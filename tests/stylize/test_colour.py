"""Colour transfer: the statistics really match, and the drawing stays."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from studio.stylize import colour
from studio.stylize.lab import to_lab, to_rgb


def picture(seed: int, *, size: tuple[int, int] = (48, 64), tint: tuple[int, int, int] = (0, 0, 0)) -> np.ndarray:
    """Soft random blobs around mid grey, tinted: in gamut, so that nothing is clipped."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, 14, (6, 8, 3)).repeat(size[0] // 6, 0).repeat(size[1] // 8, 1)
    return np.clip(128 + coarse + np.array(tint), 0, 255).astype(np.uint8)


def test_lab_and_back_is_the_same_picture() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    assert np.abs(to_rgb(to_lab(rgb)).astype(int) - rgb).max() <= 1


def test_matched_statistics_are_the_styles() -> None:
    content, style = picture(1), picture(2, tint=(30, -20, 10))
    pixels = to_lab(style).reshape(-1, 3)
    result = to_lab(colour.match_statistics(content, pixels)).reshape(-1, 3)
    assert np.abs(result.mean(0) - pixels.mean(0)).max() < 0.5
    assert np.abs(np.cov(result.T) - np.cov(pixels.T)).max() < 0.05 * np.abs(np.cov(pixels.T)).max()


def test_transport_brings_every_marginal_to_the_style() -> None:
    content, style = picture(1), picture(2, tint=(30, -20, 10))
    pixels = to_lab(style).reshape(-1, 3)
    *_, last = colour.transport(content, pixels, seed=3)
    before, after = to_lab(content).reshape(-1, 3), to_lab(last).reshape(-1, 3)
    for axis in range(3):
        far = wasserstein_distance(before[:, axis], pixels[:, axis])
        assert wasserstein_distance(after[:, axis], pixels[:, axis]) < 0.4 * far + 0.3


def test_each_round_is_shown_and_the_seed_decides() -> None:
    content, style = picture(1), to_lab(picture(2)).reshape(-1, 3)
    first, again = list(colour.transport(content, style, seed=5)), list(colour.transport(content, style, seed=5))
    assert len(first) == colour.ROUNDS
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_strength_goes_from_the_content_to_the_style(strength: float) -> None:
    content, style = picture(1), to_lab(picture(2, tint=(40, 0, -40))).reshape(-1, 3)
    half = colour.match_statistics(content, style, strength=strength)
    full = colour.match_statistics(content, style)
    expected = to_lab(content) + strength * (to_lab(full) - to_lab(content))
    assert np.abs(to_lab(half) - expected).max() < 1.5


@pytest.mark.parametrize("flat", ["content", "style"])
def test_a_flat_picture_is_no_obstacle(flat: str) -> None:
    plain = np.full((16, 16, 3), (200, 30, 60), np.uint8)
    content, style = (plain, picture(2)) if flat == "content" else (picture(2), plain)
    pixels = colour.reference_pixels([style], [1.0])
    for result in (colour.match_statistics(content, pixels), *colour.transport(content, pixels)):
        assert np.abs(to_lab(result).mean((0, 1)) - pixels.mean(0)).max() < 3


def test_references_count_by_their_weights() -> None:
    red, blue = np.full((9, 9, 3), (255, 0, 0), np.uint8), np.full((50, 50, 3), (0, 0, 255), np.uint8)
    pixels = colour.reference_pixels([red, blue], [3, 1], count=1000)
    assert len(pixels) == 1000
    assert (pixels[:, 1] > 79.9).sum() == 750  # a of pure red is 80.1, of pure blue 79.2
    assert len(colour.reference_pixels([red, blue], [1, 0], count=1000)) == 1000
