"""Crops, pastes and canvases of random sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.inpaint import geometry
from studio.inpaint.geometry import Box


@st.composite
def painted_in_canvas(draw: st.DrawFn) -> tuple[Box, tuple[int, int]]:
    width, height = draw(st.integers(1, 700)), draw(st.integers(1, 700))
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    right, bottom = draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height))
    return Box(left, top, right, bottom), (width, height)


@given(painted_in_canvas(), st.integers(0, 200))
def test_a_crop_holds_the_painted_part_and_its_padding(case: tuple[Box, tuple[int, int]], padding: int) -> None:
    painted, canvas = case
    box = geometry.plan_crop(painted, canvas, padding=padding)
    padded = Box(painted.left - padding, painted.top - padding, painted.right + padding, painted.bottom + padding)
    assert box.contains(padded.clipped(*canvas))
    assert max(box.width, box.height) <= 3 * min(box.width, box.height) + 3


@given(painted_in_canvas(), st.integers(0, 200))
def test_a_crop_stays_inside_a_canvas_that_has_room(case: tuple[Box, tuple[int, int]], padding: int) -> None:
    painted, canvas = case
    box = geometry.plan_crop(painted, canvas, padding=padding)
    if max(box.width, box.height) <= min(canvas):
        assert Box(0, 0, *canvas).contains(box) and box.width == box.height


def test_a_flat_mask_is_widened_to_a_square_and_shifted_inside() -> None:
    assert geometry.plan_crop(Box(0, 0, 128, 32), (512, 512), padding=0) == Box(0, 0, 128, 128)
    assert geometry.plan_crop(Box(500, 300, 512, 310), (512, 512), padding=32) == Box(438, 268, 512, 342)


@given(painted_in_canvas(), st.integers(0, 90))
@settings(deadline=None, max_examples=50)
def test_putting_back_what_was_taken_changes_nothing(case: tuple[Box, tuple[int, int]], padding: int) -> None:
    painted, (width, height) = case
    picture = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), np.uint8)
    box = geometry.plan_crop(painted, (width, height), padding=padding)
    patch = geometry.take(picture, box)
    assert patch.shape == (box.height, box.width, 3)
    assert np.array_equal(geometry.put(picture, patch, box), picture)
    changed = geometry.put(picture, 255 - patch, box)
    inside = box.clipped(width, height)
    outside = np.ones((height, width), bool)
    outside[inside.top : inside.bottom, inside.left : inside.right] = False
    assert np.array_equal(changed[outside], picture[outside])
    assert (changed[~outside] != picture[~outside]).all()


def test_what_hangs_over_the_edge_is_reflected_even_from_one_pixel() -> None:
    picture = np.arange(5, dtype=np.uint8).reshape(5, 1)
    taken = geometry.take(picture, Box(-1, -2, 2, 7))
    assert np.array_equal(taken, np.array([1, 0, 0, 1, 2, 3, 4, 4, 3], np.uint8)[:, None] * np.ones((1, 3), np.uint8))


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([8, 16, 64]))
def test_a_working_size_is_on_the_grid_and_near_the_models_area(width: int, height: int, multiple: int) -> None:
    box = geometry.whole_crop((width, height))
    size = geometry.working_size(box.width, box.height, side=256, multiple=multiple)
    assert size[0] % multiple == size[1] % multiple == 0 and min(size) >= 64
    assert 0.6 * 256**2 <= size[0] * size[1] <= 1.6 * 256**2


@given(st.integers(1, 200), st.integers(1, 200), st.data())
@settings(deadline=None, max_examples=60)
def test_no_painted_pixel_is_lost_when_a_mask_is_resized(width: int, height: int, data: st.DataObject) -> None:
    mask = np.zeros((height, width), np.float32)
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    mask[y, x] = 1
    size = data.draw(st.tuples(st.integers(1, 100), st.integers(1, 100)))
    small = geometry.resize_mask(mask, size)
    assert (
        small[min(int((y + 0.5) * size[1] / height), size[1] - 1), min(int((x + 0.5) * size[0] / width), size[0] - 1)]
        == 1
    )


@pytest.mark.parametrize("extend", [(3, 0, 0, 0), (0, 5, 0, 0), (1, 2, 3, 4)])
def test_an_extended_canvas_keeps_the_picture_and_marks_the_new(extend: tuple[int, int, int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (6, 7, 3), np.uint8)
    canvas, new = geometry.extend_canvas(picture, extend)
    left, top, right, bottom = extend
    assert canvas.shape == (6 + top + bottom, 7 + left + right, 3)
    assert np.array_equal(canvas[top : top + 6, left : left + 7], picture)
    assert new.sum() == canvas.shape[0] * canvas.shape[1] - 42
