from __future__ import annotations

from pathlib import Path

import pytest

from studio.training.emoji import EMOJI_SETS, Emojibase, EmojiSet, normalise_code, read_emoji_set
from tests.training.sources import write_emojibase, write_iconify, write_webp_emoji

SET = EmojiSet("@iconify-json/test", "1.0.0", "flat", "MIT")


@pytest.fixture
def emojibase(tmp_path: Path) -> Emojibase:
    return Emojibase(write_emojibase(tmp_path / "emojibase"))


def test_icons_are_named_through_their_code_points_and_aliases(tmp_path: Path, emojibase: Emojibase) -> None:
    found = {c.thing: c for c in read_emoji_set(SET, write_iconify(tmp_path / "set"), emojibase)}
    assert set(found) == {"apple", "cat", "lemon"}
    cat = found["cat"]
    assert (cat.id, cat.category, cat.keywords, cat.licence) == ("test/1f431", "animal", ("pet",), "MIT")
    assert cat.source == "@iconify-json/test@1.0.0"
    assert 'viewBox="0 0 32 32"' in cat.drawing


def test_icons_without_code_points_are_matched_by_joined_unicode_names(tmp_path: Path, emojibase: Emojibase) -> None:
    folder = write_iconify(tmp_path / "set", with_codes=False)
    assert {c.thing for c in read_emoji_set(SET, folder, emojibase)} == {"apple", "leaves in the wind"}


def test_picture_files_are_named_by_their_file_names(tmp_path: Path, emojibase: Emojibase) -> None:
    found = list(read_emoji_set(SET, write_webp_emoji(tmp_path / "set"), emojibase))
    assert {c.thing for c in found} == {"apple", "lemon"}
    assert all(isinstance(c.drawing, Path) for c in found)


def test_skin_tones_are_thinned_to_chosen_things(tmp_path: Path, emojibase: Emojibase) -> None:
    codes = [c.id for c in read_emoji_set(SET, write_iconify(tmp_path / "set"), emojibase)]
    assert "test/1f431-1f3ff" not in codes
    emojibase.entries["1f431-1f3ff"]["label"] = "woman: dark skin tone"
    emojibase.entries["1f431-1f3ff"]["group"] = 1
    toned = [c for c in read_emoji_set(SET, tmp_path / "set", emojibase) if c.thing == "woman"]
    assert [c.names for c in toned] == [("woman with dark skin",)]


@pytest.mark.parametrize(("code", "expected"), [("1F34E", "1f34e"), ("0023-FE0F-20E3", "0023-20e3"), ("A9", "00a9")])
def test_code_points_are_written_one_way(code: str, expected: str) -> None:
    assert normalise_code(code) == expected


def test_every_set_is_pinned_and_licensed() -> None:
    for emoji_set in EMOJI_SETS:
        assert emoji_set.version.count(".") == 2
        assert emoji_set.licence in {"MIT", "Apache-2.0", "CC-BY-4.0"}
    assert len({emoji_set.style for emoji_set in EMOJI_SETS}) == len(EMOJI_SETS)
