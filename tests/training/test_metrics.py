"""Figures against scikit-image, scipy and values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from studio.training.metrics import LinearProbe, frechet_distance, nearest, psnr, ssim

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (48, 40, 3), dtype=np.uint8)
NOISY = np.clip(PICTURE + RNG.normal(0, 20, PICTURE.shape), 0, 255).astype(np.uint8)


def test_psnr_and_ssim_are_those_of_scikit_image() -> None:
    assert psnr(PICTURE, NOISY) == pytest.approx(peak_signal_noise_ratio(PICTURE, NOISY))
    assert ssim(PICTURE, NOISY) == pytest.approx(structural_similarity(PICTURE, NOISY, channel_axis=2), abs=1e-9)


def test_equal_pictures_are_perfect() -> None:
    assert psnr(PICTURE, PICTURE) == float("inf")
    assert ssim(PICTURE, PICTURE) == pytest.approx(1)


def test_frechet_distance_of_shifted_and_scaled_gaussians() -> None:
    base = RNG.normal(size=(4000, 3))
    base = (base - base.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(base, rowvar=False))).T  # unit covariance
    assert frechet_distance(base, base) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(base, base + np.array([3, 0, 4])) == pytest.approx(25)
    assert frechet_distance(base, 2 * base) == pytest.approx(3 * (1 + 4 - 2 * 2))


def test_nearest_finds_the_same_direction_whatever_the_length() -> None:
    among = np.array([[1.0, 0], [0, 1], [-1, 0]])
    rows, similarity = nearest(np.array([[0.1, 5.0]]), among, count=2)
    assert rows.tolist() == [[1, 0]]
    assert similarity[0, 0] == pytest.approx(5 / np.hypot(0.1, 5))


def test_a_probe_learns_classes_of_very_different_sizes() -> None:
    centres = RNG.normal(size=(3, 16))
    labels = ["cat"] * 200 + ["dog"] * 20 + ["owl"] * 5
    order = np.array([0] * 200 + [1] * 20 + [2] * 5)
    probe = LinearProbe(centres[order] + 0.1 * RNG.normal(size=(225, 16)), labels)
    fresh = centres + 0.1 * RNG.normal(size=(3, 16))
    assert [row[0] for row in probe.top(fresh, count=2)] == ["cat", "dog", "owl"]
