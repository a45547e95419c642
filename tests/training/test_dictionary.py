from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio.cli import DONE, main
from studio.languages import Dictionary
from studio.training.dictionary import build_dictionary
from studio.training.pictograms import EMOJIBASE
from tests.training.sources import write_emojibase


def test_labels_and_prompt_words_become_a_dictionary_that_translates(tmp_path: Path) -> None:
    counts = build_dictionary(write_emojibase(tmp_path / "emojibase"), tmp_path / "languages.json")
    assert set(counts) == {"zh", "es", "de", "fr", "ja"}
    dictionary = Dictionary.load(tmp_path / "languages.json")
    assert dictionary.translate("红苹果").text == "red apple"
    assert dictionary.translate("una cara de gato azul").text == "a blue cat"
    assert dictionary.translate("レモンと猫").text == "lemon and cat"


def test_the_command_builds_it_from_the_pinned_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")  # nothing is fetched
    name, version = EMOJIBASE
    write_emojibase(tmp_path / "cache" / "npm" / f"{name}-{version}" / "package")
    out = tmp_path / "new" / "languages.json"
    assert main(["data", "build", "languages", "--out", str(out), "--cache", str(tmp_path / "cache")]) == DONE
    assert "words of zh" in capsys.readouterr().out
    assert Dictionary.load(out).translate("红苹果").text == "red apple"


def test_a_shade_of_a_colour_is_kept_whole(tmp_path: Path) -> None:
    folder = write_emojibase(tmp_path / "emojibase")
    for locale, label in (("en", "light blue heart"), ("es", "corazón azul claro")):
        rows = json.loads((folder / locale / "data.json").read_text(encoding="utf-8"))
        rows[0]["label"] = label
        (folder / locale / "data.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    build_dictionary(folder, tmp_path / "languages.json")
    words = json.loads((tmp_path / "languages.json").read_text(encoding="utf-8"))["words"]["es"]
    assert words["corazón azul claro"] == "light blue heart"


def test_keywords_are_matched_by_the_emoji_they_mark(tmp_path: Path) -> None:
    folder = write_emojibase(tmp_path / "emojibase")
    rows = json.loads((folder / "es" / "data.json").read_text(encoding="utf-8"))
    for row in rows:
        row["tags"] = ["fruta"] if row["group"] == 4 else ["mascotita"]
    (folder / "es" / "data.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    build_dictionary(folder, tmp_path / "languages.json")
    words = json.loads((tmp_path / "languages.json").read_text(encoding="utf-8"))["words"]["es"]
    assert words["fruta"] == "fruit"
    assert "mascotita" not in words  # marks a cat and a leaf, which no English keyword does
