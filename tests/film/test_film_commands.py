"""`studio fork`, `film`, `upscale` and `walk` from the command line, on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.cli import BAD_INPUT, DONE, main
from tests.engine.tiny import save_ldm, ship_preview


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    ship_preview(save_ldm(folder / "tiny"))
    return folder


@pytest.fixture
def picture(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STUDIO_MODEL_FOLDERS", str(models))
    monkeypatch.setenv("STUDIO_DEVICE", "cpu")
    path = tmp_path / "apple.png"
    asked = ["generate", "a red apple", "--model", "tiny", "--width", "64", "--height", "64", "--steps", "4"]
    assert main([*asked, "--seed", "1", "--out", str(path)]) == DONE
    return path


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_a_picture_is_forked_filmed_and_walked_from_its_own_recipe(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same, other, film = tmp_path / "same.png", tmp_path / "other.png", tmp_path / "film.gif"
    assert main(["fork", str(picture), "--step", "2", "--out", str(same)]) == DONE
    np.testing.assert_array_equal(pixels(same), pixels(picture))
    assert main(["fork", str(same), "--step", "1", "--frame", "--out", str(other)]) == DONE
    assert not np.array_equal(pixels(other), pixels(picture))
    assert main(["film", str(picture), "--out", str(film), "--json"]) == DONE
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["event"] == "finished" and film.read_bytes()[:3] == b"GIF"
    walk = ["walk", "a red apple", "--to-seed", "5", "--frames", "2", "--steps", "2", "--model", "tiny"]
    assert main([*walk, "--width", "64", "--height", "64", "--out", str(tmp_path / "walk.webp")]) == DONE
    assert (tmp_path / "walk.webp").stat().st_size > 100


def test_a_picture_is_upscaled(picture: Path, tmp_path: Path) -> None:
    larger = tmp_path / "larger.png"
    assert main(["upscale", str(picture), "--scale", "4", "--out", str(larger)]) == DONE
    assert Image.open(larger).size == (256, 256)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fork", "PICTURE", "--step", "9"], "cannot be forked after step 9"),
        (["fork", "PLAIN", "--step", "1"], "has no recipe inside"),
        (["fork", "nowhere.png", "--step", "1"], "There is no file"),
        (["film", "PICTURE", "--out", "film.avi"], "does not end in .mp4, .gif or .webp"),
        (["walk", "a", "--out", "film.avi"], "does not end in .mp4, .gif or .webp"),
        (["upscale", "PICTURE", "--scale", "3"], "Scale cannot be 3"),
    ],
)
def test_bad_input_is_said(
    picture: Path, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tmp_path / "plain.png"
    Image.new("RGB", (64, 64)).save(plain)
    places = {"PICTURE": str(picture), "PLAIN": str(plain)}
    assert main([places.get(word, word) for word in arguments]) == BAD_INPUT
    assert message in capsys.readouterr().err
