"""Pictures into and out of the gallery page, with real files, in a real browser; and the picker of other tabs."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from gallery_filling import foreign_files, make
from playwright.sync_api import Browser, Page, expect
from studio_page import Opened, Visit

pytestmark = pytest.mark.browser

TILES = ".gp-shelf .gp-tile"


def open_gallery(page: Page) -> None:
    page.get_by_role("tab", name="Gallery").click()


@pytest.mark.thorough
def test_files_of_other_studios_are_imported_with_a_report(opened: Opened, visit: Visit, tmp_path: Path) -> None:
    page = visit()
    open_gallery(page)
    page.locator(".gp-empty").get_by_role("button", name="Import").click()
    page.locator(".gp-drop input").first.set_input_files(foreign_files(tmp_path))
    box = page.locator("dialog.gp-import")
    expect(box.get_by_role("button", name="Done")).to_be_visible()
    expect(box.get_by_role("status")).to_have_text("6 imported, 0 known already, 1 left out")
    expect(box.locator(".gp-badge")).to_have_text(["AUTOMATIC1111", "ComfyUI", "InvokeAI", "Fooocus", "NovelAI"])
    a1111 = box.locator("article").first
    expect(a1111).to_contain_text("a lighthouse at dusk")
    expect(a1111.locator(".gp-unmapped")).to_contain_text("Clip skip: 2")
    expect(box.locator("article.is-out")).to_contain_text('"broken.png" is damaged or incomplete.')
    box.get_by_role("button", name="Done").click()
    expect(page.locator(TILES)).to_have_count(6)
    page.locator("[title='a lighthouse at dusk']").click()
    card = page.locator(".gp-side")
    expect(card).to_contain_text("Made with AUTOMATIC1111")
    expect(card).to_contain_text("DPM++ 2M Karras")
    card.get_by_role("button", name="Use settings").click()
    expect(page.locator("#prompt textarea")).to_have_value("a lighthouse at dusk")


@pytest.mark.thorough
def test_a_picture_dropped_on_the_gallery_is_imported(opened: Opened, visit: Visit, tmp_path: Path) -> None:
    page = visit()
    open_gallery(page)
    expect(page.locator(".gp-empty")).to_be_visible()
    data = list(foreign_files(tmp_path)[0].read_bytes())
    page.evaluate(
        """(data) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([new Uint8Array(data)], "dropped.png", { type: "image/png" }));
          const drop = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
          document.querySelector(".gp-page").dispatchEvent(drop);
        }""",
        data,
    )
    expect(page.locator("dialog.gp-import .gp-badge")).to_have_text("AUTOMATIC1111")
    expect(page.locator("dialog.gp-import h3")).to_contain_text("dropped.png")


@pytest.mark.thorough
def test_a_selection_is_downloaded_as_a_zip(opened: Opened, visit: Visit, tmp_path: Path) -> None:
    page = visit()
    for seed in range(3):
        make(opened.gallery, opened.owner(page), f"picture {seed}", seed=seed)
    open_gallery(page)
    page.locator(TILES).nth(0).click(modifiers=["Control"])
    page.locator(TILES).nth(2).click(modifiers=["Control"])
    page.locator(".gp-selection").get_by_role("button", name="Export").click()
    box = page.locator("dialog.gp-export")
    expect(box).to_contain_text("The 2 selected")
    box.locator("label", has_text="JPEG").click()
    box.get_by_text("With prompt and settings").click()
    with page.expect_download() as waiting:
        box.get_by_role("button", name="Export").click()
    waiting.value.save_as(tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert [Path(name).suffix for name in archive.namelist()] == [".jpg", ".jpg"]
        assert b"picture" not in archive.read(archive.namelist()[0])


@pytest.mark.thorough
def test_everything_shown_becomes_a_web_page_that_opens_by_itself(
    opened: Opened, visit: Visit, chromium: Browser, tmp_path: Path
) -> None:
    page = visit()
    for seed, prompt in enumerate(["a fox", "a whale", "a <script>alert(1)</script> fox"]):
        make(opened.gallery, opened.owner(page), prompt, seed=seed)
    open_gallery(page)
    page.get_by_label("Search").fill("fox")
    expect(page.locator(".gp-count")).to_have_text("2 pictures")
    page.locator(".gp-bar").get_by_role("button", name="Export").click()
    box = page.locator("dialog.gp-export")
    box.locator("label", has_text="Web page").click()
    box.get_by_label("Title of the page").fill("Foxes")
    with page.expect_download() as waiting:
        box.get_by_role("button", name="Export").click()
    waiting.value.save_as(tmp_path / "site.zip")
    with zipfile.ZipFile(tmp_path / "site.zip") as archive:
        archive.extractall(tmp_path / "site")
    offline = chromium.new_context(offline=True)
    site = offline.new_page()
    site.goto((tmp_path / "site" / "index.html").as_uri())
    expect(site.get_by_role("heading")).to_have_text("Foxes")
    expect(site.locator(".tile")).to_have_count(2)
    site.locator(".tile").first.click()
    expect(site.locator(".view:target figcaption p").first).to_have_text("a <script>alert(1)</script> fox")
    assert site.locator(".view:target > img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
    offline.close()


@pytest.mark.thorough
def test_one_picture_is_downloaded_in_the_format_that_is_asked_for(opened: Opened, visit: Visit) -> None:
    page = visit()
    entry = make(opened.gallery, opened.owner(page), "one")
    open_gallery(page)
    page.locator(TILES).click()
    page.locator(".gp-side").get_by_role("button", name="Download").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="WebP with settings").click()
    assert waiting.value.suggested_filename == f"tessera-{entry.id}.webp"
    assert Path(waiting.value.path()).read_bytes()[8:12] == b"WEBP"


@pytest.mark.thorough
def test_other_tabs_choose_a_picture_from_the_gallery(opened: Opened, visit: Visit) -> None:
    page = visit()
    for seed in range(70):
        make(opened.gallery, opened.owner(page), f"picture {seed}", seed=seed, steps=1)
    page.get_by_role("tab", name="Style").click()
    well, picker = page.locator("#style-content"), page.locator("dialog.gp-picker")
    well.get_by_role("button", name="Gallery").click()
    expect(picker.locator(".gp-tile")).to_have_count(60)
    picker.locator(".gp-foot").scroll_into_view_if_needed()
    expect(picker.locator(".gp-tile")).to_have_count(70)
    picker.get_by_role("searchbox").fill("69")
    expect(picker.locator(".gp-tile")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(picker).to_have_count(0)
    expect(well.locator(".well-tile")).to_have_count(1)
    well.get_by_role("button", name="Gallery").click()
    page.keyboard.press("Escape")
    expect(picker).to_have_count(0)
