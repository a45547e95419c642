"""Every word in both languages, and no script asking for a word that is not there."""

from __future__ import annotations

import re
import string

import pytest

from studio.ui.gallery_page.words import WORDS as GALLERY_WORDS
from studio.ui.static_files import FOLDER
from studio.ui.texts import script, tables, text


def test_both_languages_have_every_key_and_no_empty_text() -> None:
    english, chinese = tables()["en"], tables()["zh"]
    assert english.keys() == chinese.keys()
    assert len(english) > 60
    assert not [key for key in english if not english[key].strip() or not chinese[key].strip()]


def test_both_languages_fill_in_the_same_values() -> None:
    english, chinese = tables()["en"], tables()["zh"]
    for key in english:
        names = [{name for _, name, _, _ in string.Formatter().parse(it[key]) if name} for it in (english, chinese)]
        assert names[0] == names[1], key


def test_an_unknown_key_is_found_out_when_the_page_is_built() -> None:
    with pytest.raises(KeyError):
        text("no_such_text")


def test_the_page_and_its_scripts_use_every_text_they_have_and_have_every_text_they_use() -> None:
    files = [it for kind in ("*.js", "*.py") for it in FOLDER.rglob(kind) if not it.stem.endswith(("texts", "words"))]
    sources = {it: it.read_text(encoding="utf-8") for it in files}
    known = tables()["en"].keys()
    for path, source in sources.items():
        if path.parent.name == "page":
            assert not set(re.findall(r'say\("(\w+)"', source)) - known, path
    everything = "".join(sources.values())
    built = tuple(re.findall(r'["`](\w+_)\$?\{', everything))  # f"share_{why}", `models_${state}`
    unused = [
        key
        for key in known
        if f'"{key}"' not in everything
        and key not in GALLERY_WORDS  # see test_gallery_words
        and not key.startswith((*built, "field_", "help_", "send_to_", "method_", "prefill_"))
        and not key.endswith(("_help", "_empty", "_one"))
        and not key.endswith("_hint")
    ]
    assert unused == []


def test_the_script_carries_the_tables() -> None:
    assert '"generate": "Generate"' in script() and "生成" in script()
