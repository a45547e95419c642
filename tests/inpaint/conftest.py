"""An engine with tiny random-weight models: our own family, SD 1.x, and an SD inpainting U-Net of 9 channels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline, StableDiffusionPipeline, UNet2DConditionModel

from studio.codebook.vqgan import Vqgan
from studio.engine.engine import Engine
from studio.inpaint.context import Context
from studio.pictures import PictureStore
from tests.engine.run import settings_for
from tests.engine.tiny import save_ldm, save_sd


@pytest.fixture(autouse=True)
def nothing_shipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only the models made here are there, whatever ships with the studio."""
    monkeypatch.setattr("studio.settings.ROOT", tmp_path / "nothing shipped")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models "tiny-ldm", "tiny-sd" and "tiny-sd-inpainting"."""
    folder = tmp_path_factory.mktemp("models")
    save_ldm(folder / "tiny-ldm")
    save_sd(folder / "tiny-sd")
    parts = StableDiffusionPipeline.from_pretrained(folder / "tiny-sd").components
    torch.manual_seed(3)
    parts["unet"] = UNet2DConditionModel.from_config({**parts["unet"].config, "in_channels": 9})
    inpainting = StableDiffusionInpaintPipeline(**parts, requires_safety_checker=False)
    inpainting.save_pretrained(folder / "tiny-sd-inpainting", safe_serialization=True)
    return folder


@pytest.fixture(scope="session")
def engine(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A real engine, in float32 on the CPU."""
    data_dir = tmp_path_factory.mktemp("data")
    settings = settings_for(data_dir, models, memory_gb=4)
    return Engine(settings, read_picture=PictureStore(data_dir / "inputs").get)


@pytest.fixture(scope="session")
def context(engine: Engine, models: Path) -> Context:
    """The engine, and the VQGAN of its own small model."""
    vqgan = Vqgan.load(models / "tiny-ldm")
    return Context.of(engine, lambda model: vqgan)


@pytest.fixture
def store(engine: Engine) -> PictureStore:
    """Where the engine reads pictures."""
    return PictureStore(engine.settings.data_dir / "inputs")
