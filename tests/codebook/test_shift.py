"""How edits shift the colours of the rest of a picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codebook.drawing import drawn
from studio.codebook.live import LivePicture
from studio.codebook.local import LocalDecoder
from studio.codebook.shift import ColourShift, fit, shifted
from studio.codebook.tokens import TokenMap
from studio.codebook.vqgan import Vqgan

VECTORS = np.random.default_rng(3).normal(size=(64, 4)).astype(np.float32)
SHIFT = np.array([[0.05, 0.01, 0.0], [0.0, -0.04, 0.0], [0.02, 0.0, 0.03], [0.04, -0.02, 0.01]])


def painted(tokens: TokenMap, code: int, count: int) -> TokenMap:
    codes = tokens.codes.copy()
    codes.ravel()[:count] = code
    return tokens.with_codes(codes)


def test_the_fit_gives_back_an_affine_shift_of_the_pixels_asked_for() -> None:
    before = torch.rand(1, 3, 40, 30, generator=torch.Generator().manual_seed(1)) * 1.6 - 0.8
    after = shifted(before, SHIFT).clone()
    where = np.ones((40, 30), bool)
    where[:5] = False
    after[..., :5, :] = 0
    assert np.allclose(fit(before, after, where), SHIFT, atol=2e-3)


def test_a_picture_of_one_colour_and_no_pixels_at_all_still_give_a_shift() -> None:
    grey = torch.zeros(1, 3, 8, 8)
    matrix = fit(grey, grey + 0.1, np.ones((8, 8), bool))
    assert torch.allclose(shifted(grey, matrix), grey + 0.1, atol=5e-3)
    assert not fit(grey, grey + 0.1, np.zeros((8, 8), bool)).any()


def test_more_of_a_known_change_brings_more_of_its_shift_and_another_change_is_not_known(tokens: TokenMap) -> None:
    shift = ColourShift(VECTORS)
    little, more = (shift.change(tokens, painted(tokens, 5, count)) for count in (10, 20))
    assert shift.predict(little)[1] == 0 and not shift.predict(little)[0].any()
    shift.learn(little, SHIFT)
    matrix, known = shift.predict(2 * little)
    assert np.allclose(matrix, 2 * SHIFT, rtol=0.1) and known > 0.85
    assert shift.predict(more)[1] > 0.5, "the same brush goes on"
    across = more - (more @ little) / (little @ little) * little
    assert shift.predict(across)[1] == pytest.approx(0, abs=1e-9)


def test_no_change_is_no_shift(tokens: TokenMap) -> None:
    shift = ColourShift(VECTORS)
    nothing = shift.change(tokens, tokens)
    shift.learn(nothing, SHIFT)
    assert not nothing.any() and not shift.predict(nothing)[0].any()


def test_what_is_learnt_keeps_the_picture_shown_within_a_level_of_the_exact_one(vqgan: Vqgan) -> None:
    """In small pictures each dab changes much of the whole; that one did little promises nothing of the next."""
    decoder = LocalDecoder(vqgan)
    for seed in range(3):
        live = LivePicture(decoder, vqgan.encode(drawn(64, 64, seed=seed)))
        rng = np.random.default_rng(seed)
        row, code = int(rng.integers(7)), int(rng.integers(64))
        for column in range(7):
            codes = live.tokens.codes.copy()
            codes[row : row + 2, column : column + 2] = code
            live.edit(live.tokens.with_codes(codes))
            exact = np.asarray(vqgan.decode(live.tokens), np.float32)
            assert np.abs(np.asarray(live.image, np.float32) - exact).mean() < 1
