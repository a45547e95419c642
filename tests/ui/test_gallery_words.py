"""The gallery's words: none missing, none left over, none taken from another part of the page."""

from __future__ import annotations

import re

from studio.ui import texts
from studio.ui.gallery_page.words import WORDS
from studio.ui.static_files import FOLDER

SCRIPTS = "".join(path.read_text(encoding="utf-8") for path in (FOLDER / "gallery_page").glob("*.js"))
MADE_UP = ("tab_of_", "filter_", "recall_", "role_", "trashed_", "restored_", "exporting_")  # of a part and a name


def test_every_word_a_script_says_is_there() -> None:
    said = set(re.findall(r'(?:\bsay\(|words: |empty\()"(\w+)"', SCRIPTS))
    assert len(said) > 60
    assert said <= texts.tables()["en"].keys()


def test_every_word_is_said() -> None:
    outside = {"send_to"}  # said by a menu
    unsaid = [key for key in WORDS if not re.search(rf"\b{key}\b", SCRIPTS) and not key.startswith(MADE_UP)]
    assert set(unsaid) <= outside


def test_no_word_of_another_part_is_overridden() -> None:
    tables = texts.tables()
    assert {key: (tables["en"][key], tables["zh"][key]) for key in WORDS} == WORDS
    declared = re.findall(r'^    "(\w+)": \(', (FOLDER / "texts.py").read_text(encoding="utf-8"), re.MULTILINE)
    assert not WORDS.keys() & set(declared)
