from __future__ import annotations

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from studio.errors import StudioError
from studio.training.pack import Pack, PackWriter, encode_webp
from tests.training.sources import disc


@pytest.fixture
def pack_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny.pack"
    with PackWriter(folder) as writer:
        for name, colour, split in (("a", (220, 30, 30), "train"), ("b", (30, 60, 220), "heldout_thing")):
            writer.add(encode_webp(disc(colour)), id=name, thing="disc", names=("disc", "circle"), split=split)
    return folder


def test_a_picture_comes_back_as_it_was_written_up_to_the_loss_of_webp(pack_folder: Path) -> None:
    pack = Pack.open(pack_folder)
    picture, original = pack.picture(0), disc((220, 30, 30))
    assert picture.shape == (256, 256, 4)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture[..., 3], original[..., 3])
    inside = cv2.erode(original[..., 3], np.ones((9, 9))) == 255
    assert np.abs(picture[inside].astype(int) - original[inside]).max() < 20


def test_records_come_back_with_every_field(pack_folder: Path) -> None:
    record = Pack.open(pack_folder).records[1]
    assert (record.id, record.thing, record.names, record.split) == ("b", "disc", ("disc", "circle"), "heldout_thing")


def test_splits_are_apart_and_together_the_whole(pack_folder: Path) -> None:
    pack = Pack.open(pack_folder)
    assert pack.indices("train").tolist() == [0]
    assert pack.indices("heldout_thing").tolist() == [1]
    assert len(pack.indices("heldout_picture")) == 0
    with pytest.raises(StudioError, match='no split "test"'):
        pack.indices("test")


def test_the_decoded_cache_holds_the_same_pixels_and_is_made_once(pack_folder: Path, tmp_path: Path) -> None:
    plain, cached = Pack.open(pack_folder), Pack.open(pack_folder, decoded=tmp_path / "cache")
    for i in range(len(plain)):
        np.testing.assert_array_equal(plain.picture(i), cached.picture(i))
    (file,) = (tmp_path / "cache").iterdir()
    written = file.stat().st_mtime_ns
    Pack.open(pack_folder, decoded=tmp_path / "cache")
    assert file.stat().st_mtime_ns == written


def test_a_pack_travels_to_another_process_as_a_path(pack_folder: Path, tmp_path: Path) -> None:
    pack = Pack.open(pack_folder, decoded=tmp_path / "cache")
    data = pickle.dumps(pack)
    assert len(data) < 2000
    np.testing.assert_array_equal(pickle.loads(data).picture(1), pack.picture(1))


def test_a_folder_that_is_no_pack_is_refused_with_the_way_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="is not a pack") as caught:
        Pack.open(tmp_path)
    assert "studio data build" in caught.value.hint


def test_cut_off_pictures_are_noticed_when_the_pack_is_opened(pack_folder: Path) -> None:
    pictures = pack_folder / "pictures.bin"
    pictures.write_bytes(pictures.read_bytes()[:-10])
    with pytest.raises(StudioError, match=r"has \d+ bytes, but line 3 needs \d+"):
        Pack.open(pack_folder)


@pytest.mark.parametrize("line", ["{", "[]", '{"id": "x"}', '{"id":"x","offset":0,"length":"long","thing":"x"}'])
def test_a_damaged_index_names_its_line(pack_folder: Path, line: str) -> None:
    with (pack_folder / "records.jsonl").open("a") as records:
        records.write(line + "\n")
    with pytest.raises(StudioError, match="damaged at line 4"):
        Pack.open(pack_folder)


def test_a_damaged_picture_names_itself(pack_folder: Path) -> None:
    pictures = pack_folder / "pictures.bin"
    pictures.write_bytes(bytes(len(pictures.read_bytes())))
    with pytest.raises(StudioError, match=r'Picture 0 \("a"\).* is damaged'):
        Pack.open(pack_folder).picture(0)


def test_a_pack_of_a_later_version_is_refused_by_its_number(pack_folder: Path) -> None:
    records = pack_folder / "records.jsonl"
    first, rest = records.read_text().split("\n", 1)
    records.write_text(json.dumps({**json.loads(first), "version": 9}) + "\n" + rest)
    with pytest.raises(StudioError, match="version 9"):
        Pack.open(pack_folder)


def test_an_empty_index_is_no_pack(pack_folder: Path) -> None:
    (pack_folder / "records.jsonl").write_text("")
    with pytest.raises(StudioError, match="is empty"):
        Pack.open(pack_folder)


def test_a_build_that_fails_leaves_no_pack_behind(tmp_path: Path) -> None:
    folder = tmp_path / "broken.pack"
    with pytest.raises(RuntimeError), PackWriter(folder) as writer:
        writer.add(encode_webp(disc((1, 2, 3))), id="a", thing="disc")
        raise RuntimeError
    assert not folder.exists()


def test_an_existing_pack_is_never_overwritten(pack_folder: Path) -> None:
    with pytest.raises(StudioError, match="exists already"):
        PackWriter(pack_folder)
