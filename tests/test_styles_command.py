"""studio styles: list, import, and pictures drawn by a tiny real model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from studio import cli
from studio.prompt.style_pictures import SIDE, StylePictures, keep_picture, path_of
from tests.engine.tiny import save_ldm


def test_imported_styles_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = tmp_path / "theirs.json"
    theirs.write_text(json.dumps([{"name": "mine", "prompt": "mine {prompt}", "negative_prompt": "photo"}]))
    assert cli.main(["styles", "import", str(theirs), "--data-dir", str(tmp_path / "data")]) == 0
    assert cli.main(["styles", "list", "--data-dir", str(tmp_path / "data")]) == 0
    out = capsys.readouterr().out
    assert "Mosaic" in out
    assert "mine {prompt}  (not: photo)" in out


def test_a_style_is_drawn_and_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_ldm(tmp_path / "models" / "tiny")
    monkeypatch.setenv("STUDIO_MODEL_FOLDERS", str(tmp_path / "models"))
    monkeypatch.setenv("STUDIO_DTYPE", "float32")
    data = tmp_path / "data"
    assert cli.main(["styles", "draw", "mosaic", "--model", "tiny", "--data-dir", str(data)]) == 0
    picture = StylePictures((data / "styles",)).of("Mosaic")
    assert picture is not None
    with Image.open(picture) as opened:
        assert opened.size == (SIDE, SIDE)
    assert str(picture) in capsys.readouterr().out
    assert cli.main(["styles", "draw", "mosiac", "--data-dir", str(data)]) == 2
    assert "Mosaic" in capsys.readouterr().err


def test_ones_own_picture_goes_before_the_shipped_one(tmp_path: Path) -> None:
    own, shipped = tmp_path / "own", tmp_path / "shipped"
    pictures = StylePictures((own, shipped))
    assert pictures.of("Ink") is None
    keep_picture("ink", Image.new("RGB", (300, 200), "red"), shipped)
    assert pictures.of("Ink") == path_of("Ink", shipped)
    keep_picture("Ink", Image.new("RGB", (20, 30), "blue"), own)
    assert pictures.of("INK") == path_of("ink", own)


def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    assert path_of("../../etc/passwd", tmp_path).parent == tmp_path / "pictures"
