"""The models group and the full-size arms report every figure; small and on the CPU here, full size on a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from studio.bench import GROUPS, full_size, models
from studio.bench.random_models import random_loaded
from studio.engine.engine import Engine
from studio.requests import TextToImage
from studio.settings import Settings
from tests.engine import tiny


def test_loading_and_switching_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.save_ldm(tmp_path / "ldm")
    tiny.ship_preview(tmp_path / "ldm")
    monkeypatch.setattr("studio.settings.ROOT", tmp_path / "nothing shipped")
    settings = Settings(data_dir=tmp_path / "data", model_folders=(tmp_path,), device="cpu")
    result = GROUPS["models"].run(settings, 2)
    assert result["model"] == "ldm" and result["load_seconds"] > 0 and result["already_in_memory_ms"] >= 0
    assert result["load engine / stock"]["ratio"] > 0
    for name in ("load", "switch"):
        assert result[f"{name} / {name} (noise)"]["ratio"] > 0 and result[name]["rounds"] == 2
    assert result["LoRA switched / loaded anew"]["ratio"] < 1, "switching should not load anything"


def test_without_a_model_loading_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "switching", lambda *a, **k: {})
    monkeypatch.setattr("studio.settings.ROOT", tmp_path)
    assert "no model" in models.run(Settings(data_dir=tmp_path), 1)["loading"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="shows a machine without a GPU: run with CUDA_VISIBLE_DEVICES=")
def test_full_size_is_skipped_with_a_sentence_on_a_cpu(tmp_path: Path) -> None:
    assert "need an NVIDIA GPU" in full_size.run(Settings(data_dir=tmp_path), 1)["full size"]


@pytest.mark.thorough
def test_the_arms_of_full_size_run_small_on_a_cpu(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, device="cpu", dtype="float32", preview_seconds=0)
    result = full_size.measure(settings, "small", 2, device="cpu", dtype="float32", backend="aot_eager")
    for name in ("stock at its defaults / engine", "engine with previews / stock at its best", "stop to idle"):
        assert result[name], name
    assert result["engine against float32 stock"]["mean_levels_apart"] == 0  # the same float32 arithmetic
    assert {"eight one by one / eight at once", "first job / steady job"} <= result.keys()
    assert {"eight users one by one / joined", "engine / engine compiled", "compiling"} <= result.keys()


def test_the_formats_are_compared_on_the_same_weights_and_the_model_is_left_as_it_was(tmp_path: Path) -> None:
    loaded = random_loaded("small", device="cpu", dtype="float32")
    unet = loaded.model.unet
    engine = Engine(Settings(data_dir=tmp_path, device="cpu", dtype="float32", preview_seconds=0))
    request = TextToImage(prompt="an apple", steps=1, seed=1, scheduler="euler", width=128, height=128)
    result = full_size.channels_last(engine, loaded, request, 1)
    assert loaded.model.unet is unet
    assert result["contiguous / channels_last"]["mean_levels_apart"] < 1
    assert result["channels_last / channels_last (noise)"]["ratio"] > 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="run on a machine with an NVIDIA GPU")
@pytest.mark.parametrize("name", ["sd15", "sdxl"])
def test_random_models_of_full_size_stay_finite(name: str) -> None:
    loaded = random_loaded(name, device="cuda:0", dtype="bfloat16")
    latents = torch.randn(1, 4, 64, 64, device="cuda", dtype=torch.bfloat16)
    positive = loaded.model.condition("a cat", "", guidance_scale=1, width=512, height=512).positive
    assert torch.isfinite(loaded.model.predict(latents, torch.tensor(500, device="cuda"), positive)).all()
