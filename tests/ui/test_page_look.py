"""The page as people with different screens, languages and tastes get it, and what it may not do behind their back."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from served import watch_errors
from studio_page import Opened, Visit

pytestmark = pytest.mark.browser


def test_nothing_sticks_out_sideways_on_a_phone(visit: Visit) -> None:
    page = visit(width=390)
    for tab in page.get_by_role("tab").all():
        tab.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("tab", name="Create").click()
    page.click("#advanced > button")
    page.fill("#prompt textarea", "a red apple")
    page.click("#create-generate")
    page.wait_for_selector('#create-stage .stage[data-state="finished"]')
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    parts = ("#tab-create .desk-stage", "#tab-create .desk-settings")
    stage, settings = (page.locator(it).bounding_box() for it in parts)
    assert stage and settings and stage["y"] < settings["y"], "the picture comes before the settings"


def test_a_page_says_the_language_it_is_in_not_the_one_the_browser_prefers(visit: Visit) -> None:
    """Screen readers and translators go by it; Gradio names the browser's."""
    page = visit(locale="de-DE")
    expect(page.locator("#create-generate")).to_have_text("Generate")
    page.wait_for_timeout(500)
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_a_chinese_browser_gets_the_page_in_chinese(visit: Visit) -> None:
    page = visit(locale="zh-CN", width=390)
    expect(page.locator("#create-generate")).to_have_text("生成")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")  # our style sheet counts on it
    word = "getComputedStyle(document.querySelector('.overflow-menu > button'), '::after').content"
    assert page.evaluate(word) == '"更多"'
    page.set_viewport_size({"width": 1280, "height": 860})
    expect(page.locator("#create-stage strong")).to_have_text("图片将显示在这里")
    expect(page.get_by_text("提示词", exact=True)).to_be_visible()
    page.click("#create-generate")
    expect(page.locator("#tab-create .notice")).to_contain_text("提示词为空。")
    page.fill("#prompt textarea", "out of memory")
    page.click("#create-generate")
    expect(page.locator("#create-stage strong")).to_have_text("内存不足，无法生成 2048 × 2048。")


@pytest.mark.thorough
def test_the_look_follows_the_system_and_a_choice_outlives_a_reload(visit: Visit) -> None:
    page = visit(color_scheme="dark")
    dark = "document.body.classList.contains('dark')"
    page.wait_for_function(dark)
    page.locator(".studio-theme").click()
    assert page.evaluate(dark) is False
    page.reload()
    page.wait_for_selector("#create-stage .stage[data-state]")
    page.wait_for_function(f"!{dark}")


def test_opening_the_page_asks_no_other_machine_and_logs_no_error(opened: Opened, visit: Visit) -> None:
    page = visit()
    asked: list[str] = []
    errors = watch_errors(page)
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.wait_for_selector("#create-stage .stage[data-state]")
    page.get_by_role("tab", name="Gallery").click()
    page.wait_for_selector(".gp-empty")
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith((opened.address, "data:", "blob:"))] == []
    assert errors == []


def test_the_session_cookie_cannot_be_read_by_scripts(opened: Opened, visit: Visit) -> None:
    page = visit()
    cookie = next(it for it in page.context.cookies() if it["name"] == opened.sessions.cookie)
    assert cookie["httpOnly"] and cookie["sameSite"] == "Lax"
    assert opened.sessions.cookie not in page.evaluate("document.cookie")
