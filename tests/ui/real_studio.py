"""The whole studio with the real engine in its own process, on a tiny model of random weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from studio.app import page_model
from studio.engine.catalog import scan
from studio.events import Event
from studio.gallery import Gallery, recorder
from studio.jobs import JobRunner
from studio.pictures import PictureStore
from studio.process.host import EngineHost
from studio.requests import Request
from studio.settings import Settings
from studio.ui.serve import serving
from studio.ui.studio import Studio
from tests.engine.tiny import save_ldm


@contextmanager
def real_studio(folder: Path, *, pause_seconds: float = 0.1) -> Iterator[tuple[str, EngineHost, Gallery]]:
    """Serve the studio on a model of random weights; its steps are slowed so that a browser can follow."""
    settings = settings_in(folder)
    save_ldm(settings.data_dir / "models" / "tiny")
    host = EngineHost(settings)
    host.start(warm_up=False)
    with (
        host,
        Gallery(settings.gallery_dir, reserve_bytes=0) as gallery,
        started(settings, host, gallery, pause_seconds=pause_seconds) as address,
    ):
        yield address, host, gallery


@contextmanager
def started(settings: Settings, host: EngineHost, gallery: Gallery, *, pause_seconds: float = 0) -> Iterator[str]:
    """Serve a studio that knows of no job yet, as after a start; yields its address."""
    models = [page_model(card) for card in scan(settings.checkpoint_folders).models if "tiny" in card.id]

    def run(request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
        for event in host.run(request, should_stop):
            yield event
            time.sleep(pause_seconds)

    with JobRunner(run, recorder(gallery)) as runner:
        pictures = PictureStore(settings.data_dir / "pictures")
        studio = Studio(runner, gallery, pictures, settings, models=lambda: models, sees=lambda session: None)
        with serving(studio, settings) as address:
            yield address


def settings_in(folder: Path) -> Settings:
    """Return the settings of a studio whose data lies in `folder`."""
    data = folder / "data"
    return Settings(data_dir=data, port=0, browser=False, device="cpu", dtype="float32", preview_seconds=0)
