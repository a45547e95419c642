"""Tiles cover a picture and blend back into it without a trace."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.enhance.tiles import blended, tile_boxes
from studio.errors import InvalidRequest


@given(width=st.integers(16, 150), height=st.integers(16, 150), overlap=st.integers(0, 8))
def test_tiles_of_a_picture_blend_back_into_the_same_picture(width: int, height: int, overlap: int) -> None:
    picture = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    boxes = tile_boxes(width, height, side=16, overlap=overlap)
    for box in boxes:
        assert 0 <= box.left < box.right <= width and 0 <= box.top < box.bottom <= height
    rows = sorted({box.left for box in boxes})
    assert all(second - first <= 16 - overlap for first, second in itertools.pairwise(rows))
    tiles = [(box, picture[box.top : box.bottom, box.left : box.right]) for box in boxes]
    np.testing.assert_array_equal(blended(tiles, width=width, height=height, overlap=overlap), picture)


def test_between_tiles_of_two_colours_there_is_a_ramp_and_no_edge() -> None:
    boxes = tile_boxes(28, 16, side=16, overlap=4)
    tiles = [(box, np.full((16, 16, 3), 200 * place, np.uint8)) for place, box in enumerate(boxes)]
    row = blended(tiles, width=28, height=16, overlap=4)[8, :, 0].astype(int)
    assert row[:12].max() == 0 and row[16:].min() == 200
    assert np.all(np.diff(row) >= 0) and np.diff(row).max() < 100


@pytest.mark.parametrize(("side", "overlap"), [(64, 0), (16, 9), (16, -1)])
def test_tiles_that_do_not_fit_are_refused(side: int, overlap: int) -> None:
    with pytest.raises(InvalidRequest):
        tile_boxes(40, 40, side=side, overlap=overlap)
