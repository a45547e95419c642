"""The film strip in a real browser, on the real engine: scrub, fork, save a frame, take a timelapse home."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from real_studio import real_studio, settings_in, started

from studio.gallery import Gallery
from studio.process.host import EngineHost

pytestmark = pytest.mark.browser

STAGE = "#create-stage .stage"
FRAME = "() => document.querySelector('#create-film .film-frame').toDataURL()"


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[tuple[str, EngineHost, Gallery]]:
    with real_studio(tmp_path, pause_seconds=0) as opened:
        yield opened


@pytest.fixture
def film(studio: tuple[str, EngineHost, Gallery], chromium: Browser) -> Iterator[tuple[Page, Gallery]]:
    """A page whose first picture is done, and the gallery."""
    address, _, gallery = studio
    page = chromium.new_page()
    page.set_default_timeout(120_000)
    page.goto(address)
    page.wait_for_selector(f"{STAGE}[data-state]")
    page.fill("#prompt textarea", "a red apple")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#create-film .film:not([hidden])")
    yield page, gallery
    page.context.close()


@pytest.mark.thorough
def test_a_style_transfer_has_a_film_and_forks_too(tmp_path: Path, chromium: Browser) -> None:
    with real_studio(tmp_path, pause_seconds=0) as (address, _, gallery):
        page = chromium.new_page()
        page.set_default_timeout(120_000)
        page.goto(f"{address}")
        page.wait_for_selector(f"{STAGE}[data-state]")
        page.click("#tab-style-button")
        Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "noise.png")
        page.set_input_files("#style-content .well-file", tmp_path / "noise.png")
        page.wait_for_selector("#style-content .well-tile")
        page.fill("#style-prompt textarea", "ink")
        page.click("#style-generate")
        page.wait_for_selector("#style-film .film:not([hidden])")
        page.locator("#style-film .film-range").evaluate(
            "(range) => { range.value = 2; range.dispatchEvent(new Event('input')); }"
        )
        page.click("#style-film-fork")
        page.wait_for_selector("#style-fork-prompt textarea")
        before = page.get_attribute("#style-stage .stage", "data-job")
        page.click("#style-fork-go")
        page.wait_for_selector(f'#style-stage .stage[data-state="finished"]:not([data-job="{before}"])')
        np.testing.assert_array_equal(pixels(gallery, 0), pixels(gallery, 1))
        assert gallery.page().entries[0].recipe.single.model_dump()["parent"]["kind"] == "stylize"
        page.context.close()


def steps_of(page: Page) -> int:
    return int(page.get_attribute("#create-film .film-range", "max") or 0)


def scrub(page: Page, step: int) -> None:
    page.locator("#create-film .film-range").evaluate(
        "(range, step) => { range.value = step; range.dispatchEvent(new Event('input')); }", step
    )


def pixels(gallery: Gallery, place: int) -> np.ndarray:
    return np.asarray(gallery.open(gallery.page().entries[place].id))


def test_every_step_can_be_seen_again_also_after_a_restart(
    film: tuple[Page, Gallery], studio: tuple[str, EngineHost, Gallery], tmp_path: Path
) -> None:
    page, _ = film
    total = steps_of(page)
    assert total >= 4
    seen = set()
    for step in (1, total // 2, total):
        scrub(page, step)
        assert page.inner_text("#create-film .film-at") == f"Step {step} of {total}"
        seen.add(page.evaluate(FRAME))
    assert len(seen) == 3
    settles(page, total)
    scrub(page, 1)
    plain = page.evaluate(FRAME)
    page.click("#create-film-keep")
    page.wait_for_function("() => document.querySelector('#create-film .film-mark').textContent.includes('kept')")
    _, host, gallery = studio
    with started(settings_in(tmp_path), host, gallery) as address:
        opens_it_from_the_gallery(page, address, total, first=plain)
        page.goto("about:blank")


def settles(page: Page, total: int) -> None:
    """What rests is told at each step, and dimmed if that is wished; at the last one all does."""
    resting, overlay = [], page.locator("#create-film .film-overlay input")
    for step in range(1, total + 1):
        scrub(page, step)
        said = re.match(r"(\d+) % at rest", page.inner_text("#create-film .film-mark"))
        assert said is not None
        resting.append(int(said[1]))
        overlay.uncheck()
        plain = page.evaluate(FRAME)
        overlay.check()
        assert (page.evaluate(FRAME) != plain) == (resting[-1] > 0), "what rests is dimmed, and nothing else"
    assert resting == sorted(resting) and resting[0] < resting[-1] == 100
    overlay.uncheck()


@pytest.mark.thorough
def test_the_automatic_stop_is_a_box_to_tick(film: tuple[Page, Gallery]) -> None:
    page, gallery = film
    page.click("#advanced > button")
    page.check("#auto-stop input")
    before = page.get_attribute(STAGE, "data-job")
    page.click("#create-generate")
    page.wait_for_selector(f'{STAGE}[data-state="finished"]:not([data-job="{before}"])')
    stops = [entry.recipe.single.model_dump()["auto_stop"] for entry in gallery.page().entries]
    assert stops == [True, False]


def opens_it_from_the_gallery(page: Page, address: str, total: int, *, first: str) -> None:
    """Open the film of the only picture in a studio that has no job, and fork it there."""
    page.goto(address)
    page.wait_for_selector(f'{STAGE}[data-state="idle"]')
    page.click("#tab-gallery-button")
    expect(page.locator("#gallery .gp-films")).to_contain_text("1 film kept")
    page.dblclick("#gallery .gp-tile")
    page.click(".gp-viewer .is-film")
    page.wait_for_selector("#create-film .film:not([hidden])")
    assert steps_of(page) == total
    scrub(page, 1)
    assert page.evaluate(FRAME) == first
    page.click("#create-film-fork")
    expect(page.locator("#create-fork-prompt textarea")).to_have_value("a red apple")


@pytest.mark.thorough
def test_a_fork_with_nothing_changed_is_the_same_picture_and_other_words_go_on_from_there(
    film: tuple[Page, Gallery], monkeypatch: pytest.MonkeyPatch
) -> None:
    page, gallery = film
    scrub(page, 3)
    for number, words in enumerate((None, "a blue boat"), start=1):
        page.click("#create-film-fork")
        page.wait_for_selector("#create-fork-prompt textarea")
        assert page.input_value("#create-fork-prompt textarea") == "a red apple"
        if words:
            page.fill("#create-fork-prompt textarea", words)
        before = page.get_attribute(STAGE, "data-job")
        page.click("#create-fork-go")
        page.wait_for_selector(f'{STAGE}[data-state="finished"]:not([data-job="{before}"])')
        page.wait_for_selector("#create-stage .compare")
        page.wait_for_selector("#create-film .film:not([hidden])")
        assert len(gallery.page().entries) == 1 + number
        recipe = gallery.page().entries[0].recipe.single.model_dump()
        assert (recipe["kind"], recipe["step"], recipe["prompt"]) == ("fork", 3, words or "a red apple")
        assert recipe["parent"]["prompt"] == "a red apple"
        if words is None:
            np.testing.assert_array_equal(pixels(gallery, 0), pixels(gallery, 1))
            page.locator("#create-fork").get_by_role("button", name="Close").click()
            expect(page.locator("#create-fork-prompt")).to_be_hidden()
            scrub(page, 3)
    types_while_the_drawer_is_refilled(page, gallery, monkeypatch)


def types_while_the_drawer_is_refilled(page: Page, gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for the open drawer anew and type before the server has answered; what was left alone is filled in."""
    come, go, read = threading.Event(), threading.Event(), gallery.open

    def slow(*args: Any, **kwargs: Any) -> Image.Image:
        come.set()
        assert go.wait(60)
        return read(*args, **kwargs)

    page.fill("#create-fork-negative textarea", "what the run did not have")
    page.fill("#create-fork-prompt textarea", "words that the click discards")
    monkeypatch.setattr(gallery, "open", slow)
    page.click("#create-film-fork")
    assert come.wait(60)
    page.fill("#create-fork-prompt textarea", "a green house")
    go.set()
    expect(page.locator("#create-fork-negative textarea")).to_have_value("")
    expect(page.locator("#create-fork-prompt textarea")).to_have_value("a green house")
    before = page.get_attribute(STAGE, "data-job")
    page.click("#create-fork-go")
    page.wait_for_selector(f'{STAGE}[data-state="finished"]:not([data-job="{before}"])')
    recipe = gallery.page().entries[0].recipe.single.model_dump()
    assert (recipe["prompt"], recipe["negative_prompt"]) == ("a green house", "")


@pytest.mark.thorough
def test_a_frame_is_saved_and_a_timelapse_downloaded(film: tuple[Page, Gallery]) -> None:
    page, gallery = film
    scrub(page, 2)
    page.click("#create-film-save")
    page.wait_for_function("() => document.querySelector('#create-film .film-mark').textContent.includes('gallery')")
    saved = gallery.page().entries[0].recipe.single.model_dump()
    assert (saved["kind"], saved["step"], saved["frame"]) == ("fork", 2, True)
    with page.expect_download() as download:
        page.click("#create-film-gif")
    assert download.value.suggested_filename == "tessera-timelapse.gif"
    assert Path(download.value.path()).read_bytes()[:6] in (b"GIF89a", b"GIF87a")
    page.click("#create-film-keep")
    page.wait_for_function("() => document.querySelector('#create-film .film-mark').textContent.includes('kept')")
