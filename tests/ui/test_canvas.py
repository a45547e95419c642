"""The mask canvas under a real mouse, pen, finger and keyboard, down to the bytes of the mask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page
from served import example_picture, serve, watch_errors

from studio.errors import InvalidPicture, InvalidRequest
from studio.pictures import PictureStore
from studio.ui.canvas.canvas import CanvasState, flush_js, mask_canvas, read_canvas, show
from studio.ui.canvas.masks import as_mask
from studio.ui.canvas.routes import canvas_routes
from studio.ui.session import Sessions

pytestmark = pytest.mark.browser


@dataclass
class Site:
    url: str
    browser: Browser
    store: PictureStore
    picture: Path
    seen: list[CanvasState]


@pytest.fixture(scope="module")
def site(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("canvas")
    store, sessions, seen = PictureStore(folder / "inputs"), Sessions(b"k" * 32), []
    other = store.put(Image.new("RGB", (64, 48), (200, 120, 40)))
    with gr.Blocks() as blocks:
        with gr.Tabs():
            with gr.Tab("Paint"):
                canvas = mask_canvas("test", elem_id="canvas")
                go = gr.Button("Generate", elem_id="go")
                send = gr.Button("Send", elem_id="send")
            with gr.Tab("Else", elem_id="else"):
                gr.Markdown("elsewhere")
        go.click(lambda value: seen.append(read_canvas(value)), canvas, js=flush_js("test"))
        send.click(lambda: show(other), outputs=canvas)
    with serve(blocks, sessions, canvas_routes(store, sessions.of)) as url:
        yield Site(url, chromium, store, example_picture(folder), seen)


@dataclass
class Drawing:
    """A page with the 320 x 240 example open; points are pixels of the picture."""

    site: Site
    page: Page

    def at(self, x: float, y: float) -> tuple[float, float]:
        box = self.page.locator(".sc-view").bounding_box()
        view = self.page.evaluate("window.studioCanvases.get('test').surface.view")
        assert box
        return box["x"] + view["x"] + x * view["scale"], box["y"] + view["y"] + y * view["scale"]

    def drag(self, *points: tuple[float, float]) -> None:
        self.page.mouse.move(*self.at(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.at(*point), steps=6)
        self.page.mouse.up()

    def size(self, pixels: int) -> None:
        self.page.evaluate(f"window.studioCanvases.get('test').setSize({pixels})")

    def state(self) -> CanvasState:
        before = len(self.site.seen)
        self.page.click("#go")
        for _ in range(2400):  # a minute
            if len(self.site.seen) > before:
                return self.site.seen[-1]
            self.page.wait_for_timeout(25)
        raise AssertionError("the canvas's value never reached the handler")

    def mask(self) -> NDArray[np.uint8]:
        """The mask as the server has it, (h, w)."""
        state = self.state()
        if state.mask is None:
            return np.zeros((state.height, state.width), np.uint8)
        image = self.site.store.get(state.mask)
        assert image.mode == "L", "a mask is stored in grey"
        return np.asarray(image)


def open_page(site: Site, **options: object) -> Drawing:
    page = site.browser.new_context(**{"viewport": {"width": 1000, "height": 800}, **options}).new_page()
    page.set_default_timeout(45_000)
    page.goto(site.url)
    page.wait_for_selector(".sc-view")
    with page.expect_file_chooser() as chooser:
        page.click(".sc-cta")
    chooser.value.set_files(str(site.picture))
    page.wait_for_selector(".sc-empty", state="hidden")
    page.wait_for_function("window.studioCanvases.get('test').source")
    return Drawing(site, page)


@pytest.fixture(scope="module")
def page(site: Site) -> Iterator[Drawing]:
    opened = open_page(site)
    yield opened
    opened.page.context.close()


BLANK = """() => {
  const editor = window.studioCanvases.get('test');
  editor.change((mask) => (mask.data.fill(0), { x0: 0, y0: 0, x1: mask.width, y1: mask.height }));
  editor.history.clear();
  editor.setTool('brush');
  editor.setSize(40);
  editor.surface.fit();
  return editor.flush();
}"""


@pytest.fixture
def drawing(page: Drawing) -> Iterator[Drawing]:
    """The one page of this module with an empty mask, the brush in hand and the pointer over the canvas."""
    errors = watch_errors(page.page)
    page.page.evaluate(BLANK)
    page.page.locator(".sc-view").hover()
    yield page
    assert errors == []


def test_a_stroke_paints_the_pixels_under_the_brush_and_no_other(drawing: Drawing) -> None:
    drawing.size(20)
    drawing.drag((100, 60), (200, 60))
    mask = drawing.mask()
    y, x = np.mgrid[0:240, 0:320] + 0.5
    distance = np.hypot(x - x.clip(100, 200), y - 60)
    assert mask.shape == (240, 320)
    assert (mask[distance <= 8.5] == 255).all()
    assert (mask[distance >= 11.5] == 0).all()


def test_a_rectangle_is_exact_to_the_pixel(drawing: Drawing) -> None:
    drawing.page.keyboard.press("r")
    drawing.drag((40, 30), (120, 90))
    mask = drawing.mask()
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert set(np.unique(mask)) == {0, 255}
    assert abs(rows[0] - 30) <= 1 and abs(rows[-1] - 89) <= 1
    assert abs(columns[0] - 40) <= 1 and abs(columns[-1] - 119) <= 1
    assert (mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == 255).all()


def test_the_eraser_takes_away_and_undo_and_redo_bring_back_every_byte(drawing: Drawing) -> None:
    drawing.size(60)
    drawing.drag((160, 120), (220, 120))
    painted = drawing.mask()
    drawing.page.locator(".sc-view").hover()
    drawing.page.keyboard.press("e")
    drawing.drag((160, 120), (160, 121))
    erased = drawing.mask()
    assert erased[120, 160] == 0 and erased[120, 225] == 255
    drawing.page.locator(".sc-view").hover()
    drawing.page.keyboard.press("Control+z")
    assert np.array_equal(drawing.mask(), painted)
    drawing.page.locator(".sc-view").hover()
    drawing.page.keyboard.press("Control+Shift+Z")
    assert np.array_equal(drawing.mask(), erased)


def test_sixty_strokes_can_all_be_undone(drawing: Drawing) -> None:
    drawing.size(6)
    x, y = drawing.at(10, 30)
    step = drawing.at(15, 30)[0] - x
    for i in range(60):
        drawing.page.mouse.click(x + step * i, y)
    assert drawing.mask()[30, 10 : 10 + 5 * 60 : 5].all()
    drawing.page.locator(".sc-view").hover()
    for _ in range(60):
        drawing.page.keyboard.press("Control+z")
    assert drawing.state().mask is None
    assert drawing.page.locator("[data-name=undo]").is_disabled()


def test_lasso_fills_its_inside_and_fill_closes_an_outline(drawing: Drawing) -> None:
    drawing.page.keyboard.press("l")
    drawing.drag((50, 50), (150, 50), (150, 150), (50, 150))
    mask = drawing.mask()
    assert mask[100, 100] == 255 and mask[100, 170] == 0
    drawing.page.locator(".sc-view").hover()
    drawing.page.keyboard.press("Delete")
    drawing.page.keyboard.press("b")
    drawing.size(8)
    drawing.drag((200, 60), (280, 60), (280, 140), (200, 140), (200, 60))
    assert drawing.mask()[100, 240] == 0
    drawing.page.locator(".sc-view").hover()
    drawing.page.keyboard.press("g")
    drawing.page.mouse.click(*drawing.at(240, 100))
    filled = drawing.mask()
    assert filled[100, 240] == 255 and filled[20, 20] == 0


def test_invert_and_clear_are_exact_and_undoable(drawing: Drawing) -> None:
    drawing.drag((100, 100), (140, 100))
    painted = drawing.mask()
    drawing.page.click("[data-name=invert]")
    assert np.array_equal(drawing.mask(), 255 - painted)
    drawing.page.click("[data-name=clear]")
    assert drawing.state().mask is None
    drawing.page.click("[data-name=undo]")
    drawing.page.click("[data-name=undo]")
    assert np.array_equal(drawing.mask(), painted)


def test_bracket_keys_change_the_size_and_other_fields_keep_their_keys(drawing: Drawing) -> None:
    size = "window.studioCanvases.get('test').settings.size"
    drawing.page.locator(".sc-view").hover()
    before = drawing.page.evaluate(size)
    drawing.page.keyboard.press("]")
    larger = drawing.page.evaluate(size)
    drawing.page.keyboard.press("[")
    drawing.page.keyboard.press("[")
    assert larger > before > drawing.page.evaluate(size)


def test_a_reload_keeps_the_picture_and_the_mask(drawing: Drawing) -> None:
    drawing.drag((60, 60), (200, 180))
    before, state = drawing.mask(), drawing.state()
    drawing.page.reload()
    drawing.page.wait_for_function("window.studioCanvases?.get('test')?.maskRef")
    assert drawing.state().source == state.source
    assert np.array_equal(drawing.mask(), before)


def test_a_tab_switch_loses_nothing(drawing: Drawing) -> None:
    drawing.drag((60, 60), (200, 180))
    before = drawing.mask()
    drawing.page.get_by_role("tab", name="Else").click()
    drawing.page.get_by_role("tab", name="Paint").click()
    drawing.page.wait_for_selector(".sc-view", state="visible")
    assert np.array_equal(drawing.mask(), before)


def test_zoom_and_pan_do_not_move_what_is_painted(drawing: Drawing) -> None:
    drawing.size(12)
    drawing.page.mouse.move(*drawing.at(160, 120))
    drawing.page.mouse.wheel(0, -600)
    drawing.page.mouse.down(button="middle")
    x, y = drawing.at(160, 120)
    drawing.page.mouse.move(x + 50, y + 20, steps=3)
    drawing.page.mouse.up(button="middle")
    assert drawing.page.evaluate("window.studioCanvases.get('test').surface.view.scale") > 4
    drawing.page.mouse.click(*drawing.at(165, 125))
    rows, columns = np.nonzero(drawing.mask())
    assert abs(rows.mean() - 124.5) < 1 and abs(columns.mean() - 164.5) < 1


def test_a_finger_paints_at_phone_width_without_scrolling_the_page(site: Site) -> None:
    phone = {"viewport": {"width": 375, "height": 640}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
    drawing = open_page(site, **phone)
    session = drawing.page.context.new_cdp_session(drawing.page)
    (x, y), (to_x, to_y) = drawing.at(100, 40), drawing.at(100, 200)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        at = [{"x": px, "y": py} for px, py in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    scrolled = drawing.page.evaluate("window.scrollY")
    touch("touchStart", (x, y))
    for i in range(1, 9):
        touch("touchMove", (x + (to_x - x) * i / 8, y + (to_y - y) * i / 8))
    touch("touchEnd")
    assert drawing.page.evaluate("window.scrollY") == scrolled
    assert drawing.page.evaluate("document.documentElement.scrollWidth") <= 375
    mask = drawing.mask()
    assert mask[60:180, 100].min() == 255 and mask[:, 300].max() == 0
    scale = drawing.page.evaluate("window.studioCanvases.get('test').surface.view.scale")
    touch("touchStart", (x, y), (x + 40, y))
    for i in range(1, 6):
        touch("touchMove", (x - 6 * i, y), (x + 40 + 6 * i, y))
    touch("touchEnd")
    assert drawing.page.evaluate("window.studioCanvases.get('test').surface.view.scale") > 1.3 * scale
    assert np.array_equal(drawing.mask(), mask), "two fingers zoom, they never paint"
    drawing.page.context.close()


def test_pen_pressure_makes_the_line_thinner(drawing: Drawing) -> None:
    drawing.size(40)
    session = drawing.page.context.new_cdp_session(drawing.page)

    def pen(kind: str, x: float, y: float, force: float) -> None:
        px, py = drawing.at(x, y)
        event = {"type": kind, "x": px, "y": py, "button": "left", "pointerType": "pen", "force": force, "buttons": 1}
        session.send("Input.dispatchMouseEvent", event)

    for y, force in ((60, 0.25), (160, 1.0)):
        pen("mousePressed", 60, y, force)
        pen("mouseMoved", 200, y, force)
        pen("mouseReleased", 200, y, force)
    mask = drawing.mask() > 127
    thin, thick = mask[:110, 130].sum(), mask[110:, 130].sum()
    assert 6 <= thin <= 14 and 36 <= thick <= 44


def test_the_other_end_of_a_pen_erases(drawing: Drawing) -> None:
    drawing.size(40)
    drawing.drag((60, 60), (200, 60))
    x, y = drawing.at(100, 60)
    drawing.page.evaluate(
        """([x, y]) => {
            const canvas = document.querySelector('.sc-view');
            const pen = {pointerType: 'pen', pointerId: 7, pressure: 1, clientX: x, clientY: y, bubbles: true};
            canvas.dispatchEvent(new PointerEvent('pointerdown', {...pen, button: 5, buttons: 32}));
            canvas.dispatchEvent(new PointerEvent('pointerup', {...pen, button: 5, buttons: 0, pressure: 0}));
        }""",
        [x, y],
    )
    mask = drawing.mask()
    assert mask[60, 100] == 0 and mask[60, 150] == 255


def test_a_saved_mask_loaded_again_is_the_same(drawing: Drawing, tmp_path: Path) -> None:
    drawing.drag((60, 60), (200, 180))
    before = drawing.mask()
    with drawing.page.expect_download() as download:
        drawing.page.click("[data-name=save]")
    path = tmp_path / "mask.png"
    download.value.save_as(path)
    with Image.open(path) as image:
        assert (image.mode, image.size) == ("L", (320, 240))
        assert np.array_equal(np.asarray(image), before)
    drawing.page.click("[data-name=clear]")
    with drawing.page.expect_file_chooser() as chooser:
        drawing.page.click("[data-name=load]")
    chooser.value.set_files(str(path))
    drawing.page.wait_for_function("window.studioCanvases.get('test').mask.coverage() > 0")
    assert np.array_equal(drawing.mask(), before)


def test_a_picture_sent_by_the_server_is_opened(site: Site) -> None:
    drawing = open_page(site)
    drawing.page.click("#send")
    drawing.page.wait_for_function("window.studioCanvases.get('test').source.width === 64")
    state = drawing.state()
    assert (state.width, state.height, state.mask) == (64, 48, None)
    drawing.page.context.close()


def test_a_file_that_is_no_picture_is_explained_and_what_was_open_stays(drawing: Drawing, tmp_path: Path) -> None:
    drawing.drag((60, 60), (200, 180))
    before = drawing.mask()
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"<script>alert(1)</script>")
    page = drawing.page
    with page.expect_file_chooser() as chooser:
        page.click("[data-name=open]")
    chooser.value.set_files(str(bad))
    page.wait_for_selector(".sc-notice[data-kind=error]")
    assert "not a PNG, JPEG or WebP" in page.locator(".sc-notice").inner_text()
    assert np.array_equal(drawing.mask(), before)


def test_a_mask_upload_says_what_was_converted() -> None:
    grey = Image.fromarray(np.full((10, 20), 255, np.uint8))
    assert as_mask(grey, 20, height=10) == (b"\xff" * 200, "")
    data, note = as_mask(grey.resize((40, 20)), 20, height=10)
    assert len(data) == 200 and "40 × 20" in note and "20 × 10" in note
    photo = Image.fromarray(np.tile(np.arange(64, dtype=np.uint8) * 3 + 30, (64, 1)))
    assert "photo" in as_mask(photo, 64, height=64)[1]
    clear = Image.new("RGBA", (4, 4), (255, 255, 255, 0))
    data, note = as_mask(clear, 4, height=4)
    assert data == bytes(16) and "black" in note
    with pytest.raises(InvalidPicture, match="out of bounds"):
        as_mask(grey, 40_000, height=40_000)


@pytest.mark.parametrize(
    "value",
    ["text", {"source": "../etc/passwd"}, {"source": "A" * 64}, {"width": "wide"}, {"coverage": 2}, {"height": -1}],
)
def test_a_tampered_canvas_value_is_refused(value: object) -> None:
    with pytest.raises(InvalidRequest, match="canvas sent"):
        read_canvas(value)


def test_an_empty_canvas_is_a_state_of_its_own() -> None:
    assert read_canvas(None) == CanvasState()
