"""The Gallery tab in a real browser: shelf, search, filters, selection, keys, stars, notes, collections, trash."""

from __future__ import annotations

import pytest
from gallery_filling import family, make
from playwright.sync_api import Page, expect
from studio_page import Opened, Visit

pytestmark = pytest.mark.browser

TILES, CHOSEN, CARD = ".gp-shelf .gp-tile", ".gp-tile.is-chosen", ".gp-side .gp-card"


def fill(opened: Opened, page: Page, prompts: list[str]) -> None:
    """Put one picture per prompt into the visitor's gallery, the last one newest."""
    for seed, prompt in enumerate(prompts):
        make(opened.gallery, opened.owner(page), prompt, seed=seed)


def open_gallery(page: Page) -> None:
    tab, further = page.get_by_role("tab", name="Gallery"), page.locator("#tabs .overflow-menu > button")
    expect(tab.or_(further).first).to_be_visible()
    if not tab.is_visible():  # a narrow page keeps tabs in a menu
        further.click()
        page.locator("#tabs .overflow-dropdown").get_by_text("Gallery").click()
        return
    tab.click()


def prompts(page: Page) -> list[str]:
    return page.locator(TILES).evaluate_all("tiles => tiles.map((it) => it.title)")


def test_an_empty_gallery_says_what_to_do(visit: Visit) -> None:
    page = visit()
    open_gallery(page)
    expect(page.locator(".gp-empty")).to_contain_text("Go to Create and press Generate.")
    expect(page.locator(".gp-empty").get_by_role("button", name="Import")).to_be_visible()


def test_pictures_stand_newest_first_and_only_their_owner_sees_them(opened: Opened, visit: Visit) -> None:
    page = visit()
    fill(opened, page, ["old", "new"])
    open_gallery(page)
    expect(page.locator(TILES)).to_have_count(2)
    assert prompts(page) == ["new", "old"]
    expect(page.locator(".gp-day")).to_have_text("Today")
    stranger = visit()
    open_gallery(stranger)
    expect(stranger.locator(".gp-empty")).to_contain_text("No pictures yet")
    thumbnail = page.locator(f"{TILES} img").first.get_attribute("src")
    own, foreign = (it.request.get(str(thumbnail)) for it in (page, stranger))
    assert (own.status, foreign.status) == (200, 404)


@pytest.mark.thorough
def test_search_and_filters_choose_and_can_be_taken_back(opened: Opened, visit: Visit) -> None:
    page = visit()
    family(opened.gallery, opened.studio.pictures, opened.owner(page))
    fill(opened, page, ["a blue bird", "雪山"])
    open_gallery(page)
    expect(page.locator(TILES)).to_have_count(5)
    page.get_by_label("Search").fill("bird")
    expect(page.locator(TILES)).to_have_count(1)
    page.get_by_label("Search").fill("雪")
    expect(page.locator(TILES)).to_have_count(1)
    expect(page.locator(TILES)).to_have_attribute("title", "雪山")
    page.get_by_label("Search").fill("zeppelin")
    expect(page.locator(".gp-empty")).to_contain_text("Nothing matches")
    page.get_by_role("button", name="Show everything").click()
    expect(page.locator(".gp-count")).to_have_text("5 pictures")
    page.get_by_label("Any tab").select_option("inpaint")
    expect(page.locator(TILES)).to_have_count(1)
    expect(page.locator(TILES)).to_have_attribute("title", "a green pear")
    page.get_by_label("Any tab").select_option("")
    page.get_by_label("Any time").select_option("yesterday")
    expect(page.locator(".gp-empty")).to_be_visible()
    page.get_by_label("Any time").select_option("today")
    expect(page.locator(TILES)).to_have_count(5)


@pytest.mark.thorough
def test_the_arrow_keys_move_the_choice_and_the_card_follows(opened: Opened, visit: Visit) -> None:
    page = visit()
    fill(opened, page, ["one", "two", "three"])
    open_gallery(page)
    page.locator(TILES).first.click()
    expect(page.locator(f"{CARD} .gp-card-prompt")).to_have_text("three")
    page.keyboard.press("ArrowRight")
    expect(page.locator(f"{CARD} .gp-card-prompt")).to_have_text("two")
    expect(page.locator(f"{CARD} .gp-rows")).to_contain_text("DPM++ 2M")
    page.keyboard.press("s")
    expect(page.locator(f"{TILES}.is-starred")).to_have_attribute("title", "two")
    page.get_by_role("button", name="Starred only").click()
    expect(page.locator(TILES)).to_have_count(1)
    assert [it.prompt for it in opened.gallery.each(owner=opened.owner(page)) if it.starred] == ["two"]


def test_a_press_on_a_tile_counts_though_the_shelf_is_looked_at_anew_meanwhile(opened: Opened, visit: Visit) -> None:
    page = visit()
    fill(opened, page, ["one", "two"])
    open_gallery(page)
    page.locator(TILES).last.hover()
    page.mouse.down()
    page.evaluate("studioGallery.pages.refresh()")
    page.mouse.up()
    expect(page.locator(CHOSEN)).to_have_count(1)
    expect(page.locator(f"{CARD} .gp-card-prompt")).to_have_text("one")


def test_deleting_goes_to_the_trash_and_can_be_undone_also_later(opened: Opened, visit: Visit) -> None:
    page = visit()
    fill(opened, page, ["one", "two", "three"])
    open_gallery(page)
    page.locator(TILES).nth(1).click()
    page.keyboard.press("Delete")
    expect(page.locator(".gp-toast")).to_contain_text("it stays there for 30 days")
    expect(page.locator(CHOSEN)).to_have_attribute("title", "one")
    page.locator(".gp-toast").get_by_role("button", name="Undo").click()
    expect(page.locator(TILES)).to_have_count(3)
    assert prompts(page) == ["three", "two", "one"]
    page.keyboard.press("Delete")
    expect(page.locator(TILES)).to_have_count(2)
    page.get_by_role("button", name="Show the trash").click()
    expect(page.locator(TILES)).to_have_count(1)
    expect(page.locator(TILES)).to_have_attribute("title", "two")
    expect(page.locator(".gp-note")).to_contain_text("deleted after 30 days")
    page.locator(TILES).click()
    page.locator(CARD).get_by_role("button", name="Put back").click()
    expect(page.locator(".gp-empty")).to_contain_text("The trash is empty")
    page.get_by_role("button", name="Show everything").click()
    expect(page.locator(TILES)).to_have_count(3)


def test_several_pictures_are_selected_and_put_into_a_collection(opened: Opened, visit: Visit) -> None:
    page = visit()
    fill(opened, page, [f"picture {n}" for n in range(6)])
    open_gallery(page)
    page.locator(TILES).nth(0).click(modifiers=["Control"])
    page.locator(TILES).nth(3).click(modifiers=["Shift"])
    bar = page.locator(".gp-selection")
    expect(bar).to_contain_text("4 selected")
    page.locator(TILES).nth(1).click()
    expect(bar).to_contain_text("3 selected")
    bar.get_by_role("button", name="Add to collection").click()
    page.get_by_label("New collection").fill("<b>Ink</b> ${1+1}")
    page.keyboard.press("Enter")
    expect(page.locator(".gp-toast")).to_contain_text("3 pictures are in “<b>Ink</b> ${1+1}” now.")
    page.keyboard.press("Escape")
    page.get_by_label("Any collection").select_option("<b>Ink</b> ${1+1}")
    expect(page.locator(TILES)).to_have_count(3)
    page.locator(TILES).first.click()
    page.locator(CARD).get_by_role("button", name="Take out of").click()
    expect(page.locator(f"{CARD} .gp-tag")).to_have_count(0)
    assert [(name, n) for name, n in opened.gallery.collections(owner=opened.owner(page))] == [("<b>Ink</b> ${1+1}", 2)]


def test_ctrl_a_selects_all_and_trashing_them_is_one_step(opened: Opened, visit: Visit) -> None:
    page = visit()
    fill(opened, page, ["one", "two", "three"])
    open_gallery(page)
    page.locator(TILES).first.click()
    page.keyboard.press("Control+a")
    expect(page.locator(".gp-selection")).to_contain_text("3 selected")
    page.keyboard.press("Delete")
    expect(page.locator(".gp-empty")).to_be_visible()
    page.locator(".gp-toast").get_by_role("button", name="Undo").click()
    expect(page.locator(TILES)).to_have_count(3)


def test_a_note_is_kept_as_written_and_found(opened: Opened, visit: Visit) -> None:
    page = visit()
    fill(opened, page, ["one"])
    open_gallery(page)
    page.locator(TILES).click()
    page.get_by_label("Note", exact=True).fill("for the cover <img src=x onerror=alert(1)>")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".gp-toast")).to_have_text("Note kept.")
    page.get_by_label("Search").fill("cover")
    expect(page.locator(TILES)).to_have_count(1)
    assert opened.gallery.page(owner=opened.owner(page)).entries[0].note.startswith("for the cover <img")


def test_a_long_gallery_comes_page_by_page_as_it_is_scrolled(opened: Opened, visit: Visit) -> None:
    page = visit()
    fill(opened, page, [f"picture {n}" for n in range(130)])
    open_gallery(page)
    expect(page.locator(TILES)).to_have_count(120)
    expect(page.locator(".gp-count")).to_have_text("130 pictures")
    page.locator(".gp-foot").scroll_into_view_if_needed()
    expect(page.locator(TILES)).to_have_count(130)
    assert prompts(page) == [f"picture {n}" for n in range(129, -1, -1)]


def test_what_was_made_meanwhile_appears_when_the_tab_is_shown_again(opened: Opened, visit: Visit) -> None:
    page = visit()
    fill(opened, page, ["one"])
    open_gallery(page)
    expect(page.locator(TILES)).to_have_count(1)
    page.get_by_role("tab", name="Create").click()
    fill(opened, page, ["two"])
    open_gallery(page)
    expect(page.locator(TILES)).to_have_count(2)
    assert prompts(page) == ["two", "one"]


def test_on_a_phone_a_tap_opens_and_a_long_press_selects(opened: Opened, visit: Visit) -> None:
    page = visit(width=390, has_touch=True, is_mobile=True)
    fill(opened, page, ["one", "two"])
    open_gallery(page)
    page.locator(TILES).first.tap()
    expect(page.locator(".gp-viewer .gp-canvas img")).to_have_attribute("alt", "two")
    page.get_by_role("button", name="Close").tap()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out sideways"
    page.locator(TILES).first.dispatch_event("pointerdown", {"pointerType": "touch", "bubbles": True})
    expect(page.locator(".gp-selection")).to_contain_text("1 selected")


@pytest.mark.thorough
def test_the_gallery_speaks_chinese(opened: Opened, visit: Visit) -> None:
    page = visit(locale="zh-CN")
    fill(opened, page, ["one"])
    page.get_by_role("tab", name="图库").click()
    page.locator(TILES).click()
    expect(page.locator(CARD)).to_contain_text("沿用设置")
    expect(page.locator(".gp-day")).to_have_text("今天")
