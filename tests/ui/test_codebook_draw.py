"""Imagine, in the Codebook tab: alternatives for a selection and pictures out of nothing, on a real (tiny) prior."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr
import numpy as np
import pytest
from codebook.drawing import drawn
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page
from served import serve, watch_errors

from studio.codebook.answers import CodebookModel
from studio.codebook.service import Desk
from studio.codebook.share import unshare
from studio.engine.engine import Engine
from studio.gallery import Gallery, recorder
from studio.handlers import Codebooks, handlers
from studio.jobs import JobRunner
from studio.pictures import PictureStore
from studio.ui.canvas.routes import canvas_routes
from studio.ui.codebook_routes import codebook_routes
from studio.ui.session import Sessions
from studio.ui.tabs.codebook import codebook_page
from tests.engine import tiny
from tests.engine.prior import save_prior
from tests.engine.run import settings_for

pytestmark = pytest.mark.browser
APP = "window.studioCodebook"
PANEL = ".cb-draw"


@pytest.fixture(scope="module")
def page(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The tab on the studio's own engine, with an example of 6 x 4 tokens open."""
    folder, models = tmp_path_factory.mktemp("draw"), tmp_path_factory.mktemp("models")
    save_prior(tiny.save_ldm(models / "model"))
    tiny.ship_preview(models / "model")
    settings = settings_for(folder, models, memory_gb=4)
    codebooks, store, sessions = Codebooks(settings), PictureStore(folder / "inputs"), Sessions(b"k" * 32)
    engine = Engine(settings, read_picture=store.get, handlers=handlers(settings, codebooks))
    desk = Desk(
        lambda name: codebooks.load(name or "model"),  # the first there is would be the shipped one
        models=lambda: [CodebookModel("model", "Model", has_prior=True)],
        examples={"dawn": lambda: drawn(96, 64, seed=1)},
        cache_dir=folder / "cache",
    )
    with gr.Blocks() as blocks:
        codebook_page()
    with Gallery(folder / "gallery", reserve_bytes=0) as gallery, JobRunner(engine.run, recorder(gallery)) as runner:
        codes = codebook_routes(
            lambda: desk,
            pictures=store,
            session_of=sessions.of,
            gallery_picture=lambda session, record: gallery.open(record, owner=session),
            runner=runner,
        )
        with serve(blocks, sessions, canvas_routes(store, sessions.of), codes) as url:
            opened = chromium.new_context(viewport={"width": 1200, "height": 800}).new_page()
            opened.set_default_timeout(60_000)
            errors = watch_errors(opened)
            opened.goto(url)
            opened.wait_for_function(f"{APP}?.card?.card && {APP}.desk.document")
            opened.evaluate(f"({APP}.desk.model = 'model', {APP}.open({{example: 'dawn'}}))")
            yield opened
            assert errors == []
            assert gallery.page(limit=1).entries == (), "alternatives are not recorded"
            opened.context.close()


def codes(page: Page) -> NDArray[np.int32]:
    """The map as the server has it."""
    text = page.evaluate(f"{APP}.desk.ask('share').then((r) => r.json()).then((j) => j.text)")
    return unshare(str(text)).codes


def imagine(page: Page, *, tiles: int) -> None:
    """Open the panel by its key if need be, draw, and wait for the alternatives."""
    if not page.locator(PANEL).is_visible():
        page.evaluate("document.activeElement.blur()")
        page.locator(".cb-left .sc-view").hover()
        page.keyboard.press("r")
    page.locator(f"{PANEL} .sc-cta").click()
    page.wait_for_function(
        f"document.querySelectorAll('{PANEL} button.cb-tile').length === {tiles} && !{APP}.drawing.go.disabled"
        " || document.querySelector('.sc-notice[data-kind=error]:not([hidden])')"
    )
    assert page.locator(f"{PANEL} button.cb-tile").count() == tiles, page.locator(".sc-notice").inner_text()


def test_alternatives_for_a_selection_are_taken_exchanged_and_taken_back(page: Page) -> None:
    before = codes(page)
    page.evaluate(f"{APP}.canvas.select([7, 8, 9, 13, 14, 15])")
    page.wait_for_function(f"{APP}.canvas.selection.size === 6")
    assert page.locator(f"{PANEL} .cb-where").text_content() == "Other tokens for the selected part (6)"
    imagine(page, tiles=5)
    tile = page.locator(f"{PANEL} button.cb-tile")
    taken = []
    for place in (1, 3):
        tile.nth(place).click()
        page.wait_for_function(f"document.querySelectorAll('{PANEL} button.cb-tile')[{place}].ariaPressed === 'true'")
        taken.append(codes(page))
        changed = np.flatnonzero(taken[-1] != before)
        assert set(changed) <= {7, 8, 9, 13, 14, 15}
        assert page.evaluate(f"{APP}.desk.operations.length") == 1, "another alternative takes the place of the first"
    assert not np.array_equal(*taken) and not np.array_equal(taken[0], before)
    tile.nth(0).click()
    page.wait_for_function(f"{APP}.desk.operations.length === 0")
    assert np.array_equal(codes(page), before)
    tile.nth(3).click()
    page.wait_for_function(f"{APP}.desk.operations.length === 1")
    page.keyboard.press("Escape")
    page.locator(".cb-left .sc-view").hover()
    page.keyboard.press("Control+z")
    page.wait_for_function(f"{APP}.desk.operations.length === 0")
    assert np.array_equal(codes(page), before)


def test_an_alternative_for_a_picture_that_has_changed_since_is_refused(page: Page) -> None:
    page.evaluate(f"{APP}.canvas.select([0, 1])")
    imagine(page, tiles=5)
    page.evaluate(f"{APP}.do({{kind: 'paint', code: {(int(codes(page)[2, 0]) + 1) % 64}, cells: [[2, 0]]}})")
    before = codes(page)
    page.locator(f"{PANEL} button.cb-tile").nth(1).click()
    page.wait_for_function("document.querySelector('.sc-notice span').textContent.includes('Draw again')")
    assert np.array_equal(codes(page), before)


def test_the_same_seed_offers_the_same_and_a_prompt_is_followed(page: Page) -> None:
    page.evaluate(f"{APP}.canvas.select([1, 2, 3])")
    offered = []
    for prompt, seed in (("a cat", "7"), ("a cat", "7"), ("a red apple", "7")):
        page.locator(f"{PANEL} input[type=number]").fill(seed)
        page.locator(f"{PANEL} input[type=text]").fill(prompt)
        imagine(page, tiles=5)
        offered.append(
            page.eval_on_selector_all(
                f"{PANEL} button.cb-tile", "all => all.slice(1).map((one) => one.style.backgroundImage)"
            )
        )
    assert offered[0] == offered[1] != offered[2] and len(set(offered[0])) > 1
    page.locator(f"{PANEL} input[type=number]").fill("")


def test_a_random_draw_opens_as_a_new_picture(page: Page) -> None:
    page.evaluate(f"{APP}.canvas.select([])")
    assert page.locator(f"{PANEL} .sc-cta").text_content() == "Random draw"
    laid = page.evaluate(f"{APP}.desk.laid")
    imagine(page, tiles=4)
    assert page.evaluate(f"{APP}.desk.laid") == laid, "nothing is opened before one is chosen"
    page.locator(f"{PANEL} button.cb-tile").nth(2).click()
    page.wait_for_function(f"{APP}.desk.laid > {laid} && {APP}.canvas.picture.width === 256")
    assert codes(page).shape == (16, 16)


def test_a_value_out_of_bounds_is_explained(page: Page) -> None:
    page.locator(f"{PANEL} input[type=number]").evaluate("(it) => (it.value = '99999999999')")
    page.locator(f"{PANEL} .sc-cta").click()
    page.wait_for_selector(".sc-notice[data-kind=error]")
    assert (
        "Seed must be a whole number between 0 and 4294967295" in page.locator(".sc-notice > span").first.inner_text()
    )
    page.locator(f"{PANEL} input[type=number]").fill("")
