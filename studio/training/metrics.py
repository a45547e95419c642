"""Figures that say how good a trained model is. Pictures are uint8 arrays (h, w, 3) RGB unless said otherwise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from scipy.ndimage import uniform_filter

Picture = NDArray[np.uint8]
Features = NDArray[np.floating]


def psnr(first: Picture, second: Picture) -> float:
    """Return the peak signal-to-noise ratio in dB over all three channels; infinite for equal pictures."""
    error = np.square(first.astype(np.float64) - second.astype(np.float64)).mean()
    return float("inf") if error == 0 else float(10 * np.log10(255.0**2 / error))


def ssim(first: Picture, second: Picture) -> float:
    """Return the mean structural similarity over the three channels, at most 1.

    Source: Wang et al. 2004, with a uniform 7x7 window and the sample covariance, as scikit-image's default.
    """
    size, c1, c2 = 7, (0.01 * 255) ** 2, (0.03 * 255) ** 2
    unbiased = size**2 / (size**2 - 1)
    values = []
    for channel in range(3):
        x, y = first[..., channel].astype(np.float64), second[..., channel].astype(np.float64)
        mean_x, mean_y = uniform_filter(x, size), uniform_filter(y, size)
        var_x = unbiased * (uniform_filter(x * x, size) - mean_x**2)
        var_y = unbiased * (uniform_filter(y * y, size) - mean_y**2)
        cov = unbiased * (uniform_filter(x * y, size) - mean_x * mean_y)
        top = (2 * mean_x * mean_y + c1) * (2 * cov + c2)
        score = top / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
        edge = size // 2
        values.append(score[edge:-edge, edge:-edge].mean())
    return float(np.mean(values))


def frechet_distance(first: Features, second: Features) -> float:
    """Return the Frechet distance of two sets of features (n, d), as if both were Gaussian.

    This is the formula of FID (Heusel et al. 2017, eq. 6) on whatever features are given: call it FID only with
    Inception features. With fewer than d rows the covariance has no full rank and the value is biased upwards.
    """
    mean = first.mean(0) - second.mean(0)
    cov_first, cov_second = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = sqrtm(cov_first @ cov_second)
    return float(mean @ mean + np.trace(cov_first) + np.trace(cov_second) - 2 * np.trace(np.real(root)))


def nearest(features: Features, among: Features, *, count: int = 1) -> tuple[NDArray[np.int64], Features]:
    """Return (rows of ``among`` most alike: (n, count), their cosine similarity), best first."""
    similarity = _unit(features) @ _unit(among).T
    order = np.argsort(-similarity, axis=1)[:, :count]
    return order, np.take_along_axis(similarity, order, axis=1)


class LinearProbe:
    """A linear classifier fitted in closed form: ridge regression of the labels on unit-length features.

    Trained on real pictures, it judges made ones without having seen any.
    """

    def __init__(self, features: Features, labels: list[str], *, ridge: float = 1e-2) -> None:
        self.names = sorted(set(labels))
        columns = {name: i for i, name in enumerate(self.names)}
        x = self._inputs(features)
        targets = np.zeros((len(labels), len(self.names)))
        targets[np.arange(len(labels)), [columns[label] for label in labels]] = 1
        weight = 1 / targets.sum(0)[[columns[label] for label in labels]]  # every class counts alike
        scaled = x * weight[:, None]
        gram = scaled.T @ x / weight.sum() + ridge / x.shape[1] * np.eye(x.shape[1])
        self.weights = np.linalg.solve(gram, scaled.T @ targets / weight.sum())

    def top(self, features: Features, *, count: int) -> list[list[str]]:
        """Return the ``count`` likeliest labels of each row of ``features``, best first."""
        scores = self._inputs(features) @ self.weights
        return [[self.names[i] for i in row] for row in np.argsort(-scores, axis=1)[:, :count]]

    @staticmethod
    def _inputs(features: Features) -> Features:
        return np.concatenate([_unit(features), np.ones((len(features), 1))], axis=1)


def _unit(features: Features) -> Features:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
