"""The whole studio, page to pixels: the real engine in its own process on a tiny model, in a real browser."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client
from PIL import Image, ImageChops
from playwright.sync_api import Browser
from real_studio import real_studio

from studio.events import Finished
from studio.gallery import Gallery
from studio.process.host import EngineHost
from studio.requests import TextToImage

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
    """The studio's address, its engine and its gallery."""
    with real_studio(tmp_path) as parts:
        yield parts


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
    *_, finished = host.run(entry.request, lambda: False)
    assert isinstance(finished, Finished)
    assert ImageChops.difference(gallery.open(entry.id), finished.images[0]).getbbox() is None

    answer = Client(address, verbose=False).predict(entry.request.model_dump(mode="json"), api_name="/generate")
    sent = Image.open(io.BytesIO(base64.b64decode(answer["pictures"][0]["png"])))
    assert ImageChops.difference(sent, finished.images[0]).getbbox() is None
    assert isinstance(entry.request, TextToImage) and entry.request.prompt == "a red apple"
