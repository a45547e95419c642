"""The Codebook tab among the others, in a real browser: what was edited goes on to inpainting, its codes to Style."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from codebook.drawing import drawn
from playwright.sync_api import Browser, Page, expect
from served import watch_errors
from studio_page import CARD

from studio.codebook.answers import CodebookModel
from studio.codebook.run import Studio as CodebookStudio
from studio.codebook.run import run_edit_tokens
from studio.codebook.service import Desk
from studio.codebook.vqgan import Vqgan
from studio.gallery import Gallery, recorder
from studio.jobs import JobRunner
from studio.pictures import PictureStore
from studio.requests import EditTokens
from studio.settings import Settings
from studio.ui.serve import serving
from studio.ui.studio import Studio

pytestmark = pytest.mark.browser
WIDTH, HEIGHT, FACTOR = 120, 96, 8
APP = "window.studioCodebook"
EDITOR = "window.studioCanvases?.get('inpaint')"


@pytest.fixture
def tab(chromium: Browser, tmp_path: Path) -> Iterator[tuple[Page, PictureStore, Gallery]]:
    """The Codebook tab of a whole studio, with a picture on the desk and one code of it changed."""
    settings = Settings(data_dir=tmp_path, port=0, browser=False)
    model = Vqgan.load(Path(__file__).parent.parent / "codebook" / "models" / "tiny")
    pictures = PictureStore(settings.data_dir / "pictures")
    runs = CodebookStudio(lambda name: model, open_picture=pictures.get, cache_dir=tmp_path / "cache")
    desk = Desk(
        lambda name: model,
        models=lambda: [CodebookModel("", "Tiny")],
        examples={"dawn": lambda: drawn(WIDTH, HEIGHT, seed=0)},
        cache_dir=tmp_path / "cache",
    )
    with (
        Gallery(settings.gallery_dir, reserve_bytes=0) as gallery,
        JobRunner(lambda request, stop: run_edit_tokens(request, runs), recorder(gallery)) as runner,  # type: ignore[arg-type]
    ):
        it = Studio(runner, gallery, pictures, settings, models=lambda: [CARD], extras={"codebook": lambda: desk})
        with serving(it, settings) as address:
            context = chromium.new_context(viewport={"width": 1280, "height": 860})
            page = context.new_page()
            page.set_default_timeout(60_000)
            errors = watch_errors(page)
            page.goto(address)
            page.click("#tab-codebook-button")
            page.wait_for_function(f"{APP}?.card?.card && {APP}.desk.document")
            page.evaluate(f"{APP}.do({{kind: 'paint', code: {_unused(model)}, cells: [[5, 6]]}})")
            yield page, pictures, gallery
            assert errors == []
            context.close()


def test_an_edit_goes_on_to_inpainting_to_style_and_by_the_gallery_back(
    tab: tuple[Page, PictureStore, Gallery],
) -> None:
    page, pictures, gallery = tab
    choose(page, "Inpaint what I edited")
    page.wait_for_function(f"{EDITOR}?.mask?.coverage() > 0")
    ring = (3 * FACTOR) ** 2 / (WIDTH * HEIGHT)  # the edited token and one around it
    assert page.evaluate(f"{EDITOR}.mask.coverage()") == pytest.approx(ring, abs=1e-3)
    sent = np.asarray(pictures.get(page.evaluate(f"{EDITOR}.source.ref")).convert("RGB"))
    assert np.array_equal(sent, shown(page))

    page.click("#tab-codebook-button")
    choose(page, "Its palette to style transfer")
    expect(page.locator("#style-references .well-strip i").first).to_be_attached()
    assert page.locator("#style-references .well-strip i").count() > 1

    page.click("#tab-codebook-button")
    page.locator(".cb-side, .cb-left").first.wait_for()
    page.get_by_role("button", name="Keep", exact=True).click()
    page.get_by_role("button", name="Keep in gallery").click()
    page.wait_for_function("document.querySelector('#codebook') && !document.querySelector('[aria-busy=true]')")
    request = None
    for _ in range(100):
        if entries := gallery.page().entries:
            request = entries[0].request
            break
        page.wait_for_timeout(100)
    assert isinstance(request, EditTokens) and request.operations[-1]["kind"] == "paint"
    assert np.array_equal(np.asarray(gallery.open(entries[0].id).convert("RGB")), shown(page))


def choose(page: Page, name: str) -> None:
    """Press a button of the Codebook tab's "Keep" panel."""
    page.get_by_role("button", name="Keep", exact=True).click()
    page.get_by_role("button", name=name).click()


def shown(page: Page) -> np.ndarray:
    """Return the exact pixels on the Codebook tab's canvas, (96, 120, 3)."""
    page.evaluate(f"{APP}.desk.settle()")
    data = page.evaluate(f"Array.from({APP}.canvas.pixels.getImageData(0, 0, {WIDTH}, {HEIGHT}).data)")
    return np.array(data, np.uint8).reshape(HEIGHT, WIDTH, 4)[..., :3]


def _unused(model: Vqgan) -> int:
    used = model.encode(drawn(WIDTH, HEIGHT, seed=0)).codes
    return int(np.setdiff1d(np.arange(model.codebook_size), used)[0])
