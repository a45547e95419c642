"""The Codebook tab under a real pointer, on a real (tiny) VQGAN: paint, undo, replace, palettes, sharing, keeping."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from codebook.drawing import drawn
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from served import serve, watch_errors

from studio.codebook.answers import CodebookModel
from studio.codebook.run import Studio, run_edit_tokens
from studio.codebook.service import Desk
from studio.codebook.share import unshare
from studio.codebook.vqgan import Vqgan
from studio.gallery import Gallery, recorder
from studio.jobs import JobRunner
from studio.pictures import PictureStore
from studio.requests import EditTokens
from studio.ui.canvas.routes import canvas_routes
from studio.ui.codebook_routes import codebook_routes
from studio.ui.session import Sessions
from studio.ui.tabs.codebook import codebook_page

pytestmark = pytest.mark.browser
WIDTH, HEIGHT = 120, 96
APP = "window.studioCodebook"


@dataclass
class Site:
    url: str
    browser: Browser
    desk: Desk
    gallery: Gallery
    folder: Path


@pytest.fixture(scope="module")
def site(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("codebook")
    model = Vqgan.load(Path(__file__).parent.parent / "codebook" / "models" / "tiny")
    store, sessions = PictureStore(folder / "inputs"), Sessions(b"k" * 32)
    examples = {name: (lambda seed=seed: drawn(WIDTH, HEIGHT, seed=seed)) for seed, name in enumerate(("dawn", "dusk"))}
    desk = Desk(
        lambda name: model, models=lambda: [CodebookModel("", "Tiny")], examples=examples, cache_dir=folder / "cache"
    )
    runs = Studio(lambda name: model, open_picture=store.get, cache_dir=folder / "cache")
    drawn(64, 64, seed=8).save(folder / "other.png")
    with gr.Blocks() as blocks:
        codebook_page()
    with (
        Gallery(folder / "gallery", reserve_bytes=0) as gallery,
        JobRunner(lambda request, stop: run_edit_tokens(request, runs), recorder(gallery)) as runner,  # type: ignore[arg-type]
    ):
        codes = codebook_routes(
            lambda: desk,
            pictures=store,
            session_of=sessions.of,
            gallery_picture=lambda session, record: gallery.open(record, owner=session),
            runner=runner,
        )
        with serve(blocks, sessions, canvas_routes(store, sessions.of), codes) as url:
            yield Site(url, chromium, desk, gallery, folder)


@dataclass
class Painting:
    """A page with an example open; cells are (row, column)."""

    site: Site
    page: Page

    def run(self, script: str) -> object:
        return self.page.evaluate(script)

    def at(self, row: float, column: float) -> tuple[float, float]:
        box = self.page.locator(".cb-left .sc-view").bounding_box()
        view = self.run(f"{APP}.canvas.surface.view")
        assert box and isinstance(view, dict)
        x, y = (column + 0.5) * 8, (row + 0.5) * 8
        return box["x"] + view["x"] + x * view["scale"], box["y"] + view["y"] + y * view["scale"]

    def stroke(self, *cells: tuple[int, int]) -> None:
        self.page.mouse.move(*self.at(*cells[0]))
        self.page.mouse.down()
        for cell in cells[1:]:
            self.page.mouse.move(*self.at(*cell), steps=4)
        self.page.mouse.up()
        self.rest()

    def rest(self) -> None:
        """Wait until every edit is in and the exact picture is shown."""
        self.run(f"{APP}.desk.settle()")

    def choose(self, code: int) -> None:
        self.run(f"{APP}.choose({code})")

    def codes(self) -> NDArray[np.int64]:
        """The map as the server has it, (12, 15)."""
        return unshare(self.text()).codes.astype(np.int64)

    def text(self) -> str:
        return str(self.run(f"{APP}.desk.ask('share').then((r) => r.json()).then((j) => j.text)"))

    def shown(self) -> NDArray[np.uint8]:
        """The pixels on the page, (96, 120, 3)."""
        script = f"Array.from({APP}.canvas.pixels.getImageData(0, 0, {WIDTH}, {HEIGHT}).data)"
        return np.array(self.run(script), np.uint8).reshape(HEIGHT, WIDTH, 4)[..., :3]

    def exact(self) -> NDArray[np.uint8]:
        """The pixels an exact decode gives, from the server."""
        document = self.run(f"{APP}.desk.document.document")
        answer = self.page.request.get(f"{self.site.url}studio/codes/{document}/view/picture")
        path = self.site.folder / "exact.png"
        path.write_bytes(answer.body())
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))


def open_page(site: Site, **options: object) -> Painting:
    page = site.browser.new_context(**{"viewport": {"width": 1200, "height": 800}, **options}).new_page()  # type: ignore[arg-type]
    page.set_default_timeout(45_000)
    page.goto(site.url)
    page.wait_for_function(f"{APP}?.card?.card && {APP}.desk.document")
    return Painting(site, page)


@pytest.fixture(scope="module")
def first(site: Site) -> Iterator[Painting]:
    opened = open_page(site)
    yield opened
    opened.page.context.close()


@pytest.fixture
def painting(first: Painting) -> Iterator[Painting]:
    """The one page of this module with the first example as it was, brush in hand."""
    errors = watch_errors(first.page)
    first.run(f"{APP}.open({{example: 'dawn'}})")
    first.run(f"({APP}.canvas.setTool('brush'), {APP}.canvas.size = 1, {APP}.canvas.surface.fit())")
    first.page.locator(".cb-left .sc-view").hover()
    yield first
    assert errors == []


def another(codes: NDArray[np.int64]) -> int:
    """A code that the map does not use."""
    return int(np.setdiff1d(np.arange(64), codes)[0])


def test_a_stroke_changes_the_codes_under_it_and_the_picture_there(painting: Painting) -> None:
    before, pixels = painting.codes(), painting.shown()
    code = another(before)
    painting.choose(code)
    painting.stroke((5, 3), (5, 9))
    after = painting.codes()
    assert set(zip(*np.nonzero(after != before), strict=True)) == {(5, column) for column in range(3, 10)}
    assert (after[5, 3:10] == code).all()
    changed = np.abs(painting.shown().astype(int) - pixels).max(-1)
    assert (changed[40:48, 24:80] > 0).mean() > 0.9
    assert np.array_equal(painting.shown(), painting.exact()), "the exact picture follows the stroke"


def test_the_picture_follows_the_brush_before_it_is_lifted(painting: Painting) -> None:
    before = painting.shown()
    painting.choose(another(painting.codes()))
    painting.page.mouse.move(*painting.at(4, 4))
    painting.page.mouse.down()
    painting.page.mouse.move(*painting.at(4, 6), steps=3)
    painting.page.wait_for_function(f"{APP}.desk.revision && !{APP}.desk.isDabbing && !{APP}.canvas.pending.size")
    during = painting.shown()
    assert (during[32:40, 32:56] != before[32:40, 32:56]).any()
    painting.page.keyboard.press("Escape")
    painting.page.mouse.up()
    painting.rest()
    assert np.array_equal(painting.shown(), before), "Escape gives the stroke up"


def test_undo_restores_the_identical_map_and_picture_and_redo_the_edit(painting: Painting) -> None:
    text, pixels = painting.text(), painting.shown()
    painting.choose(another(painting.codes()))
    painting.stroke((2, 2), (8, 8))
    painting.stroke((8, 2), (2, 8))
    edited = painting.text()
    for _ in range(2):
        painting.page.keyboard.press("Control+z")
    painting.rest()
    assert painting.text() == text and np.array_equal(painting.shown(), pixels)
    assert painting.page.locator("[data-name=undo]").is_disabled()
    for _ in range(2):
        painting.page.keyboard.press("Control+Shift+Z")
    painting.rest()
    assert painting.text() == edited


def test_undo_can_be_clicked_before_the_exact_picture_has_come(painting: Painting) -> None:
    page, undo, redo = (
        painting.page,
        painting.page.locator("[data-name=undo]"),
        painting.page.locator("[data-name=redo]"),
    )
    expect(undo).to_be_disabled()
    painting.run(f"void ({APP}.desk.settle = () => new Promise(() => {{}}))")  # it never comes
    painting.choose(another(painting.codes()))
    page.mouse.move(*painting.at(2, 2))
    page.mouse.down()
    page.mouse.move(*painting.at(2, 6), steps=4)
    page.mouse.up()
    expect(undo).to_be_enabled()
    undo.click()
    expect(redo).to_be_enabled()
    expect(undo).to_be_disabled()
    redo.click()
    expect(undo).to_be_enabled()
    painting.run(f"void (delete {APP}.desk.settle)")
    painting.rest()


def test_replace_all_swaps_a_code_everywhere_by_two_clicks(painting: Painting) -> None:
    before = painting.codes()
    old = int(np.bincount(before.ravel()).argmax())
    new = another(before)
    painting.choose(old)
    painting.page.wait_for_function(f"{APP}.card.card?.code === {old}")
    painting.page.click(".cb-card [data-name=replace]")
    painting.choose(new)
    painting.rest()
    assert np.array_equal(painting.codes(), np.where(before == old, new, before))


def test_the_eyedropper_the_bucket_and_the_size_keys(painting: Painting) -> None:
    before = painting.codes()
    painting.page.keyboard.down("Alt")
    painting.page.mouse.click(*painting.at(3, 7))
    painting.page.keyboard.up("Alt")
    assert painting.run(f"{APP}.canvas.code") == before[3, 7]
    painting.choose(another(before))
    painting.page.keyboard.press("g")
    painting.page.mouse.click(*painting.at(3, 7))
    painting.rest()
    after = painting.codes()
    assert after[3, 7] == another(before) and (before[after != before] == before[3, 7]).all()
    painting.page.keyboard.press("]")
    painting.page.keyboard.press("]")
    assert painting.run(f"{APP}.canvas.size") == 3
    painting.page.keyboard.press("[")
    assert painting.run(f"{APP}.canvas.size") == 2


def test_a_selection_keeps_edits_inside_and_can_be_stamped_elsewhere(painting: Painting) -> None:
    before = painting.codes()
    painting.page.keyboard.press("m")
    painting.stroke((1, 1), (3, 4))
    assert painting.run(f"{APP}.canvas.selection.size") == 12
    painting.page.click(".sc-bar [data-name=dice]")
    painting.page.get_by_role("button", name="Shuffle").click()
    painting.page.keyboard.press("Escape")
    painting.rest()
    shuffled = painting.codes()
    changed = shuffled != before
    assert changed.any() and not changed[4:].any() and not changed[:, 5:].any() and not changed[0].any()
    painting.page.locator(".cb-left .sc-view").hover()
    painting.page.keyboard.press("Control+c")
    painting.page.mouse.click(*painting.at(8, 10))
    painting.rest()
    assert np.array_equal(painting.codes()[7:10, 8:12], shuffled[1:4, 1:5])


def test_a_click_while_selecting_shows_the_code_that_is_there(painting: Painting) -> None:
    before = painting.codes()
    painting.page.keyboard.press("m")
    painting.page.mouse.click(*painting.at(3, 7))
    painting.page.wait_for_function(f"{APP}.card.card?.code === {before[3, 7]}")
    assert painting.run(f"{APP}.canvas.code") == before[3, 7] and painting.run(f"{APP}.canvas.selection.size") == 0
    assert np.array_equal(painting.codes(), before)


def test_codes_are_counted_in_the_examples_or_in_the_gallery(painting: Painting) -> None:
    page, chosen = painting.page, ".cb-said select"
    assert "the example pictures" in page.locator(".cb-said span").inner_text()
    page.locator(chosen).select_option("gallery")
    page.wait_for_function("document.querySelector('.sc-notice[data-kind=error]:not([hidden])') !== null")
    assert page.locator(chosen).input_value() == "examples", "an empty gallery is said, and nothing changes"


def test_a_saved_text_file_is_opened_from_disk(painting: Painting) -> None:
    painting.choose(another(painting.codes()))
    painting.stroke((4, 4), (4, 9))
    codes, path = painting.codes(), painting.site.folder / "picture.tokens"
    path.write_text(painting.text() + "\n")
    painting.run(f"{APP}.open({{example: 'dusk'}})")
    painting.page.click(".sc-bar [data-name=open]")
    with painting.page.expect_file_chooser() as chooser:
        painting.page.get_by_role("button", name="From a file").click()
    chooser.value.set_files(str(path))
    painting.page.wait_for_function(f"{APP}.desk.document && !{APP}.desk.document.has_source")
    painting.rest()
    assert np.array_equal(painting.codes(), codes)


def test_the_palette_of_another_picture_redraws_this_one(painting: Painting) -> None:
    page = painting.page
    page.click(".sc-bar [data-name=palette]")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="From a picture").click()
    chooser.value.set_files(str(painting.site.folder / "other.png"))
    page.wait_for_selector(".cb-strip canvas")
    page.locator(".cb-panel:visible select").select_option("nearest")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_function(f"{APP}.desk.operations.length === 1")
    page.keyboard.press("Escape")
    painting.rest()
    allowed = painting.site.desk.palette_of(drawn(64, 64, seed=8), model="")["codes"]
    assert set(np.unique(painting.codes())) <= set(allowed)
    page.locator(".cb-left .sc-view").hover()
    page.keyboard.press("Control+z")
    painting.rest()
    assert not set(np.unique(painting.codes())) <= set(allowed)


def test_a_share_string_goes_out_and_comes_in_as_the_same_picture(painting: Painting) -> None:
    page = painting.page
    painting.choose(another(painting.codes()))
    painting.stroke((6, 6), (9, 12))
    codes, pixels = painting.codes(), painting.shown()
    page.click(".sc-bar [data-name=share]")
    box = page.locator(".cb-panel:visible textarea")
    page.wait_for_function("document.querySelector('.cb-panel:not([hidden]) textarea').value.startsWith('tessera.')")
    text = box.input_value()
    page.keyboard.press("Escape")
    painting.run(f"{APP}.open({{example: 'dusk'}})")
    assert not np.array_equal(painting.codes(), codes)
    page.click(".sc-bar [data-name=open]")
    page.locator(".cb-panel:visible textarea").fill(text)
    page.get_by_role("button", name="Open text").click()
    page.wait_for_function(f"{APP}.desk.document && !{APP}.desk.document.has_source")
    painting.rest()
    assert np.array_equal(painting.codes(), codes) and np.array_equal(painting.shown(), pixels)


def test_a_damaged_share_string_is_explained_and_nothing_is_lost(painting: Painting) -> None:
    before = painting.text()
    painting.page.click(".sc-bar [data-name=open]")
    painting.page.locator(".cb-panel:visible textarea").fill(before[:-8])
    painting.page.get_by_role("button", name="Open text").click()
    expect(painting.page.locator(".sc-notice[data-kind=error]")).to_contain_text("cut short")
    painting.page.keyboard.press("Escape")
    assert painting.text() == before


def test_a_reload_and_a_restart_of_the_server_lose_nothing(painting: Painting) -> None:
    painting.choose(another(painting.codes()))
    painting.stroke((2, 3), (9, 3))
    text = painting.text()
    document = painting.run(f"{APP}.desk.document.document")
    painting.site.desk._documents.clear()  # what a restart does
    painting.stroke((2, 5), (2, 9))
    assert painting.run(f"{APP}.desk.document.document") != document
    painting.page.keyboard.press("Control+z")
    painting.rest()
    assert painting.text() == text
    painting.page.reload()
    painting.page.wait_for_function(f"{APP}?.card?.card && {APP}.desk.document")
    assert painting.text() == text and painting.run(f"{APP}.desk.operations.length") == 1
    painting.page.locator(".cb-left .sc-view").hover()
    painting.page.keyboard.press("Control+z")
    painting.rest()
    assert painting.run(f"{APP}.desk.operations.length") == 0


def test_a_kept_picture_has_the_exact_pixels_and_a_recipe_that_makes_them(painting: Painting) -> None:
    painting.choose(another(painting.codes()))
    painting.stroke((3, 3), (8, 11))
    painting.page.click(".sc-bar [data-name=send]")
    painting.page.get_by_role("button", name="Keep in gallery").click()
    painting.page.wait_for_function("document.querySelector('.sc-notice span').textContent.startsWith('Kept')")
    painting.page.keyboard.press("Escape")
    entry = painting.site.gallery.page(limit=1).entries[0]
    with Image.open(entry.path) as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), painting.exact())
    request = entry.request
    assert isinstance(request, EditTokens)
    assert [operation["kind"] for operation in request.operations] == ["paint"] and request.source is not None


def test_views_and_comparison_show_other_pictures_and_leave_the_picture_alone(painting: Painting) -> None:
    before = painting.shown()
    for key in "2345":
        painting.page.keyboard.press(key)
        painting.page.wait_for_function(f"{APP}.canvas.view !== null")
    painting.page.keyboard.press("1")
    painting.page.keyboard.press("c")
    painting.page.wait_for_function(f"{APP}.canvas.compare !== null")
    x, y = painting.at(5, 7)
    painting.page.mouse.move(x, y)
    painting.page.mouse.down()
    painting.page.mouse.move(x + 60, y, steps=3)
    painting.page.mouse.up()
    assert painting.run(f"{APP}.canvas.compare.at") > 0.5  # type: ignore[operator]
    painting.page.keyboard.press("c")
    assert np.array_equal(painting.shown(), before)
    assert painting.run(f"{APP}.desk.operations.length") == 0, "the slider does not paint"


def test_a_click_in_the_atlas_arms_the_brush_and_a_finger_paints_at_phone_width(site: Site) -> None:
    phone = {"viewport": {"width": 375, "height": 740}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
    painting = open_page(site, **phone)
    before = painting.codes()
    target = another(before)
    painting.run(f"{APP}.canvas.size = 1")
    painting.page.locator(".cb-atlas .sc-view").scroll_into_view_if_needed()
    box = painting.page.locator(".cb-atlas .sc-view").bounding_box()
    script = f"(() => {{ const a = {APP}.atlas; return [a.surface.view, a.places.get({target})] }})()"
    found = painting.run(script)
    assert box and isinstance(found, list) and found[1] is not None
    view, (column, row) = found
    painting.page.touchscreen.tap(
        box["x"] + view["x"] + (column + 0.5) * 16 * view["scale"],
        box["y"] + view["y"] + (row + 0.5) * 16 * view["scale"],
    )
    painting.page.wait_for_function(f"{APP}.canvas.code === {target}")
    painting.page.locator(".cb-left .sc-view").scroll_into_view_if_needed()
    painting.page.touchscreen.tap(*painting.at(5, 5))
    painting.rest()
    after = painting.codes()
    assert after[5, 5] == target and (after != before).sum() == 1
    assert painting.page.evaluate("document.documentElement.scrollWidth") <= 375
    painting.page.context.close()


def test_a_stranger_gets_neither_picture_nor_edit(painting: Painting) -> None:
    document = painting.run(f"{APP}.desk.document.document")
    context = painting.site.browser.new_context()
    for method, path in (("get", "share"), ("get", "view/picture"), ("post", "undo"), ("post", "keep")):
        answer = getattr(context.request, method)(f"{painting.site.url}studio/codes/{document}/{path}")
        assert answer.status == 404, path
        assert json.loads(answer.text())["message"] == "This picture is no longer open."
    context.close()
