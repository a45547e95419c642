"""Untouched means untouched, whatever the picture, the mask and the size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.errors import UnknownName
from studio.inpaint import composite, masks, prefill

CASES = st.tuples(st.integers(1, 60), st.integers(1, 60), st.sampled_from([3, 4]), st.integers(0, 2**32 - 1))


def random_case(case: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    height, width, channels, seed = case
    rng = np.random.default_rng(seed)
    source = rng.integers(0, 256, (height, width, channels), np.uint8)
    painted = rng.integers(0, 256, (height, width, 3), np.uint8)
    mask = (rng.random((height, width)) < rng.random()).astype(np.float32)
    return source, painted, mask


@given(CASES, st.integers(-6, 6), st.integers(0, 10))
@settings(deadline=None)
def test_no_pixel_outside_the_final_mask_changes(case: tuple[int, int, int, int], grow: int, feather: int) -> None:
    source, painted, mask = random_case(case)
    final = masks.quantise(masks.feather(masks.grow(mask, grow), feather))
    result = composite.composite(source, painted, final)
    untouched = composite.count_untouched(source, result, final)
    assert untouched.changed == 0 and untouched.outside == (final == 0).sum()
    assert np.array_equal(result[final == 0], source[final == 0])
    assert np.array_equal(result[final == 255][:, :3], painted[final == 255])
    if source.shape[2] == 4:
        assert (result[final == 255][:, 3] == 255).all()


def test_the_count_finds_a_single_changed_pixel_and_says_so() -> None:
    source = np.zeros((240, 240, 3), np.uint8)
    result = source.copy()
    result[3, 4, 1] = 1
    assert composite.count_untouched(source, result, np.zeros((240, 240), np.uint8)).changed == 1
    sentence = composite.count_untouched(source, source, np.zeros((240, 240), np.uint8)).sentence()
    assert sentence == "0 of 57,600 pixels outside the mask changed"


def test_a_colour_cast_is_matched_at_the_seam() -> None:
    source = np.full((64, 64, 3), (120, 100, 80), np.uint8)
    hole = np.zeros((64, 64), bool)
    hole[20:44, 20:44] = True
    matched = composite.match_seam(source + np.array([12, 0, 9], np.uint8), source, hole)
    assert np.abs(matched.astype(int) - source).max() <= 1


def test_matching_leaves_different_content_alone_inside() -> None:
    source = np.full((64, 64, 3), 200, np.uint8)
    hole = np.zeros((64, 64), bool)
    hole[20:44, 20:44] = True
    painted = np.where(hole[..., None], np.array([30, 60, 90], np.uint8), source)
    assert np.array_equal(composite.match_seam(painted, source, hole), painted)


@pytest.mark.parametrize("how", sorted(prefill.PREFILLS))
@given(CASES)
@settings(deadline=None, max_examples=15)
def test_a_prefill_changes_nothing_outside_the_hole(how: str, case: tuple[int, int, int, int]) -> None:
    source, _, mask = random_case(case)
    hole = mask > 0
    filled = prefill.prefill(source[..., :3], hole, how=how, seed=3)
    assert filled.dtype == np.uint8 and filled.shape == source[..., :3].shape
    assert np.array_equal(filled[~hole], source[~hole][:, :3])
    assert np.array_equal(filled, prefill.prefill(source[..., :3], hole, how=how, seed=3))


@pytest.mark.parametrize("how", ["blur", "telea", "navier_stokes"])
def test_surroundings_flow_into_the_hole(how: str) -> None:
    picture = np.full((40, 40, 3), (200, 40, 90), np.uint8)
    hole = np.zeros((40, 40), bool)
    hole[10:30, 12:28] = True
    picture[hole] = 0
    filled = prefill.prefill(picture, hole, how=how)
    assert np.abs(filled.astype(int) - (200, 40, 90)).max() <= 2


def test_an_unknown_prefill_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match="telea"):
        prefill.prefill(np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), bool), how="talea")


def test_a_smooth_filling_keeps_what_is_known_and_stays_in_its_range() -> None:
    values = np.random.default_rng(1).random((33, 50, 3)).astype(np.float32)
    weights = (np.random.default_rng(2).random((33, 50)) < 0.2).astype(np.float32)
    filled = prefill.fill_smoothly(values, weights)
    assert np.array_equal(filled[weights > 0], values[weights > 0])
    assert filled.min() >= 0 and filled.max() <= 1
