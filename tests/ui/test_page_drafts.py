"""What lies unsent on a page outlives a reload, a new tab, a lost network and a restart of the studio."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Error, Page, expect
from served import example_picture
from studio_page import Opened, Visit, opened_studio

from studio.state.drafts import Drafts

pytestmark = pytest.mark.browser

PROMPT = "#prompt textarea"
NOTHING_UNSENT = "() => !Object.keys(sessionStorage).some((key) => key.startsWith('tessera-unsent-'))"


def write(page: Page, prompt: str) -> None:
    page.fill(PROMPT, prompt)
    page.wait_for_function("() => Object.keys(sessionStorage).some((key) => key.startsWith('tessera-unsent-'))")
    page.wait_for_function(NOTHING_UNSENT)


def again(page: Page) -> None:
    with suppress(Error):  # a page whose studio came back reloads itself, and that breaks this one off
        page.reload()
    page.wait_for_selector("#create-stage .stage[data-state]")


def test_an_unsent_prompt_and_every_setting_survive_a_reload(visit: Visit) -> None:
    page = visit()
    page.click("#advanced > button")
    steps = page.get_by_label("number input for Steps")
    steps.fill("33")
    steps.press("Tab")
    page.get_by_text("192 × 256", exact=True).click()
    page.fill("#seed textarea, #seed input", "77")
    write(page, "an unsent prompt")
    again(page)
    expect(page.locator(PROMPT)).to_have_value("an unsent prompt")
    page.click("#advanced > button")
    expect(page.get_by_label("number input for Steps")).to_have_value("33")
    expect(page.locator("#seed textarea, #seed input")).to_have_value("77")
    expect(page.get_by_label("192 × 256")).to_be_checked()


@pytest.mark.thorough
def test_who_is_quicker_than_the_server_keeps_what_was_typed(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page shows itself before what was kept has come back; that then fills in what nobody has touched."""
    page = visit()
    page.click("#advanced > button")
    steps = page.get_by_label("number input for Steps")
    steps.fill("33")
    steps.press("Tab")
    write(page, "kept")
    find, comes_back = Drafts.find, threading.Event()

    def late(drafts: Drafts, owner: str, form: str, *, page: str = "") -> dict[str, Any] | None:
        if page:
            assert comes_back.wait(60)
        return find(drafts, owner, form, page=page)

    monkeypatch.setattr(Drafts, "find", late)
    again(page)
    page.fill(PROMPT, "quicker")
    page.click("#advanced > button")
    expect(steps).to_have_value("20")
    comes_back.set()
    expect(steps).to_have_value("33")
    expect(page.locator(PROMPT)).to_have_value("quicker")
    again(page)
    expect(page.locator(PROMPT)).to_have_value("quicker")


def test_a_page_closed_within_a_moment_of_typing_loses_nothing(visit: Visit) -> None:
    page = visit()
    page.wait_for_timeout(500)
    page.fill(PROMPT, "typed and gone")
    again(page)
    expect(page.locator(PROMPT)).to_have_value("typed and gone")


@pytest.mark.thorough
def test_each_tab_of_the_browser_keeps_its_own_and_a_new_one_gets_the_latest(visit: Visit) -> None:
    first = visit()
    write(first, "in the first")
    second = visit(of=first)
    expect(second.locator(PROMPT)).to_have_value("in the first")
    write(second, "in the second")
    again(first)
    expect(first.locator(PROMPT)).to_have_value("in the first")


@pytest.mark.thorough
def test_nobody_gets_what_another_visitor_typed(opened: Opened, visit: Visit) -> None:
    page = visit()
    write(page, "mine alone")
    assert httpx.get(f"{opened.address}/studio/drafts/create", timeout=60).json() == {"content": None}
    stranger = visit()
    expect(stranger.locator(PROMPT)).to_have_value("")


def test_a_reloaded_page_shows_the_picture_it_had(visit: Visit) -> None:
    page = visit()
    page.fill(PROMPT, "a red apple")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector('#create-stage .stage[data-state="finished"]')
    shown = page.locator("#create-stage .stage-tile img").get_attribute("src")
    again(page)
    page.wait_for_selector('#create-stage .stage[data-state="finished"]')
    assert page.locator("#create-stage .stage-tile img").get_attribute("src") == shown


def test_a_lost_network_loses_neither_the_prompt_nor_the_running_job(opened: Opened, visit: Visit) -> None:
    page = visit()
    opened.engine.hold_at = 5
    page.fill(PROMPT, "running")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#create-stage .stage-phase")).to_have_text("Step 4 of 20")
    page.context.set_offline(True)
    page.fill(PROMPT, "written in a tunnel")
    page.wait_for_timeout(1500)
    page.context.set_offline(False)
    opened.engine.resume.set()
    again(page)  # what Gradio does by itself once it finds the studio again
    expect(page.locator(PROMPT)).to_have_value("written in a tunnel")
    page.wait_for_selector('#create-stage .stage[data-state="finished"]')


def test_an_open_page_outlives_a_restart_of_the_studio(tmp_path: Path, chromium: Browser) -> None:
    """The studio may end and start under an open page: what was typed stays, and is made by the new one."""
    with opened_studio(tmp_path) as studio:
        port = int(studio.address.rsplit(":", 1)[1])
        page = chromium.new_page()
        page.set_default_timeout(60_000)
        page.goto(studio.address)
        page.wait_for_selector("#create-stage .stage[data-state]")
        write(page, "before the restart")
        owner = studio.owner(page)
    page.fill(PROMPT, "while it was away")
    with opened_studio(tmp_path, port=port) as studio:
        page.wait_for_function(NOTHING_UNSENT)
        again(page)
        expect(page.locator(PROMPT)).to_have_value("while it was away")
        assert studio.owner(page) == owner
        page.keyboard.press("Control+Enter")
        page.wait_for_selector('#create-stage .stage[data-state="finished"]')
        page.context.close()


def test_a_page_whose_job_ran_when_the_studio_died_takes_it_up_again(tmp_path: Path, chromium: Browser) -> None:
    """The page reloads itself when the studio answers again, and the job is made, with its seed."""
    with opened_studio(tmp_path) as studio:
        port = int(studio.address.rsplit(":", 1)[1])
        studio.engine.hold_at, studio.engine.rest_seconds = 3, 0  # it runs until the studio stops, and never ends
        page = chromium.new_page()
        page.set_default_timeout(60_000)
        page.goto(studio.address)
        page.wait_for_selector("#create-stage .stage[data-state]")
        page.fill(PROMPT, "interrupted")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#create-stage .stage-phase")).to_have_text("Step 2 of 20")
        page.fill(PROMPT, "the next one, unsent")
        page.wait_for_function(NOTHING_UNSENT)
        seed = studio.engine.seen[0].seed  # type: ignore[attr-defined]
    with opened_studio(tmp_path, port=port) as studio:
        page.wait_for_selector('#create-stage .stage[data-state="finished"]')
        expect(page.locator(PROMPT)).to_have_value("the next one, unsent")
        (entry,) = studio.gallery.page().entries
        assert (entry.prompt, entry.seed) == ("interrupted", seed)
        page.context.close()


@pytest.mark.thorough
def test_a_canvas_comes_back_even_where_the_browser_has_cleared_its_storage(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    page.get_by_role("tab", name="Inpaint").click()
    with page.expect_file_chooser() as chooser:
        page.click("#inpaint-canvas .sc-cta")
    chooser.value.set_files(example_picture(tmp_path))
    page.wait_for_function("() => window.studioCanvases.get('inpaint').value().source")
    page.wait_for_function(NOTHING_UNSENT)
    source = page.evaluate("window.studioCanvases.get('inpaint').value().source")
    page.evaluate("indexedDB.deleteDatabase('tessera-studio')")
    again(page)
    page.get_by_role("tab", name="Inpaint").click()
    page.wait_for_function("() => window.studioCanvases?.get('inpaint')?.value().source")
    assert page.evaluate("window.studioCanvases.get('inpaint').value().source") == source


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"content": {}}, 204),
        ({"page": "x" * 65, "content": {}}, 422),
        ({"content": []}, 422),
        ({"content": {}, "owner": "somebody"}, 422),
        ({"content": {"prompt": "x" * 1_100_000}}, 422),
    ],
)
def test_the_route_takes_drafts_and_nothing_else(opened: Opened, body: dict[str, object], status: int) -> None:
    assert httpx.post(f"{opened.address}/studio/drafts/create", json=body, timeout=60).status_code == status


def test_a_form_has_a_plain_name(opened: Opened) -> None:
    assert httpx.post(f"{opened.address}/studio/drafts/..%2Fx", json={"content": {}}, timeout=60).status_code in (
        404,
        422,
    )
