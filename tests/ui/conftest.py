"""A studio page with a fake engine, and a real browser to look at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from fake_engine import FakeEngine
from playwright.sync_api import Browser, BrowserContext, Page
from served import browser

from studio.gallery import Gallery, recorder
from studio.jobs import JobRunner
from studio.pictures import PictureStore
from studio.settings import Settings
from studio.ui.serve import serving
from studio.ui.studio import ModelCard, Quality, Status, Studio

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
    """A studio being served at `address`."""

    address: str
    studio: Studio
    engine: FakeEngine


OpenStudio = Callable[..., Opened]


@contextmanager
def opened_studio(folder: Path, *, step_seconds: float, status: Callable[[], Status]) -> Iterator[Opened]:
    """Serve a studio whose engine is a fake one."""
    settings = Settings(data_dir=folder, port=0, browser=False)
    engine = FakeEngine(step_seconds)
    with (
        Gallery(settings.gallery_dir, reserve_bytes=0) as gallery,
        JobRunner(engine.run, recorder(gallery)) as runner,
    ):
        pictures = PictureStore(settings.data_dir / "pictures")
        studio = Studio(runner, gallery, pictures, settings, models=lambda: [CARD], status=status)
        with serving(studio, settings) as address:
            yield Opened(address, studio, engine)


@pytest.fixture
def open_studio(tmp_path: Path) -> Iterator[OpenStudio]:
    """Return a function that serves a studio: `open_studio(step_seconds=0.02)`."""
    with ExitStack() as stack:

        def open_one(step_seconds: float = 0.02, status: Callable[[], Status] = Status) -> Opened:
            return stack.enter_context(opened_studio(tmp_path / "data", step_seconds=step_seconds, status=status))

        yield open_one


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests; each test opens contexts of its own."""
    with browser() as running:
        yield running


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Return a function that opens an address as a new visitor, or as another tab of the visitor `of`."""
    contexts: list[BrowserContext] = []

    def open_page(address: str, *, of: Page | None = None, width: int = 1280, **look: object) -> Page:
        if of is None:
            contexts.append(chromium.new_context(viewport={"width": width, "height": 860}, **look))  # type: ignore[arg-type]
        page = (of.context if of else contexts[-1]).new_page()
        page.set_default_timeout(30_000)
        page.goto(address)
        page.wait_for_selector("#create-stage .stage[data-state]")
        return page

    yield open_page
    for context in contexts:
        context.close()
