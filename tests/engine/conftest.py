"""One set of tiny models for the whole engine suite, and an engine over them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.engine.engine import Engine
from tests.engine import tiny
from tests.engine.run import settings_for
from tests.engine.stock import STOCK, Stock


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one tiny model of each kind: "ldm", "sd1", "sd2", "sdxl", "lcm"."""
    folder = tmp_path_factory.mktemp("models")
    tiny.save_ldm(folder / "ldm")
    tiny.save_sd(folder / "sd1")
    tiny.save_sd(folder / "sd2", prediction_type="v_prediction")
    tiny.save_sdxl(folder / "sdxl")
    tiny.save_sd(folder / "lcm", time_cond_proj_dim=16)
    for model in folder.iterdir():
        tiny.ship_preview(model)
    return folder


@pytest.fixture(scope="session")
def engine(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine in float32 over the tiny models."""
    data = tmp_path_factory.mktemp("data")
    settings = settings_for(data, model_folder)
    yield Engine(settings)


@pytest.fixture(scope="session")
def stock(model_folder: Path) -> dict[str, Stock]:
    """The stock pipeline of every Stable Diffusion-shaped tiny model."""
    return {name: Stock(model_folder / name, STOCK[name]) for name in ("sd1", "sd2", "sdxl", "lcm")}
