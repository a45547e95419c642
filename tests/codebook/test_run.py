"""Engine events, the atlas of a real model, and the command line."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from codebook.drawing import drawn
from studio.cli import BAD_INPUT, main
from studio.codebook.atlas import FIELD, make_atlas, open_atlas
from studio.codebook.find import find_vqgans, resolve
from studio.codebook.operations import Jitter, Operation, Paint, SetPalette, Shuffle, Sort, apply
from studio.codebook.palettes import Palette
from studio.codebook.run import Studio, run_edit_tokens, run_reconstruct
from studio.codebook.share import share, unshare
from studio.codebook.vqgan import Vqgan
from studio.errors import InvalidRequest
from studio.events import Event, Finished, Loading, Step
from studio.pictures import picture_hash
from studio.requests import EditTokens, Reconstruct

Run = Callable[..., list[str]]


@pytest.fixture
def studio(vqgan: Vqgan, picture: Image.Image, tmp_path: Path) -> Studio:
    pictures = {picture_hash(picture): picture}
    return Studio(load=lambda model: vqgan, open_picture=pictures.__getitem__, cache_dir=tmp_path / "cache")


def finished(events: list[Event]) -> Finished:
    assert isinstance(events[0], Loading) and isinstance(events[-1], Finished)
    return events[-1]


def test_each_swatch_is_the_centre_of_a_field_of_its_code(vqgan: Vqgan, tmp_path: Path) -> None:
    told: list[float] = []
    atlas = open_atlas(vqgan, tmp_path, progress=told.append)
    assert told[-1] == 1 and told == sorted(told)
    for code in (0, 17, 63):
        field = np.asarray(vqgan.decode(vqgan.token_map(np.full((FIELD, FIELD), code))))
        assert np.abs(field[8:16, 8:16].astype(int) - atlas.swatches[code]).max() <= 1
    again = open_atlas(vqgan, tmp_path, progress=told.append)
    assert np.array_equal(again.swatches, atlas.swatches) and len(told) == 2  # the second came from the cache
    next(tmp_path.glob("*.json")).write_text("{}")
    assert np.array_equal(open_atlas(vqgan, tmp_path).swatches, make_atlas(vqgan).swatches)


def test_a_reconstruction_carries_its_tokens(studio: Studio, vqgan: Vqgan, picture: Image.Image) -> None:
    done = finished(list(run_reconstruct(Reconstruct(source=picture_hash(picture)), studio)))
    tokens = unshare(done.extras["tokens"], checksum=vqgan.checksum)
    assert tokens == vqgan.encode(picture)
    assert done.images[0].tobytes() == vqgan.decode(tokens).tobytes()
    assert done.facts["checksum"] == vqgan.checksum and done.extras["changed"] == 0


def test_an_edit_replayed_from_its_recipe_gives_identical_pixels(
    studio: Studio, vqgan: Vqgan, picture: Image.Image
) -> None:
    start = vqgan.encode(picture)
    palette = Palette.of(vqgan.encode(drawn(64, 64, seed=1)))
    operations: tuple[Operation, ...] = (
        Paint(code=3, cells=((1, 1), (2, 2))),
        Jitter(seed=5),
        SetPalette(palette=palette, strength=0.5),
        Sort(key="hue", mask=((0, 0), (0, 1), (0, 2))),
    )
    recipe = EditTokens(tokens=share(start), operations=tuple(o.model_dump(mode="json") for o in operations))
    events = list(run_edit_tokens(EditTokens.model_validate_json(recipe.model_dump_json()), studio))
    assert [e.index for e in events if isinstance(e, Step)] == [1, 2, 3, 4]
    done = finished(events)
    expected = apply(start, operations, open_atlas(vqgan, studio.cache_dir).space(vqgan.vectors))
    assert unshare(done.extras["tokens"]).codes.tolist() == expected.codes.tolist()
    assert done.images[0].tobytes() == vqgan.decode(expected).tobytes()
    assert done.extras["changed"] == (expected.codes != start.codes).sum() > 0

    buffer = io.BytesIO()
    done.images[0].save(buffer, "PNG")
    again = finished(list(run_edit_tokens(EditTokens(tokens=done.extras["tokens"]), studio)))
    assert Image.open(buffer).tobytes() == again.images[0].tobytes()


def test_edits_of_nothing_or_of_another_model_are_refused(studio: Studio, vqgan: Vqgan) -> None:
    with pytest.raises(InvalidRequest, match="nothing to edit"):
        list(run_edit_tokens(EditTokens(), studio))
    other = vqgan.token_map(np.zeros((2, 2), int))
    object.__setattr__(other, "checksum", "f" * 64)
    with pytest.raises(InvalidRequest, match="made with another model"):
        list(run_edit_tokens(EditTokens(tokens=share(other)), studio))


@pytest.fixture
def codes(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `studio codes ACTION ...` with the tiny model and return the lines it printed."""

    def run(*arguments: object, expect: int = 0) -> list[str]:
        action, *rest = (str(a) for a in arguments)
        status = main(["codes", action, "--model", str(model_folder / "tiny"), *rest])
        said = capsys.readouterr()
        assert status == expect, said.err
        return (said.out + said.err).splitlines()

    return run


def test_share_prints_the_string_last_and_unshare_makes_the_picture(
    codes: Run, vqgan: Vqgan, picture: Image.Image, tmp_path: Path
) -> None:
    picture.save(tmp_path / "a.png")
    text = codes("share", tmp_path / "a.png")[-1]
    assert unshare(text, checksum=vqgan.checksum) == vqgan.encode(picture)
    codes("unshare", text, "--out", tmp_path / "b.png")
    assert Image.open(tmp_path / "b.png").tobytes() == vqgan.decode(vqgan.encode(picture)).tobytes()
    assert "cut short" in codes("unshare", text[:-9], "--out", tmp_path / "c.png", expect=BAD_INPUT)[0]
    assert not (tmp_path / "c.png").exists()


def test_folders_are_encoded_and_decoded_with_progress_and_nothing_is_overwritten(
    codes: Run, vqgan: Vqgan, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    drawn(40, 30, seed=1).save(folder / "a.png")
    drawn(40, 30, seed=2).save(folder / "a.webp", lossless=True)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    lines = codes("encode", folder, "--out", tmp_path / "maps", expect=1)
    assert [line[:5] for line in lines] == ["[1/3]", "[2/3]", "[3/3]"] and "damaged" in lines[2]
    assert sorted(p.name for p in (tmp_path / "maps").iterdir()) == ["a-2.tokens", "a.tokens"]
    codes("decode", tmp_path / "maps", "--out", tmp_path / "out")
    expected = vqgan.decode(vqgan.encode(drawn(40, 30, seed=2)))
    assert Image.open(tmp_path / "out/a-2.png").tobytes() == expected.tobytes()


def test_palette_apply_stats_atlas_and_morph_work_on_files(codes: Run, tmp_path: Path, vqgan: Vqgan) -> None:
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    drawn(64, 48, seed=1).save(first)
    drawn(40, 40, seed=2).save(second)
    codes("palette", second, "--out", tmp_path / "p.json")
    codes("apply", first, "--palette", tmp_path / "p.json", "--out", tmp_path / "c.tokens", "--by", "embedding")
    palette = Palette.load(tmp_path / "p.json")
    applied = unshare((tmp_path / "c.tokens").read_text())
    assert set(np.unique(applied.codes)) <= set(palette.codes)
    (tmp_path / "ops.json").write_text(json.dumps([Shuffle(seed=1).model_dump(mode="json")]))
    codes("apply", first, "--operations", tmp_path / "ops.json", "--out", tmp_path / "d.png")
    assert Image.open(tmp_path / "d.png").size == (64, 48)

    lines = codes("stats", first, "--out", tmp_path / "u.json")
    assert re.search(r"of 64 codes in use, over 48 tokens of 1 pictures \(a\.png\)", lines[1])
    assert any(line.startswith("JPEG: ") for line in lines)
    codes("atlas", "--out", tmp_path / "atlas.png", "--order", "hue", "--usage", tmp_path / "u.json")
    assert Image.open(tmp_path / "atlas.png").width % 8 == 0
    lines = codes("morph", first, second, "--out", tmp_path / "m.gif", "--frames", "3")
    assert lines[0] == "b.png was resized from 40 x 40 to 64 x 48." and lines[-1].endswith("3 frames")


def test_bad_input_is_explained_with_status_2(codes: Run, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    drawn(16, 16, seed=1).save(picture)
    (tmp_path / "no.png").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    (tmp_path / "p.json").write_text("{}")
    for arguments, message in (
        (("share", tmp_path / "no.png"), "not a PNG"),
        (("share", tmp_path / "none.png"), "cannot be read"),
        (("encode", tmp_path / "empty", "--out", tmp_path / "x"), "has no pictures"),
        (("decode", picture, "--out", tmp_path / "x.jpg"), "cannot be written"),
        (("apply", picture, "--out", tmp_path / "x.png"), "nothing to apply"),
        (("apply", picture, "--palette", tmp_path / "p.json", "--out", tmp_path / "x.png"), "is not a palette"),
        (("atlas", "--out", tmp_path / "x.jpg"), "does not end in .png"),
        (("morph", picture, "--out", tmp_path / "x.gif", "--frames", "1"), "2 to 600 frames"),
    ):
        assert message in " ".join(codes(*arguments, expect=BAD_INPUT)), arguments


def test_an_unknown_model_is_named(tmp_path: Path) -> None:
    folder = Path(__file__).parent / "models"
    assert list(find_vqgans([tmp_path / "none", folder])) == ["tiny"]
    assert resolve("", [folder]) == folder / "tiny"
    with pytest.raises(InvalidRequest, match='no VQGAN "tinny"'):
        resolve("tinny", [folder])
