"""The Style tab in a real browser: real colour methods on real pictures; no model is needed for those."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from served import example_picture, watch_errors
from studio_page import CARD

from studio.errors import ModelError
from studio.events import Event
from studio.gallery import Gallery, recorder
from studio.inpaint.context import Context
from studio.jobs import JobRunner
from studio.pictures import PictureStore, picture_hash
from studio.requests import Request, Stylize
from studio.settings import Settings
from studio.stylize.run import run_stylize
from studio.ui.serve import serving
from studio.ui.studio import Studio

pytestmark = pytest.mark.browser

STAGE, CONTENT, STYLES = "#style-stage .stage", "#style-content", "#style-references"
PALETTE = {"version": 1, "name": "sea", "checksum": "0" * 64, "codes": [3, 1], "weights": [0.75, 0.25]}


@dataclass
class Opened:
    """A studio that can do colour methods, and the requests it was given."""

    address: str
    gallery: Gallery
    seen: list[Stylize] = field(default_factory=list)


class _NoEngine:
    def load(self, model_id: str, vae: str = "") -> None:
        raise ModelError("There is no model yet.", "Put one into the checkpoints folder.")


def _no_vqgan(model_id: str) -> None:
    raise ModelError("There is no VQGAN here.", "Put one into the checkpoints folder.")


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """The owner's page."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("style"), port=0, browser=False)
    pictures = PictureStore(settings.data_dir / "pictures")
    context = Context(_NoEngine(), pictures.get, _no_vqgan)  # type: ignore[arg-type]
    seen: list[Stylize] = []

    def run(request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
        assert isinstance(request, Stylize)
        seen.append(request)
        for event in run_stylize(request, context, should_stop):
            time.sleep(0.05)  # slow enough for a browser to see every step
            yield event

    with Gallery(settings.gallery_dir, reserve_bytes=0) as gallery, JobRunner(run, recorder(gallery)) as runner:
        extras = {"style": settings.data_dir / "styles"}
        it = Studio(runner, gallery, pictures, settings, models=lambda: [CARD], sees=lambda _: None, extras=extras)
        with serving(it, settings) as address:
            yield Opened(address, gallery, seen)


@pytest.fixture
def tab(studio: Opened, chromium: Browser) -> Iterator[Page]:
    """A new visitor on the Style tab, whose page must log no error."""
    studio.seen.clear()
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(120_000)
    errors = watch_errors(page)
    open_tab(page, studio.address)
    yield page
    assert errors == []
    context.close()


def open_tab(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("#create-stage .stage[data-state]")
    page.locator("#tabs button[role=tab]").nth(1).click()
    page.wait_for_selector(f"{CONTENT} .well-inside")


def choose(page: Page, well: str, *kinds: int) -> None:
    """Put small pictures into a well, of colours that `kinds` (0, 1, 2) tell apart."""
    for count, kind in enumerate(kinds, start=1):
        data = io.BytesIO()
        pixels = np.random.default_rng(kind).integers(0, 255, (6, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((96, 72), Image.Resampling.BICUBIC).save(data, "PNG")
        file = {"name": f"{kind}.png", "mimeType": "image/png", "buffer": data.getvalue()}
        page.set_input_files(f"{well} .well-file", [file])
        expect(page.locator(f"{well} .well-tile")).to_have_count(count)


def pick_method(page: Page, title: str, *, control: str = "#style-method") -> None:
    page.click(f"{control} input")
    page.locator(control).get_by_role("option", name=title).click()


def wait_for(page: Page, state: str) -> None:
    page.wait_for_selector(f'{STAGE}[data-state="{state}"]')


def test_a_picture_takes_the_colours_of_two_pictures_by_weight(studio: Opened, tab: Page) -> None:
    choose(tab, CONTENT, 0)
    choose(tab, STYLES, 0, 1)
    tab.locator(f"{STYLES} .well-weight").first.fill("20")
    pick_method(tab, "Colour, fully: its whole range of colours")
    tab.click("#style-generate")
    wait_for(tab, "finished")
    [request] = studio.seen
    assert request.methods == ("colour_transport",) and request.reference_weights == (20, 50)
    assert len(request.references) == 2
    assert int(tab.locator(STAGE).get_attribute("data-previews") or 0) >= 3
    expect(tab.locator(f"{STAGE} .compare-slider")).to_be_visible()
    entry = studio.gallery.page().entries[0]
    assert isinstance(entry.request, Stylize) and entry.request.content == request.content
    assert (entry.width, entry.height) == (96, 72)


@pytest.mark.thorough
def test_three_methods_make_a_chain(studio: Opened, tab: Page) -> None:
    choose(tab, CONTENT, 1)
    choose(tab, STYLES, 2)
    tab.click("#style-advanced > button")
    pick_method(tab, "Colour: its colours, gently")
    pick_method(tab, "Colour, fully", control="#style-then")
    pick_method(tab, "Colour: its", control="#style-last")
    tab.click("#style-generate")
    wait_for(tab, "finished")
    assert studio.seen[0].methods == ("colour", "colour_transport", "colour")


@pytest.mark.thorough
def test_trying_all_methods_gives_one_sheet_and_says_what_could_not_run(studio: Opened, tab: Page) -> None:
    choose(tab, CONTENT, 0)
    choose(tab, STYLES, 1)
    tab.click("#style-advanced > button")
    tab.get_by_label("number input for Working size").fill("64")
    tab.click("#style-try-all")
    wait_for(tab, "finished")
    assert studio.seen[0].methods == ("all",)
    expect(tab.locator(f"{STAGE} .compare-slider")).to_have_count(0)
    expect(tab.locator(f"{STAGE} .stage-tile img")).to_have_count(1)
    expect(tab.locator(f"{STAGE} .stage-notes")).to_contain_text("Mosaic: There is no VQGAN here.")
    expect(tab.locator(f"{STAGE} .stage-notes")).to_contain_text("Not tried without style words: Repaint with words.")
    expect(tab.locator(f"{STAGE} .stage-tile canvas")).to_have_css("opacity", "0")
    tile = tab.locator(f"{STAGE} .stage-tile").bounding_box()
    assert tile
    sheet = studio.gallery.page().entries[0]
    assert abs(tile["width"] / tile["height"] - sheet.width / sheet.height) < 0.02, "the sheet fills its frame"


@pytest.mark.thorough
def test_what_is_missing_is_said_before_anything_runs(studio: Opened, tab: Page) -> None:
    tab.click("#style-generate")
    expect(tab.locator("#tab-style .notice, .notice:visible")).to_contain_text("There is no picture yet.")
    choose(tab, CONTENT, 0)
    expect(tab.locator(".notice:visible")).to_have_count(0)
    pick_method(tab, "Strokes: painted")
    tab.click("#style-generate")
    wait_for(tab, "failed")
    expect(tab.locator(f"{STAGE} .stage-message")).to_contain_text("Choose a style picture.")


@pytest.mark.thorough
def test_own_files_come_in_by_choosing_and_by_pasting(studio: Opened, tab: Page, tmp_path: Path) -> None:
    mine = example_picture(tmp_path)
    tab.set_input_files(f"{CONTENT} .well-file", mine)
    expect(tab.locator(f"{CONTENT} .well-tile")).to_have_count(1)
    broken = tmp_path / "broken.png"
    broken.write_bytes(mine.read_bytes()[:200])
    tab.set_input_files(f"{STYLES} .well-file", broken)
    expect(tab.locator(f"{STYLES} .well-note")).to_contain_text("damaged or incomplete")
    tab.evaluate(
        """async (bytes) => {
            const file = new File([new Uint8Array(bytes)], "pasted.png", {type: "image/png"});
            const data = new DataTransfer();
            data.items.add(file);
            document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true}));
        }""",
        list(mine.read_bytes()),
    )
    expect(tab.locator(f"{STYLES} .well-tile")).to_have_count(1)
    tab.locator(f"{STYLES} .well-remove").click()
    expect(tab.locator(f"{STYLES} .well-empty")).to_be_visible()


@pytest.mark.thorough
def test_ready_made_styles_go_around_the_words_and_more_can_be_imported(
    studio: Opened, tab: Page, tmp_path: Path
) -> None:
    other = tmp_path / "styles.csv"
    other.write_text('name,prompt,negative_prompt\nFrom elsewhere,"{prompt}, charcoal",colour\n', encoding="utf-8")
    tab.set_input_files("input[data-testid$=upload-button]", other)
    expect(tab.locator("#style-presets .token")).to_have_text("From elsewhere")
    choose(tab, CONTENT, 0)
    tab.fill("#style-prompt textarea", "a cat")
    tab.click("#style-generate")
    wait_for(tab, "failed")
    assert (studio.seen[0].prompt, studio.seen[0].negative_prompt) == ("a cat, charcoal", "colour")
    assert studio.seen[0].methods == ("diffusion",)
    open_tab(tab, studio.address)
    tab.click("#style-presets input")
    expect(tab.get_by_role("option", name="From elsewhere")).to_be_visible()


@pytest.mark.thorough
def test_a_palette_of_the_codebook_is_a_style(studio: Opened, tab: Page) -> None:
    choose(tab, CONTENT, 0)
    tab.evaluate("(palette) => tessera.takePalette(palette)", {**PALETTE, "colours": ["#204060", "#e0d0a0"]})
    expect(tab.locator(f"{STYLES} .well-strip i")).to_have_count(2)
    tab.click("#style-generate")
    wait_for(tab, "failed")
    assert studio.seen[0].palette == PALETTE and studio.seen[0].methods == ("tokens",)


@pytest.mark.thorough
def test_a_gallery_picture_can_be_sent_here_and_settings_brought_back(studio: Opened, tab: Page) -> None:
    choose(tab, CONTENT, 0)
    choose(tab, STYLES, 1)
    pick_method(tab, "Colour: its colours, gently")
    tab.click("#style-generate")
    wait_for(tab, "finished")
    record = studio.gallery.page().entries[0]
    open_tab(tab, studio.address)
    tab.click(f"{CONTENT} .well-button >> nth=1")
    tab.locator("dialog .gp-tile").first.click()
    expect(tab.locator(f"{CONTENT} .well-tile")).to_have_count(1)
    pick_method(tab, "Colour, fully")
    choose(tab, STYLES, 0)
    before = tab.get_attribute(STAGE, "data-job")
    tab.click("#style-generate")
    tab.wait_for_selector(f'{STAGE}[data-state="finished"]:not([data-job="{before}"])')
    assert studio.seen[1].content == picture_hash(studio.gallery.open(record.id))
    tab.click("#style-stage ~ .stage-actions #style-use-settings, #style-use-settings")
    expect(tab.locator(f"{STYLES} .well-tile")).to_have_count(1)
    expect(tab.locator("#style-method input")).to_have_value("Colour, fully: its whole range of colours")


@pytest.mark.parametrize(("language", "title"), [("en-US", "Style pictures"), ("zh-CN", "风格图片")])
@pytest.mark.thorough
def test_the_tab_fits_a_phone_in_both_languages(studio: Opened, chromium: Browser, language: str, title: str) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, locale=language)
    page = context.new_page()
    page.set_default_timeout(120_000)
    open_tab(page, studio.address)
    expect(page.locator(f"{STYLES} .well-title")).to_have_text(title)
    page.locator(f"{CONTENT} .well-example").first.click()
    expect(page.locator(f"{CONTENT} .well-tile")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()


@pytest.mark.thorough
def test_control_pictures_are_asked_for_and_a_method_that_takes_none_says_so(studio: Opened, tab: Page) -> None:
    choose(tab, CONTENT, 0)
    choose(tab, STYLES, 1)
    tab.click("#style-control-fold > button")
    choose(tab, "#style-control-picture", 2)
    tab.fill('#style-control-scale input[type="number"]', "0.6")
    tab.keyboard.press("Enter")
    pick_method(tab, "Colour: its colours, gently")
    tab.click("#style-generate")
    wait_for(tab, "failed")
    expect(tab.locator(STAGE)).to_contain_text('"Colour" takes no control picture')
    [request] = studio.seen
    assert request.control and request.control_scale == 0.6 and request.more_controls == ()
