from __future__ import annotations

from pathlib import Path

import pytest

from studio.training.clipart import GPL, PUBLIC_DOMAIN, clean_title, read_open_clipart, read_stamps
from studio.training.emoji import Emojibase
from tests.training.sources import write_emojibase, write_open_clipart, write_stamps

KNOWN = frozenset({"brown", "hat", "apple", "cat", "sport", "car", "of", "and", "loaf", "bread", "cherry"})


def test_open_clipart_keeps_named_public_domain_things_only(tmp_path: Path) -> None:
    emojibase = Emojibase(write_emojibase(tmp_path / "emojibase"))
    found = {c.thing: c for c in read_open_clipart(write_open_clipart(tmp_path / "root"), emojibase)}
    assert set(found) == {"apple", "leaf cat"}
    assert found["apple"].licence == PUBLIC_DOMAIN
    assert found["apple"].keywords == ("fruit",)
    assert found["apple"].category == "food"


def test_stamps_tell_photographs_from_drawings_and_gpl_from_public_domain(tmp_path: Path) -> None:
    emojibase = Emojibase(write_emojibase(tmp_path / "emojibase"))
    found = {c.thing: c for c in read_stamps(write_stamps(tmp_path / "root"), emojibase)}
    assert set(found) == {"cat", "lemon"}
    assert (found["cat"].style, found["cat"].licence) == ("photo", GPL)
    assert (found["lemon"].style, found["lemon"].licence) == ("clipart", PUBLIC_DOMAIN)
    assert found["lemon"].id.endswith(".svg")


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("brownhat", "hat"),
        ("Apple by Jane Doe", "apple"),
        ("SportCar", "sport car"),
        ("apple_02", "apple"),
        ("pera", None),
        ("Loaf of Bread", "loaf of bread"),
        ("the cat", "cat"),
        ("flat icon theme apple", None),
        ("brown and cat", "cat"),
        ("", None),
        ("qwzx", None),
        ("cherries", None),
    ],
)
def test_titles_become_plain_names_or_nothing(title: str, name: str | None) -> None:
    assert clean_title(title, KNOWN) == name
