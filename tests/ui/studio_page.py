"""A studio page with a fake engine: what the tests of the page visit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from fake_engine import FakeEngine
from playwright.sync_api import Page

from studio.gallery import Gallery, recorder
from studio.jobs import JobRunner
from studio.pictures import PictureStore
from studio.settings import Settings
from studio.state.memory import Memory
from studio.ui.serve import serving
from studio.ui.session import Sessions
from studio.ui.studio import ModelCard, Quality, Status, Studio

Visit: TypeAlias = Callable[..., Page]

CARD = ModelCard(
    id="fake-256",
    title="Fake 256",
    sizes=((256, 256), (192, 256)),
    schedulers={"dpmpp_2m": "DPM++ 2M", "euler": "Euler"},
    qualities={
        "draft": Quality(8, 3.0, "dpmpp_2m"),
        "standard": Quality(20, 4.0, "dpmpp_2m"),
        "fine": Quality(40, 5.0, "euler"),
    },
    style_words=("3d style", "line art"),
    examples=("a red apple on a white table", "two green bottles"),
)


@dataclass
class Opened:
    """A studio being served at `address`; `status` is what its engine says it does."""

    address: str
    studio: Studio
    engine: FakeEngine
    runner: JobRunner
    gallery: Gallery
    sessions: Sessions
    status: list[Status] = field(default_factory=lambda: [Status()])

    def owner(self, page: Page) -> str:
        """Return the session that a page belongs to."""
        cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
        owner = self.sessions.owner(cookies[self.sessions.cookie])
        assert owner
        return owner


@contextmanager
def opened_studio(folder: Path, *, port: int = 0) -> Iterator[Opened]:
    """Serve a studio whose data lies in `folder`."""
    settings = Settings(data_dir=folder, port=port, browser=False)
    engine, status = FakeEngine(), [Status()]
    with (
        Gallery(settings.gallery_dir, reserve_bytes=0) as gallery,
        Memory(folder) as memory,
        JobRunner(engine.run, recorder(gallery), journal=memory.journal) as runner,
    ):
        pictures = PictureStore(settings.data_dir / "pictures")
        studio = Studio(
            runner, gallery, pictures, settings, models=lambda: [CARD], status=lambda: status[0], drafts=memory.drafts
        )
        with serving(studio, settings) as address:
            yield Opened(address, studio, engine, runner, gallery, Sessions.in_folder(settings.data_dir), status)
