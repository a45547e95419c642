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
    settings = Settings(
        data_dir=folder / "data", port=0, browser=False, device="cpu", dtype="float32", preview_seconds=0
    )
    save_ldm(settings.data_dir / "models" / "tiny")
    pictures = PictureStore(settings.data_dir / "pictures")
    host = EngineHost(settings)
    host.start(warm_up=False)
    models = [page_model(card) for card in scan(settings.checkpoint_folders).models if "tiny" in card.id]

    def run(request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
        for event in host.run(request, should_stop):
            yield event
            time.sleep(pause_seconds)

    with host, Gallery(settings.gallery_dir, reserve_bytes=0) as gallery, JobRunner(run, recorder(gallery)) as runner:
        studio = Studio(runner, gallery, pictures, settings, models=lambda: models)
        with serving(studio, settings) as address:
            yield address, host, gallery
