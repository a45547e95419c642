"""studio gallery list | doctor | export | import, as the command line runs them."""

from __future__ import annotations

import argparse
import json
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from gallery_making import noise, save

from studio.errors import GalleryError, InvalidRequest
from studio.gallery import Gallery
from studio.gallery.commands import add_arguments, run
from studio.settings import Settings


@pytest.fixture
def studio(tmp_path: Path) -> Callable[..., tuple[int, list[str]]]:
    """Run a gallery command in a data directory of its own; return exit status and printed lines."""
    settings = Settings(data_dir=tmp_path / "data")

    def call(*arguments: object) -> tuple[int, list[str]]:
        parser = argparse.ArgumentParser()
        add_arguments(parser.add_subparsers())
        lines: list[str] = []
        args = parser.parse_args(["gallery", *map(str, arguments)])
        return run(args, settings, lambda *values: lines.append(" ".join(map(str, values)))), lines

    with Gallery(settings.gallery_dir, reserve_bytes=0) as gallery:
        for number in range(3):
            save(gallery, number, prompt=f"a red apple {number}" if number else "a fox")
        gallery.star([gallery.page().entries[0].id])
    return call


def test_list_shows_newest_first_and_takes_filters(studio: Callable[..., tuple[int, list[str]]]) -> None:
    status, lines = studio("list")
    assert status == 0 and [line.rsplit("  ", 1)[1] for line in lines] == ["a red apple 2", "a red apple 1", "a fox"]
    assert len(studio("list", "--search", "apple", "--limit", 1)[1]) == 1
    (starred,) = studio("list", "--starred", "--json")[1]
    entry = json.loads(starred)
    assert entry["prompt"] == "a red apple 2" and entry["recipe"]["settings"]["seed"] == 2
    assert Path(entry["path"]).exists()


def test_doctor_reports_mends_and_rebuilds(studio: Callable[..., tuple[int, list[str]]], tmp_path: Path) -> None:
    assert studio("doctor")[0] in (0, 1)  # 1: no reserve was laid down by the fixture
    assert studio("doctor", "--fix")[0] == 0
    assert studio("doctor") == (0, [studio("doctor")[1][0]])
    victim = min((tmp_path / "data" / "gallery" / "pictures").rglob("*.png"))  # the oldest; the newest has the star
    victim.unlink()
    status, lines = studio("doctor", "--json")
    report = json.loads(lines[0])
    assert status == 1 and not report["healthy"]
    assert [p["kind"] for p in report["problems"]] == ["row without file"]
    status, lines = studio("doctor", "--fix")
    assert status == 0 and lines[0].startswith("mended  row without file")
    status, lines = studio("doctor", "--fix", "--rebuild")
    assert status == 0 and "a new one was made from the files" in lines[0]
    assert len(studio("list")[1]) == 2
    assert len(studio("list", "--starred")[1]) == 1
    with pytest.raises(InvalidRequest, match="--rebuild changes the gallery"):
        studio("doctor", "--rebuild")


def test_damaged_index_is_replaced_by_doctor_fix(studio: Callable[..., tuple[int, list[str]]], tmp_path: Path) -> None:
    (tmp_path / "data" / "gallery" / "index.sqlite").write_bytes(b"SQLite format 3\0" + b"x" * 9000)
    with pytest.raises(GalleryError, match="studio gallery doctor --fix"):
        studio("list")
    status, lines = studio("doctor", "--fix")
    assert status == 0 and lines[0].startswith("The old index was moved to index-damaged-")
    assert len(studio("list")[1]) == 3


def test_export_and_import(studio: Callable[..., tuple[int, list[str]]], tmp_path: Path) -> None:
    assert studio("export", tmp_path / "a.zip", "--search", "apple") == (0, [f"2 pictures in {tmp_path / 'a.zip'}"])
    assert studio("export", tmp_path / "b.zip", "--html", "--title", "Mine")[0] == 0
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert "<h1>Mine</h1>" in archive.read("index.html").decode()
    first = json.loads(studio("list", "--json")[1][0])["id"]
    assert studio("export", tmp_path / "c.zip", "--ids", first, "--format", "jpeg", "--without-recipe")[0] == 0
    noise(50).save(tmp_path / "photo.png")
    assert studio("import", tmp_path / "photo.png") == (0, ["1 picture imported, 0 known already, 0 left out"])
    assert studio("import", tmp_path / "a.zip") == (0, ["0 pictures imported, 2 known already, 0 left out"])


def test_list_takes_days_and_sizes(studio: Callable[..., tuple[int, list[str]]]) -> None:
    today = f"{datetime.now():%Y-%m-%d}"
    assert len(studio("list", "--from", today, "--to", today, "--size", "16x16")[1]) == 3
    assert studio("list", "--to", "2020-01-01")[1] == studio("list", "--size", "8x8")[1] == []
    for wrong in (("--from", "yesterday"), ("--to", "2026-13-01"), ("--size", "big")):
        with pytest.raises(InvalidRequest, match=wrong[1]):
            studio("list", *wrong)
