"""Strokes: what is painted consists of the style's patches, follows the content, and repeats by its seed."""

from __future__ import annotations

import numpy as np
import pytest

from studio.stylize.lab import to_lab
from studio.stylize.patches import LEVELS, paint


def _content(side: int = 64) -> np.ndarray:
    """Dark on the left, light on the right."""
    picture = np.full((side, side, 3), 60, np.uint8)
    picture[:, side // 2 :] = 200
    return picture


def _stripes(side: int = 64) -> np.ndarray:
    """Fine stripes: dark ones on one half, light ones on the other."""
    rows = (np.arange(side) // 2 % 2 * 40).astype(np.uint8)
    picture = np.repeat(rows[:, None, None], side, axis=1).repeat(3, axis=2)
    picture[:, side // 2 :] += 180
    return picture


def _painted(seed: int = 0, structure: float = 0.0) -> np.ndarray:
    *_, last = paint(_content(), [_stripes()], (1.0,), structure=structure, strength=1.0, seed=seed)
    return last


def test_flat_grounds_get_the_styles_texture_and_stay_where_they_were() -> None:
    painted = to_lab(_painted())[..., 0]
    dark, light = painted[:, 4:24], painted[:, 40:60]
    assert light.mean() - dark.mean() > 30
    for part in (dark, light):
        assert np.abs(np.diff(part, axis=0)).mean() > 3 * np.abs(np.diff(part, axis=1)).mean()


def test_every_round_is_shown_at_the_contents_size() -> None:
    rounds = list(paint(_content(), [_stripes()], (1.0,), structure=0.5, strength=0.8, seed=0))
    assert len(rounds) == sum(level.rounds for level in LEVELS) + 1
    assert {picture.shape for picture in rounds} == {(64, 64, 3)}


@pytest.mark.thorough
def test_the_same_seed_paints_the_same_picture() -> None:
    assert np.array_equal(_painted(3), _painted(3))
    assert not np.array_equal(_painted(3), _painted(4))


def test_a_picture_without_weight_gives_no_patches() -> None:
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 255
    *_, painted = paint(_content(), [_stripes(), red], (1.0, 0.0), structure=0.0, strength=1.0, seed=0)
    assert np.ptp(painted, axis=2).max() < 40


def test_pictures_smaller_than_a_patch_are_painted_too() -> None:
    *_, last = paint(_content(10), [_stripes(12)], (1.0,), structure=0.5, strength=0.8, seed=0)
    assert last.shape == (10, 10, 3)
