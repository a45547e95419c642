"""Mask algebra and the conversion of uploads, on random masks and sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from studio.errors import InvalidRequest
from studio.inpaint import masks

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))
BINARY = hnp.arrays(np.bool_, SIZES).map(lambda m: m.astype(np.float32))
SOFT = hnp.arrays(np.uint8, SIZES).map(lambda m: m.astype(np.float32) / 255)


def brute_distance(painted: np.ndarray) -> np.ndarray:
    """Distance of every pixel to the nearest painted one, by comparing all pairs."""
    ys, xs = np.nonzero(painted)
    rows, columns = np.indices(painted.shape)
    return np.sqrt((rows[..., None] - ys) ** 2 + (columns[..., None] - xs) ** 2).min(axis=-1)


@given(BINARY)
def test_inverting_twice_gives_the_mask_back(mask: np.ndarray) -> None:
    assert np.array_equal(masks.invert(masks.invert(mask)), mask)


@given(BINARY, st.integers(1, 12))
@settings(deadline=None)
def test_growing_paints_exactly_the_pixels_within_the_distance(mask: np.ndarray, pixels: int) -> None:
    if mask.any():
        assert np.array_equal(masks.grow(mask, pixels) > 0, brute_distance(mask) <= pixels + 1e-4)
    else:
        assert not masks.grow(mask, pixels).any()


@given(BINARY, st.integers(1, 12))
@settings(deadline=None)
def test_shrinking_is_growing_the_rest(mask: np.ndarray, pixels: int) -> None:
    rest = masks.invert(mask)
    assert np.array_equal(masks.grow(mask, -pixels), masks.invert(masks.grow(rest, pixels)))


@given(SOFT, st.integers(-8, 8))
@settings(deadline=None)
def test_growing_a_soft_mask_keeps_the_strengths_it_had(mask: np.ndarray, pixels: int) -> None:
    grown = masks.grow(mask, pixels)
    kept = (mask > 0) & (grown > 0)
    assert np.array_equal(grown[kept], mask[kept])
    assert (grown[mask > 0] > 0).all() if pixels >= 0 else (grown <= mask).all()


@given(SOFT, st.integers(0, 20))
@settings(deadline=None)
def test_a_feather_leaves_the_painted_part_and_ends_after_its_width(mask: np.ndarray, pixels: int) -> None:
    soft = masks.feather(mask, pixels)
    assert np.array_equal(soft[mask > 0], mask[mask > 0])
    if mask.any():
        assert not soft[brute_distance(mask > 0) >= pixels + 1].any()
    assert soft.min() >= 0 and soft.max() <= 1


def test_a_feather_falls_steadily() -> None:
    mask = np.zeros((1, 30), np.float32)
    mask[0, :5] = 1
    edge = masks.feather(mask, 10)[0, 4:16]
    assert (np.diff(edge) < 0).all() and edge[0] == 1 and edge[-1] == 0


def test_an_empty_mask_says_what_to_do() -> None:
    with pytest.raises(InvalidRequest, match="The mask is empty: paint the part to change"):
        masks.read_mask(Image.new("L", (8, 8)), (8, 8))


def test_a_full_mask_is_taken_as_the_whole_picture_and_said() -> None:
    reading = masks.read_mask(Image.new("RGB", (8, 8), "white"), (8, 8))
    assert reading.mask.min() == 1
    assert "whole picture" in reading.notes[0]


def test_a_mask_of_another_size_is_resized_and_said() -> None:
    picture = Image.new("L", (10, 5))
    picture.paste(255, (0, 0, 5, 5))
    reading = masks.read_mask(picture, (40, 20))
    assert reading.mask.shape == (20, 40)
    assert reading.mask[:, :18].all() and not reading.mask[:, 22:].any()
    assert "10×5" in reading.notes[0] and "40×20" in reading.notes[0]


def test_a_photo_as_mask_is_cut_at_middle_grey_and_said() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (20, 1))
    reading = masks.read_mask(Image.fromarray(ramp), (256, 20))
    assert np.array_equal(reading.mask[0], (np.arange(256) >= 128).astype(np.float32))
    assert "photo" in reading.notes[0]


def test_a_soft_mask_keeps_its_greys() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (20, 1))
    reading = masks.read_mask(Image.fromarray(ramp), (256, 20), soft=True)
    assert np.allclose(reading.mask[0, 4:], np.arange(4, 256) / 255)


def test_transparent_parts_of_a_mask_are_kept_and_black_strokes_on_them_painted() -> None:
    white = Image.new("RGBA", (8, 8), (255, 255, 255, 0))
    white.paste((255, 255, 255, 255), (0, 0, 4, 8))
    assert masks.read_mask(white, (8, 8)).mask.sum() == 32
    black = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    black.paste((0, 0, 0, 255), (0, 0, 2, 8))
    reading = masks.read_mask(black, (8, 8))
    assert reading.mask.sum() == 16 and "opaque" in reading.notes[0]


def test_a_jpeg_mask_is_read_without_a_word() -> None:
    noisy = np.where(np.arange(64) < 20, 250, 6).astype(np.uint8) * np.ones((64, 1), np.uint8)
    assert masks.read_mask(Image.fromarray(noisy), (64, 64)).notes == ()
