"""The shipped example pictures: small, whole, and each with its source and licence."""

from __future__ import annotations

from studio.pictures import open_picture
from studio.settings import ROOT

FOLDER = ROOT / "assets" / "examples"


def test_every_example_opens_is_small_and_names_its_source() -> None:
    sources = (FOLDER / "SOURCES.txt").read_text(encoding="utf-8")
    pictures = sorted(path for path in FOLDER.iterdir() if path.suffix in (".jpg", ".png"))
    assert len(pictures) >= 6
    for path in pictures:
        opened = open_picture(path)
        assert 256 <= max(opened.image.size) <= 768
        assert path.stat().st_size < 250_000
        entry = sources.split(path.name)[1]
        assert "CC0" in entry.split(".jpg")[0]
