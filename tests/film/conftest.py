"""An engine over tiny models that runs every kind of request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.engine.engine import Engine
from studio.handlers import handlers
from studio.pictures import PictureStore
from tests.engine import tiny
from tests.engine.run import settings_for


@pytest.fixture(scope="package")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three tiny models: "ldm", and "sd1" and "sd1-too", which go on with each other's latents."""
    folder = tmp_path_factory.mktemp("models")
    tiny.save_ldm(folder / "ldm")
    tiny.save_sd(folder / "sd1")
    tiny.save_sd(folder / "sd1-too")
    for model in folder.iterdir():
        tiny.ship_preview(model)
    return folder


@pytest.fixture(scope="package")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> PictureStore:
    """Where masks are put."""
    return PictureStore(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="package")
def engine(model_folder: Path, pictures: PictureStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine in float32 over the tiny models."""
    data = tmp_path_factory.mktemp("data")
    settings = settings_for(data, model_folder)
    yield Engine(settings, read_picture=pictures.get, handlers=handlers(settings))
