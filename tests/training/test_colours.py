from __future__ import annotations

import numpy as np
import pytest

from studio.training.colours import COLOURS, HUES_DEGREES, colour_of, dominant_colours, paint, recolour, rotate_hue
from tests.training.sources import disc

NAMED = {
    "red": (0xE0, 0x24, 0x20), "orange": (0xFF, 0x80, 0x10), "yellow": (0xFF, 0xCC, 0x4D), "green": (0x3E, 0x9B, 0x40),
    "blue": (0x2A, 0x6F, 0xDB), "purple": (0x8A, 0x4F, 0xD0), "pink": (0xF4, 0x7F, 0xB4), "brown": (0x6D, 0x4C, 0x41),
    "black": (0x1C, 0x1E, 0x22), "white": (0xFA, 0xFA, 0xFC), "grey": (0x8A, 0x8F, 0x94),
}  # fmt: skip


@pytest.mark.parametrize(("word", "rgb"), NAMED.items())
def test_plain_colours_get_their_plain_names(word: str, rgb: tuple[int, int, int]) -> None:
    assert colour_of(np.array(rgb, np.uint8)) == word


def test_colours_between_the_words_get_none() -> None:
    for rgb in ((0xFA, 0xDC, 0xBC), (0xC1, 0x9A, 0x6B), (0x45, 0x5A, 0x64)):  # skin, tan, slate
        assert colour_of(np.array(rgb, np.uint8)) is None


def test_dominant_colours_count_opaque_pixels_only() -> None:
    rgba = disc((220, 30, 30))
    rgba[..., 2][rgba[..., 3] == 0] = 255  # a sea of invisible blue
    assert dominant_colours(rgba) == ("red",)


def test_two_halves_give_two_words_and_three_thirds_none() -> None:
    rgba = np.zeros((90, 90, 4), np.uint8)
    rgba[..., 3] = 255
    rgba[:, :45, 0], rgba[:, 45:, 2] = 220, 220
    assert set(dominant_colours(rgba)) == {"red", "blue"}
    rgba[:30, :, :3], rgba[30:60, :, :3], rgba[60:, :, :3] = NAMED["red"], NAMED["green"], NAMED["blue"]
    assert dominant_colours(rgba) == ()


def test_an_invisible_picture_has_no_colour() -> None:
    assert dominant_colours(np.zeros((64, 64, 4), np.uint8)) == ()


@pytest.mark.parametrize("word", COLOURS)
def test_a_painted_colour_is_named_alike(word: str) -> None:
    rng = np.random.default_rng(0)
    assert {colour_of(paint(word, rng)) for _ in range(50)} == {word}


@pytest.mark.parametrize("word", COLOURS)
def test_a_recoloured_thing_measures_as_that_colour(word: str) -> None:
    source = disc(NAMED["green" if word != "green" else "red"])
    changed = recolour(source, word)
    assert changed is not None
    assert dominant_colours(changed)[0] == word
    np.testing.assert_array_equal(changed[..., 3], source[..., 3])


def test_a_grey_thing_has_no_hue_to_turn() -> None:
    assert all(recolour(disc(NAMED["grey"]), word) is None for word in HUES_DEGREES)


def test_turning_hues_full_circle_changes_next_to_nothing() -> None:
    source = disc(NAMED["orange"])
    assert np.abs(rotate_hue(source, 360).astype(int) - source).max() <= 3


def test_turning_hues_leaves_greys_alone() -> None:
    source = disc(NAMED["grey"])
    assert np.abs(rotate_hue(source, 120).astype(int) - source).max() <= 12  # a grey with a breath of blue
