from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from studio.errors import StudioError
from studio.training.augment import draw, plain
from studio.training.folder import build_folder, caption_of_name
from studio.training.pack import Pack
from tests.training.sources import disc, svg, write_picture

COLOURS = [(230, 30, 30), (30, 160, 60), (40, 90, 220), (250, 210, 40), (150, 60, 200)]


def build(folder: Path, out: Path, **options: str) -> tuple[Pack, object]:
    summary = build_folder(folder, out, progress=lambda _: None, **options)
    return Pack.open(out), summary


def test_captions_come_from_csv_before_sidecar_before_file_name(tmp_path: Path) -> None:
    folder = tmp_path / "art"
    for number, name in enumerate(("red-fox_02.png", "b.png", "sub/c.png")):
        write_picture(folder / name, disc(COLOURS[number]))
    (folder / "b.txt").write_text("A green ball\n")
    (folder / "sub" / "c.txt").write_text("not this")
    (folder / "captions.csv").write_text("file_name,text\nsub/c.png,A boat on a quiet lake at night\n")
    pack, _ = build(folder, tmp_path / "art.pack", style="watercolour")
    assert {record.id: record.thing for record in pack.records} == {
        "red-fox_02.png": "red fox",
        "b.png": "green ball",
        "sub/c.png": "A boat on a quiet lake at night",
    }
    captions = {plain(pack, i, 32).caption for i in range(3)}
    assert captions == {
        "a red fox, watercolour style",
        "a green ball, watercolour style",
        "A boat on a quiet lake at night, watercolour style",
    }


def test_a_sentence_is_never_taken_apart_by_augmentation(tmp_path: Path) -> None:
    folder = tmp_path / "art"
    write_picture(folder / "a.png", disc(COLOURS[0]))
    (folder / "a.txt").write_text("Two old friends walk home, late")
    pack, _ = build(folder, tmp_path / "art.pack")
    rng = np.random.default_rng(0)
    for _ in range(100):
        assert "Two old friends walk home, late" in draw(pack, rng, size=16).caption


def test_damaged_files_are_listed_and_never_fatal(tmp_path: Path) -> None:
    folder = tmp_path / "art"
    write_picture(folder / "good.png", disc(COLOURS[0]))
    (folder / "bad.png").write_bytes(b"not a picture")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "broken.svg").write_text("<svg")
    write_picture(folder / "same.png", disc(COLOURS[0]))
    (folder / "drawing.svg").write_text(svg("leaf"))
    (folder / "notes.docx").write_bytes(b"x")
    pack, summary = build(folder, tmp_path / "art.pack")
    assert [record.id for record in pack.records] == ["drawing.svg", "good.png"]
    assert [name for name, _ in summary.rejected] == ["bad.png", "broken.svg", "empty.jpg"]
    assert summary.duplicates == (("same.png", "good.png"),)


def test_a_csv_row_without_its_picture_is_listed(tmp_path: Path) -> None:
    write_picture(tmp_path / "art" / "a.png", disc(COLOURS[0]))
    (tmp_path / "art" / "captions.csv").write_text("image,prompt\na.png,ball\nlost.png,kite\n", encoding="utf-8-sig")
    _, summary = build(tmp_path / "art", tmp_path / "art.pack")
    assert summary.rejected == (("lost.png", "named in the CSV, but there is no such picture"),)


def test_a_csv_with_other_columns_says_which_it_needs(tmp_path: Path) -> None:
    write_picture(tmp_path / "art" / "a.png", disc(COLOURS[0]))
    (tmp_path / "art" / "captions.csv").write_text("name;words\na.png;ball\n")
    with pytest.raises(StudioError, match="has the columns name;words") as caught:
        build(tmp_path / "art", tmp_path / "art.pack")
    assert "file_name" in caught.value.hint


def test_a_csv_in_another_encoding_says_how_to_save_it(tmp_path: Path) -> None:
    write_picture(tmp_path / "art" / "a.png", disc(COLOURS[0]))
    (tmp_path / "art" / "captions.csv").write_bytes("file,text\na.png,Früchte\n".encode("latin-1"))
    with pytest.raises(StudioError, match="cannot be read as CSV") as caught:
        build(tmp_path / "art", tmp_path / "art.pack")
    assert "UTF-8" in caught.value.hint


def test_folders_with_nothing_to_use_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="There is no folder"):
        build(tmp_path / "nowhere", tmp_path / "a.pack")
    (tmp_path / "art").mkdir()
    with pytest.raises(StudioError, match="holds no pictures"):
        build(tmp_path / "art", tmp_path / "a.pack")
    (tmp_path / "art" / "bad.png").write_bytes(b"x")
    with pytest.raises(StudioError, match="None of 1 pictures could be used") as caught:
        build(tmp_path / "art", tmp_path / "a.pack")
    assert "bad.png" in caught.value.hint
    assert not (tmp_path / "a.pack").exists()


def test_some_pictures_of_a_larger_folder_are_held_out_and_none_of_a_small_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(80):
        rgba = disc(tuple(int(v) for v in rng.integers(0, 256, 3)))
        rgba[: int(rng.integers(20, 200)), : int(rng.integers(20, 200)), 3] = 255
        write_picture(tmp_path / "art" / f"{i:02}.png", rgba)
    pack, _ = build(tmp_path / "art", tmp_path / "art.pack")
    assert 0 < len(pack.indices("heldout_picture")) < 16
    for path in sorted((tmp_path / "art").iterdir())[20:]:
        path.unlink()
    small, _ = build(tmp_path / "art", tmp_path / "small.pack")
    assert len(small.indices("heldout_picture")) == 0


@pytest.mark.parametrize(
    ("stem", "caption"),
    [
        ("Red-Fox_02 (1)", "red fox"),
        ("BlueBird", "blue bird"),
        ("cat2", "cat"),
        ("007", ""),
        ("été_à_la_mer", "été à la mer"),
    ],
)
def test_file_names_become_captions(stem: str, caption: str) -> None:
    assert caption_of_name(stem) == caption
