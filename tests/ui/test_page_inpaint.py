"""The Inpaint tab in a real browser: real strokes, the real engine on a tiny model, real repair on a real picture."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, BrowserContext, Page, expect
from served import watch_errors

from studio.app import page_model
from studio.engine.catalog import scan
from studio.engine.engine import Engine
from studio.gallery import Filters, Gallery, recorder
from studio.handlers import handlers
from studio.jobs import JobRunner
from studio.pictures import PictureStore, picture_hash
from studio.requests import Fork, Inpaint
from studio.settings import ROOT, Settings
from studio.ui.serve import serving
from studio.ui.studio import Studio
from tests.engine.tiny import save_ldm

pytestmark = pytest.mark.browser

STAGE = "#inpaint-stage .stage"
EDITOR = "window.studioCanvases.get('inpaint')"
PHOTO = ROOT / "assets" / "examples" / "still-life.jpg"
Pixels = NDArray[np.uint8]


@dataclass
class Opened:
    """A studio on a model of random weights, being served; its owner sees every picture."""

    address: str
    gallery: Gallery
    pictures: PictureStore

    def newest(self) -> Pixels:
        """Return the newest picture of the gallery, (h, w, 3)."""
        return np.asarray(self.gallery.open(self.gallery.page().entries[0].id))


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("inpaint"), port=0, browser=False, device="cpu", dtype="float32"
    )
    save_ldm(settings.data_dir / "models" / "tiny")
    pictures = PictureStore(settings.data_dir / "pictures")
    engine = Engine(settings, read_picture=pictures.get, handlers=handlers(settings))
    models = [page_model(card) for card in scan(settings.checkpoint_folders).models if card.id == "tiny"]
    with (
        Gallery(settings.gallery_dir, reserve_bytes=0) as gallery,
        JobRunner(engine.run, recorder(gallery)) as runner,
    ):
        it = Studio(runner, gallery, pictures, settings, models=lambda: models, sees=lambda session: None)
        with serving(it, settings) as address:
            yield Opened(address, gallery, pictures)


@dataclass
class Tab:
    """A visitor on the Inpaint tab; points are pixels of the picture on the canvas."""

    studio: Opened
    page: Page
    errors: list[str] = field(default_factory=list)

    def open(self, path: Path) -> None:
        with self.page.expect_file_chooser() as chooser:
            self.page.click("#inpaint-canvas .sc-cta, #inpaint-canvas [data-name=open] >> visible=true")
        chooser.value.set_files(str(path))
        self.page.wait_for_function(f"{EDITOR}.source && !{EDITOR}.isSwitching")
        self.page.evaluate(f"{EDITOR}.surface.fit()")

    def at(self, x: float, y: float) -> tuple[float, float]:
        box = self.page.locator(".sc-view").bounding_box()
        view = self.page.evaluate(f"{EDITOR}.surface.view")
        assert box
        return box["x"] + view["x"] + x * view["scale"], box["y"] + view["y"] + y * view["scale"]

    def drag(self, *points: tuple[float, float]) -> None:
        self.page.mouse.move(*self.at(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.at(*point), steps=6)
        self.page.mouse.up()

    def choose_method(self, title: str) -> None:
        self.page.locator("#inpaint-method").get_by_text(title, exact=True).click()

    def generate(self) -> Inpaint:
        """Press the button, wait for the results and return the request that made them."""
        before = self.page.get_attribute(STAGE, "data-job")
        self.page.click("#inpaint-generate")
        self.page.wait_for_function(
            f"""() => {{
                const stage = document.querySelector('{STAGE}');
                return stage.dataset.job !== {before!r} && ['finished', 'failed'].includes(stage.dataset.state);
            }}""".replace("None", "undefined")
        )
        assert self.page.get_attribute(STAGE, "data-state") == "finished", self.page.inner_text(STAGE)
        request = self.studio.gallery.page().entries[0].request
        assert isinstance(request, Inpaint)
        return request

    def versions(self) -> list[int]:
        return list(self.page.evaluate(f"[{EDITOR}.versions.at, {EDITOR}.versions.list.length]"))

    def coverage(self) -> float:
        return float(self.page.evaluate(f"{EDITOR}.mask.coverage()"))

    def settle(self, versions: list[int]) -> None:
        self.page.wait_for_function(
            f"it => !{EDITOR}.isSwitching && {EDITOR}.versions.at === it[0] && {EDITOR}.versions.list.length === it[1]",
            arg=versions,
        )


@pytest.fixture(scope="module")
def visitor(studio: Opened, chromium: Browser) -> Iterator[Tab]:
    """The one visitor of most tests; to open a page takes longer than all that they do there."""
    context = chromium.new_context(viewport={"width": 1280, "height": 860})
    yield visit(studio, context)
    context.close()


BLANK = f"""async () => {{
    const editor = {EDITOR};
    await editor.flush();
    editor.versions.reset();
    Object.assign(editor, {{mask: null, source: null, maskRef: null}});
    editor.empty.hidden = false;
    editor.setTool('brush');
    editor.setSize(40);
    document.querySelector('.inpaint-views button').click();
}}"""


@pytest.fixture
def tab(visitor: Tab) -> Iterator[Tab]:
    """The Inpaint tab with nothing on its canvas; the page must log no error."""
    yield visitor
    assert visitor.errors == []
    visitor.page.evaluate(BLANK)
    visitor.choose_method("Paint with words")
    visitor.page.fill("#inpaint-candidates input[type=number]", "1")
    if visitor.page.locator("#inpaint-all-round").is_visible():
        visitor.page.get_by_role("button", name="None", exact=True).click()
        visitor.page.click("#inpaint-extend > button")


def visit(studio: Opened, context: BrowserContext) -> Tab:
    page = context.new_page()
    page.set_default_timeout(60_000)
    errors = watch_errors(page)
    page.goto(studio.address)
    page.wait_for_selector("#create-stage .stage[data-state]")
    page.get_by_role("tab").nth(2).click()
    page.wait_for_selector("#inpaint-canvas .sc-view")
    return Tab(studio, page, errors)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The photo at 96 x 64, which a tiny model repaints in no time."""
    path = tmp_path / "small.png"
    Image.open(PHOTO).convert("RGB").resize((96, 64)).save(path)
    return path


def test_a_stroke_and_words_give_candidates_that_are_compared_accepted_and_undone(tab: Tab, small: Path) -> None:
    page, source = tab.page, np.asarray(Image.open(small))
    tab.open(small)
    page.evaluate(f"{EDITOR}.setSize(12)")
    tab.drag((30, 30), (60, 34))
    painted = tab.coverage()
    page.fill("#inpaint-prompt textarea", "a red apple")
    page.locator("#inpaint-quality").get_by_text("Draft").click()
    page.fill("#inpaint-candidates input[type=number]", "2")
    request = tab.generate()
    assert (request.prompt, request.batch, request.method) == ("a red apple", 2, "diffusion")
    assert request.source == picture_hash(Image.open(small))

    strip = page.locator(f"{STAGE} .stage-strip button")
    expect(strip).to_have_count(3)
    outside = page.inner_text(f"{STAGE} .stage-untouched")
    assert outside.startswith("0 of ") and outside.endswith(" pixels outside the mask changed")
    strip.nth(2).click()
    expect(strip.nth(2)).to_have_class("is-chosen")
    slider = page.locator(".compare-slider")
    slider.focus()
    page.keyboard.press("End")
    assert page.evaluate("document.querySelector('.compare').style.getPropertyValue('--at')") == "100%"

    page.click("#inpaint-accept")
    tab.settle([1, 2])
    assert tab.coverage() == 0, "an accepted candidate starts unpainted"
    accepted = np.asarray(tab.studio.pictures.get(page.evaluate(f"{EDITOR}.source.ref")))
    assert np.array_equal(accepted, tab.studio.newest()), "the second candidate was chosen"
    changed = (accepted != source).any(axis=-1)
    rows, columns = np.nonzero(changed)
    assert 0 < changed.sum() < 0.6 * changed.size
    assert rows.min() > 8 and rows.max() < 56 and columns.max() < 84, "grown by 4 and feathered by 8 pixels at most"

    page.locator(".sc-view").hover()
    page.keyboard.press("Control+z")
    tab.settle([0, 2])
    assert tab.coverage() == painted, "the mask that made it is there again"
    page.keyboard.press("Control+z")
    page.wait_for_function(f"{EDITOR}.mask.coverage() === 0")
    page.locator(".sc-versions button").nth(1).click()
    tab.settle([1, 2])


def test_an_inpainting_has_a_film_and_a_fork_with_nothing_changed_is_the_same_picture(tab: Tab, small: Path) -> None:
    page = tab.page
    tab.open(small)
    tab.drag((30, 30), (60, 34))
    page.fill("#inpaint-prompt textarea", "a red apple")
    request, made = tab.generate(), tab.studio.newest()
    page.wait_for_selector("#inpaint-film .film:not([hidden])")
    page.locator("#inpaint-film .film-range").evaluate(
        "(range) => { range.value = 2; range.dispatchEvent(new Event('input')); }"
    )
    page.click("#inpaint-film-fork")
    page.wait_for_selector("#inpaint-fork-prompt textarea")
    before = page.get_attribute(STAGE, "data-job")
    page.click("#inpaint-fork-go")
    page.wait_for_selector(f'{STAGE}[data-state="finished"]:not([data-job="{before}"])')
    forked = tab.studio.gallery.page().entries[0].request
    assert isinstance(forked, Fork) and forked.parent["mask"] == request.mask
    assert np.array_equal(made, tab.studio.newest())
    page.click("#inpaint-accept")
    tab.settle([1, 2])


def test_a_scratch_on_a_real_picture_is_repaired_at_once_and_nothing_else_changes(tab: Tab, tmp_path: Path) -> None:
    clean = Image.open(PHOTO).convert("RGB")
    scratched = clean.copy()
    ImageDraw.Draw(scratched).line((100, 120, 300, 90), fill=(250, 250, 250), width=4)
    path = tmp_path / "scratched.png"
    scratched.save(path)
    tab.open(path)
    tab.choose_method("Repair")
    expect(tab.page.locator("#inpaint-generate")).to_have_text("Repair")
    expect(tab.page.locator("#inpaint-prompt")).to_be_hidden()
    tab.page.evaluate(f"{EDITOR}.setSize(12)")
    tab.drag((94, 121), (306, 89))
    request = tab.generate()
    assert request.method == "telea"
    before, after, wanted = (np.asarray(it).astype(int) for it in (scratched, tab.studio.newest(), clean))
    scratch = (before != wanted).any(axis=-1)
    assert np.abs(after - wanted)[scratch].mean() < 0.1 * np.abs(before - wanted)[scratch].mean()
    mask = np.asarray(tab.studio.pictures.get(request.mask or "")) > 0
    far = np.asarray(Image.fromarray(mask).resize(clean.size)) == 0
    far[60:150, 70:330] = False
    assert np.array_equal(after[far], before[far])


def test_what_is_painted_and_accepted_outlives_a_reload(tab: Tab, small: Path) -> None:
    tab.open(small)
    tab.choose_method("Repair")
    tab.drag((30, 30), (50, 30))
    first = tab.coverage()
    tab.generate()
    tab.page.click("#inpaint-accept")
    tab.settle([1, 2])
    tab.page.evaluate(f"{EDITOR}.setSize(8)")
    tab.drag((20, 20), (24, 20))
    second = tab.coverage()
    tab.page.evaluate(f"{EDITOR}.flush()")
    tab.page.reload()
    tab.page.get_by_role("tab", name="Inpaint").click()
    tab.page.wait_for_function(f"{EDITOR.replace('.get', '?.get')}?.source")
    shown = f'{STAGE}[data-state="finished"]'
    tab.page.wait_for_selector(shown, state="attached")  # what was made last is there again
    assert tab.page.get_attribute(".inpaint-desk", "data-view") == "mask", "and is not in the way"
    assert tab.versions() == [1, 2] and tab.coverage() == second
    assert tab.page.evaluate(f"{EDITOR}.settings.size") == 8
    tab.page.locator(".sc-versions button").first.click()
    tab.settle([0, 2])
    assert tab.coverage() == first


def test_a_side_is_extended_without_a_stroke_and_the_rest_stays(tab: Tab, small: Path) -> None:
    source = np.asarray(Image.open(small))
    tab.open(small)
    tab.page.locator("#inpaint-quality").get_by_text("Draft").click()
    tab.page.click("#inpaint-extend > button")
    tab.page.fill("#inpaint-right input", "32")
    expect(tab.page.locator(".sc-says")).to_have_text("96 × 64 → 128 × 64")
    request = tab.generate()
    assert request.extend == (0, 0, 32, 0) and request.mask is None
    after = tab.studio.newest()
    assert after.shape == (64, 128, 3)
    assert np.array_equal(after[:, :80], source[:, :80])
    left = tab.page.evaluate("document.querySelector('.compare-before').style.width")
    assert left == "75%", "the original keeps its place in the larger picture"
    tab.page.click("#inpaint-accept")
    tab.settle([1, 2])
    expect(tab.page.locator("#inpaint-right input")).to_have_value("0")
    tab.page.click("#inpaint-all-round")
    expect(tab.page.locator("#inpaint-top input")).to_have_value("16")


def test_what_is_missing_is_said_beside_the_button(tab: Tab, small: Path) -> None:
    notice = tab.page.locator(".inpaint-desk .notice")
    tab.page.click("#inpaint-generate")
    expect(notice).to_contain_text("There is no picture yet.")
    tab.open(small)
    tab.page.click("#inpaint-generate")
    expect(notice).to_contain_text("Paint the part to change.")
    tab.drag((30, 30), (50, 30))
    expect(notice).to_have_count(0)
    tab.page.click("#inpaint-extend > button")
    tab.page.fill("#inpaint-left input", "5000")
    tab.page.click("#inpaint-generate")
    expect(notice).to_contain_text("The left side cannot be extended by 5000 pixels.")
    tab.page.fill("#inpaint-left input", "16")
    expect(notice).to_have_count(0)


def test_a_candidate_thrown_away_goes_to_the_trash_and_the_last_one_leads_back_to_the_canvas(
    tab: Tab, small: Path
) -> None:
    tab.open(small)
    tab.choose_method("Repair")
    tab.drag((30, 30), (50, 30))
    tab.generate()
    thrown = tab.studio.gallery.page().entries[0].id
    tab.page.click("#inpaint-throw")
    expect(tab.page.locator("#inpaint-canvas")).to_be_visible()
    expect(tab.page.locator(".inpaint-views")).to_be_hidden()
    assert thrown in [entry.id for entry in tab.studio.gallery.page(filters=Filters(trashed=True)).entries]
    assert tab.versions() == [0, 1]


def test_a_result_of_another_tab_is_sent_to_the_canvas_before_the_tab_was_ever_shown(
    studio: Opened, chromium: Browser
) -> None:
    context = chromium.new_context(viewport={"width": 1280, "height": 860})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(studio.address)
    page.wait_for_selector("#create-stage .stage[data-state]")
    page.fill("#prompt textarea", "a red apple")
    page.locator("#quality").get_by_text("Draft").click()
    page.click("#create-generate")
    page.wait_for_selector('#create-stage .stage[data-state="finished"]')
    page.locator(".send-inpaint:visible").click()
    page.wait_for_function(f"{EDITOR.replace('.get', '?.get')}?.source")
    ref = page.evaluate(f"{EDITOR}.source.ref")
    assert ref == studio.gallery.page().entries[0].sha256
    context.close()


def test_a_picture_and_a_mask_are_handed_over_together(tab: Tab, small: Path) -> None:
    """What the Codebook tab calls with an edited picture and its edited tokens."""
    mask = np.zeros((64, 96), np.uint8)
    mask[16:32, 32:64] = 255
    refs = {
        "source": tab.studio.pictures.put(Image.open(small)),
        "mask": tab.studio.pictures.put(Image.fromarray(mask)),
    }
    tab.page.evaluate(f"(it) => {EDITOR}.openRef(it.source, {{mask: it.mask}})", refs)
    tab.choose_method("Repair, smooth")
    request = tab.generate()
    assert request.method == "navier_stokes" and request.source == refs["source"]
    assert np.array_equal(np.asarray(tab.studio.pictures.get(request.mask or "")), mask)


def test_a_picture_pasted_anywhere_on_the_tab_is_opened(tab: Tab, small: Path) -> None:
    tab.page.evaluate(
        """async (data) => {
            const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], 'pasted.png', {type: 'image/png'}));
            document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData: transfer, bubbles: true}));
        }""",
        base64.b64encode(small.read_bytes()).decode(),
    )
    tab.page.wait_for_function(f"{EDITOR}.source?.width === 96")


def test_a_control_picture_steers_painting_and_stays_out_of_repairs(tab: Tab, small: Path) -> None:
    page, well = tab.page, "#inpaint-control-picture"
    tab.open(small)
    page.evaluate(f"{EDITOR}.setSize(12)")
    tab.drag((30, 30), (60, 34))
    page.click("#inpaint-control-fold > button")
    page.set_input_files(f"{well} .well-file", small)
    expect(page.locator(f"{well} .well-tile")).to_have_count(1)
    page.click("#inpaint-generate")
    expect(page.locator(STAGE)).to_contain_text("takes no control picture")  # this model; the picture came through
    page.click(f"{well} .well-tile button")
    expect(page.locator(f"{well} .well-tile")).to_have_count(0)
    page.click("#inpaint-control-prepare label:has-text('Painted part out')")
    page.click("#inpaint-generate")
    expect(page.locator(STAGE)).to_contain_text("takes no control picture")  # the picture itself is the control picture
    page.click("#inpaint-control-prepare label:has-text('As it is')")
    page.set_input_files(f"{well} .well-file", small)
    expect(page.locator(f"{well} .well-tile")).to_have_count(1)
    tab.choose_method("Repair, smooth")
    expect(page.locator("#inpaint-control-fold")).to_be_hidden()
    assert tab.generate().control is None
    tab.choose_method("Paint with words")
    page.click(f"{well} .well-tile button")
    page.click("#inpaint-control-fold > button")


def test_the_settings_of_a_kept_picture_come_back_with_its_source_and_mask(tab: Tab, small: Path) -> None:
    tab.open(small)
    tab.choose_method("Repair")
    tab.drag((30, 30), (50, 30))
    made = tab.generate()
    other = tab.studio.pictures.put(Image.new("RGB", (80, 80), (9, 90, 9)))
    tab.page.evaluate(f"{EDITOR}.openRef('{other}')")
    tab.settle([1, 2])
    tab.choose_method("Paint with words")
    tab.page.get_by_role("tab", name="Gallery").click()
    tab.page.locator("#gallery .gp-tile").first.click()
    tab.page.locator("#gallery").get_by_role("button", name="Use settings").click()
    tab.settle([2, 3])
    assert tab.page.evaluate(f"{EDITOR}.source.ref") == made.source and tab.coverage() > 0
    expect(tab.page.locator("#inpaint-method input:checked")).to_have_value("telea")


def test_a_finger_paints_and_repairs_at_phone_width_in_chinese(studio: Opened, chromium: Browser, small: Path) -> None:
    context = chromium.new_context(
        viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True, locale="zh-CN", color_scheme="dark"
    )
    tab = visit(studio, context)
    page = tab.page
    canvas, ask = (page.locator(it).bounding_box() for it in ("#inpaint-canvas", ".inpaint-desk .desk-ask"))
    assert canvas and ask and canvas["y"] < ask["y"], "the picture comes first"
    tab.open(small)
    page.touchscreen.tap(*tab.at(48, 32))
    page.wait_for_function(f"{EDITOR}.mask.coverage() > 0")
    tab.choose_method("修复")
    expect(page.locator("#inpaint-generate")).to_have_text("修复")
    tab.generate()
    assert "遮罩外的" in page.inner_text(f"{STAGE} .stage-untouched")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert tab.errors == []
    context.close()
