"""The Gallery tab in a real browser: shelf, card, keys, star, trash and undo, and settings brought back."""

from __future__ import annotations

import pytest
from fake_engine import picture
from playwright.sync_api import Page, expect
from studio_page import Opened, Visit

from studio.requests import TextToImage

pytestmark = pytest.mark.browser

SHELF, CARD = "#shelf .shelf", "#card .card"


def fill_gallery(opened: Opened, page: Page, prompts: list[str]) -> None:
    """Put one picture per prompt into the visitor's gallery, the last one newest."""
    for seed, prompt in enumerate(prompts):
        request = TextToImage(prompt=prompt, seed=seed, steps=7 + seed, model="fake-256", width=64, height=64)
        opened.gallery.save(
            picture(request, 0, 1.0),
            request=request,
            seed=seed,
            facts={},
            job_id="0" * 16,
            owner=opened.owner(page),
        )


def open_gallery(page: Page) -> None:
    page.get_by_role("tab", name="Gallery").click()


def test_an_empty_gallery_says_what_to_do(visit: Visit) -> None:
    page = visit()
    open_gallery(page)
    expect(page.locator(SHELF)).to_contain_text("Go to Create and press Generate.")


def test_pictures_stand_newest_first_and_only_their_owner_sees_them(opened: Opened, visit: Visit) -> None:
    page = visit()
    fill_gallery(opened, page, ["old", "new"])
    open_gallery(page)
    expect(page.locator(".shelf-tile")).to_have_count(2)
    assert page.locator(".shelf-tile").first.get_attribute("title") == "new"
    stranger = visit()
    open_gallery(stranger)
    expect(stranger.locator(SHELF)).to_contain_text("No pictures yet")
    thumbnail = page.locator(".shelf-tile img").first.get_attribute("src")
    own, foreign = (it.request.get(f"{opened.address}/{thumbnail}") for it in (page, stranger))
    assert (own.status, foreign.status) == (200, 404)


def test_search_finds_words_and_says_when_nothing_matches(opened: Opened, visit: Visit) -> None:
    page = visit()
    fill_gallery(opened, page, ["a red apple", "a blue bird"])
    open_gallery(page)
    expect(page.locator(".shelf-tile")).to_have_count(2)
    page.fill("#gallery-search input, #gallery-search textarea", "bird")
    expect(page.locator(".shelf-tile")).to_have_count(1)
    page.fill("#gallery-search input, #gallery-search textarea", "zeppelin")
    expect(page.locator(SHELF)).to_contain_text("Nothing matches")


def test_the_arrow_keys_move_the_choice_and_enter_enlarges_it(opened: Opened, visit: Visit) -> None:
    page = visit()
    fill_gallery(opened, page, ["one", "two", "three"])
    open_gallery(page)
    page.locator(".shelf-tile").first.click()
    expect(page.locator(f"{CARD} .card-prompt")).to_have_text("three")
    page.keyboard.press("ArrowRight")
    expect(page.locator(f"{CARD} .card-prompt")).to_have_text("two")
    page.keyboard.press("Enter")
    large = page.locator("dialog[open] img")
    expect(large).to_have_attribute("alt", "two")
    page.keyboard.press("ArrowRight")
    expect(large).to_have_attribute("alt", "one")
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(page.locator(f"{CARD} .card-prompt")).to_have_text("one")


def test_a_star_is_kept_and_can_be_filtered_by(opened: Opened, visit: Visit) -> None:
    page = visit()
    fill_gallery(opened, page, ["one", "two"])
    open_gallery(page)
    page.locator(".shelf-tile").nth(1).click()
    expect(page.locator(f"{CARD} .card-prompt")).to_have_text("one")
    page.click("#gallery-star")
    expect(page.locator("#gallery-star")).to_have_text("Remove star")
    page.get_by_label("Starred only").check()
    expect(page.locator(".shelf-tile")).to_have_count(1)
    assert [entry.prompt for entry in opened.gallery.each(owner=opened.owner(page)) if entry.starred] == ["one"]


def test_the_trash_can_be_undone(opened: Opened, visit: Visit) -> None:
    page = visit()
    fill_gallery(opened, page, ["one", "two"])
    open_gallery(page)
    page.locator(".shelf-tile").first.click()
    page.click("#gallery-trash")
    expect(page.locator(".shelf-tile")).to_have_count(1)
    assert opened.gallery.count(owner=opened.owner(page)) == 1
    page.click("#gallery-undo")
    expect(page.locator(".shelf-tile")).to_have_count(2)
    assert page.locator(".shelf-tile").first.get_attribute("title") == "two"
    assert opened.gallery.count(owner=opened.owner(page)) == 2


def test_settings_of_a_picture_go_back_into_the_form_it_came_from(opened: Opened, visit: Visit) -> None:
    page = visit()
    fill_gallery(opened, page, ["one", "two"])
    open_gallery(page)
    page.locator(".shelf-tile").first.click()
    expect(page.locator(f"{CARD} .card-rows")).to_contain_text("DPM++ 2M")
    page.click("#gallery-use-settings")
    expect(page.locator("#prompt textarea")).to_have_value("two")
    page.click("#advanced > button")
    expect(page.get_by_label("number input for Steps")).to_have_value("8")


def test_a_long_gallery_is_shown_page_by_page(opened: Opened, visit: Visit) -> None:
    page = visit()
    fill_gallery(opened, page, [f"picture {i}" for i in range(63)])
    open_gallery(page)
    expect(page.locator(".shelf-tile")).to_have_count(60)
    page.locator(".shelf-more").click()
    expect(page.locator(".shelf-tile")).to_have_count(63)
    expect(page.locator(".shelf-more")).to_be_hidden()
