"""Tokens: several pictures as one palette, and the three ways to use it."""

from __future__ import annotations

import numpy as np
import pytest

from studio.codebook.vqgan import Vqgan
from studio.stylize.tokens import palette_of
from tests.stylize.waves import waves


def test_references_count_by_weight_and_not_by_size(vqgan: Vqgan) -> None:
    small, large = waves(32, 32, seed=1), waves(160, 160, seed=2)
    palette = palette_of(vqgan, [small, large], [3, 1])
    share = dict(zip(palette.codes, palette.weights, strict=True))
    for code in share:
        expected = 0.75 * np.mean(vqgan.encode(small).codes == code) + 0.25 * np.mean(vqgan.encode(large).codes == code)
        assert share[code] == pytest.approx(expected)
    assert sum(share.values()) == pytest.approx(1)


def test_a_reference_of_weight_zero_adds_no_code(vqgan: Vqgan) -> None:
    first, second = waves(32, 32, seed=1), waves(64, 64, seed=5)
    assert set(palette_of(vqgan, [first, second], [1, 0]).codes) == set(vqgan.encode(first).codes.ravel().tolist())
