"""The whole studio, page to pixels: the real engine on a tiny model of random weights, in a real browser."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gradio_client import Client
from PIL import Image, ImageChops
from playwright.sync_api import Browser

from studio.app import EngineHost, page_model
from studio.engine.catalog import scan
from studio.events import Event, Finished
from studio.gallery import Gallery, recorder
from studio.jobs import JobRunner
from studio.pictures import PictureStore
from studio.requests import Request, TextToImage
from studio.settings import Settings
from studio.ui.serve import serving
from studio.ui.studio import Studio
from tests.engine.tiny import save_ldm

pytestmark = pytest.mark.browser

STAGE = "#create-stage .stage"
KEEP_PREVIEWS = """() => {
    window.seen = new Set();
    const look = () => {
        const stage = document.querySelector('#create-stage .stage');
        const canvas = stage.querySelector('.stage-tile canvas');
        if (canvas && stage.dataset.state === 'running' && stage.classList.contains('has-preview'))
            window.seen.add(canvas.toDataURL());
        requestAnimationFrame(look);
    };
    look();
}"""


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[tuple[str, EngineHost, Gallery]]:
    """The studio on a model of random weights; its steps are slowed so that a browser can follow."""
    settings = Settings(
        data_dir=tmp_path / "data", port=0, browser=False, device="cpu", dtype="float32", preview_seconds=0
    )
    save_ldm(settings.data_dir / "models" / "tiny")
    pictures = PictureStore(settings.data_dir / "pictures")
    host = EngineHost(settings, pictures.get)
    host.start(warm_up=False)
    models = [page_model(card) for card in scan(settings.checkpoint_folders).models if "tiny" in card.id]

    def run(request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
        for event in host.run(request, should_stop):
            yield event
            time.sleep(0.1)

    with Gallery(settings.gallery_dir, reserve_bytes=0) as gallery, JobRunner(run, recorder(gallery)) as runner:
        studio = Studio(runner, gallery, pictures, settings, models=lambda: models)
        with serving(studio, settings) as address:
            yield address, host, gallery


def test_a_prompt_on_the_page_gives_previews_and_the_engines_own_picture(
    tiny: tuple[str, EngineHost, Gallery], chromium: Browser
) -> None:
    address, host, gallery = tiny
    page = chromium.new_page()
    page.set_default_timeout(120_000)
    page.goto(address)
    page.wait_for_selector(f"{STAGE}[data-state]")
    page.evaluate(KEEP_PREVIEWS)
    page.fill("#prompt textarea", "a red apple")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(f'{STAGE}[data-state="finished"]')
    assert page.evaluate("window.seen.size") >= 3
    page.context.close()

    entry = gallery.page().entries[0]
    *_, finished = host.engine().run(entry.request, lambda: False)
    assert isinstance(finished, Finished)
    assert ImageChops.difference(gallery.open(entry.id), finished.images[0]).getbbox() is None

    answer = Client(address, verbose=False).predict(entry.request.model_dump(mode="json"), api_name="/generate")
    sent = Image.open(io.BytesIO(base64.b64decode(answer["pictures"][0]["png"])))
    assert ImageChops.difference(sent, finished.images[0]).getbbox() is None
    assert isinstance(entry.request, TextToImage) and entry.request.prompt == "a red apple"
