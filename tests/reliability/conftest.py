"""Tiny models for the reliability tests: our own kind, and one of Stable Diffusion's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.engine.engine import Engine
from studio.handlers import handlers
from studio.pictures import PictureStore
from studio.process.host import EngineHost
from studio.settings import Settings
from tests.engine import tiny
from tests.engine.run import settings_for
from tests.reliability.short_of_memory import ShortOfMemory


@pytest.fixture(scope="session")
def tiny_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings over two tiny models, "ldm" and "sd1", in float32 on the CPU."""
    folder = tmp_path_factory.mktemp("models")
    tiny.save_ldm(folder / "ldm")
    tiny.save_sd(folder / "sd1")
    for model in folder.iterdir():
        tiny.ship_preview(model)
    data = tmp_path_factory.mktemp("data")
    return settings_for(data, folder)


@pytest.fixture
def engine(tiny_settings: Settings) -> Engine:
    """An engine of one's own, with every kind of request."""
    pictures = PictureStore(tiny_settings.data_dir / "pictures")
    return Engine(tiny_settings, read_picture=pictures.get, handlers=handlers(tiny_settings))


@pytest.fixture(scope="session")
def host(tiny_settings: Settings) -> Iterator[EngineHost]:
    """The real engine in its own process; started once, for it takes seconds."""
    with (
        pytest.MonkeyPatch.context() as patch,
        EngineHost(tiny_settings, build=ShortOfMemory, spare_after_seconds=0.1) as running,
    ):
        patch.setattr("studio.process.spare.ROOM_BYTES", 0)  # a small machine has a spare here too
        running.start(warm_up=False)
        assert running.wait_until_ready(120)
        yield running


@pytest.fixture(scope="session")
def tiny_models(tiny_settings: Settings) -> Path:
    """The folder of the tiny models."""
    return tiny_settings.model_folders[0]
