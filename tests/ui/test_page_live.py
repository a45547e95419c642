"""The Create tab in a real browser: previews, Stop, reload, visitors kept apart.

The engine is a fake one that waits where it is told to, so no test depends on how fast the machine is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from gradio.queueing import Event, Queue
from gradio.server_messages import EventMessage, ProcessCompletedMessage
from PIL import Image, ImageChops
from playwright.sync_api import Page, expect
from studio_page import Opened, Visit

from studio.ui.studio import Status

pytestmark = pytest.mark.browser

STAGE = "#create-stage .stage"
SEED = "#seed input, #seed textarea"


def ask(page: Page, prompt: str) -> None:
    """Type a prompt and press Ctrl+Enter."""
    page.fill("#prompt textarea", prompt)
    page.keyboard.press("Control+Enter")


def wait_for(page: Page, *states: str) -> str:
    """Wait until the stage is in one of `states` and return it."""
    page.wait_for_selector(", ".join(f'{STAGE}[data-state="{state}"]' for state in states))
    return page.get_attribute(STAGE, "data-state") or ""


def wait_for_step(page: Page, index: int) -> None:
    """Wait until the stage says that step `index` is done."""
    expect(page.locator(f"{STAGE} .stage-phase")).to_have_text(f"Step {index} of 20")


def phase(page: Page) -> str:
    return page.text_content(f"{STAGE} .stage-phase") or ""


@contextmanager
def late_endings(monkeypatch: pytest.MonkeyPatch, *, of: str) -> Iterator[list[Callable[[], object]]]:
    """Hold back what the streams of handler `of` say at their end, as a busy machine does, until this is left."""
    held: list[Callable[[], object]] = []
    send = Queue.send_message

    def send_or_hold(queue: Queue, event: Event, message: EventMessage) -> None:
        if isinstance(message, ProcessCompletedMessage) and event.fn.name == of:
            loop = asyncio.get_running_loop()
            held.append(lambda: loop.call_soon_threadsafe(send, queue, event, message))
        else:
            send(queue, event, message)

    monkeypatch.setattr(Queue, "send_message", send_or_hold)
    yield held
    monkeypatch.setattr(Queue, "send_message", send)
    for release in held:
        release()


def test_a_prompt_becomes_a_picture_with_at_least_three_different_previews_before_it(
    opened: Opened, visit: Visit
) -> None:
    page, seen, engine = visit(), set(), opened.engine
    engine.hold_at = 1
    ask(page, "a red apple")
    for step in (2, 8, 14, 20):
        engine.hold_at = step
        wait_for_step(page, step - 1)
        page.wait_for_function(f"() => Number(document.querySelector('{STAGE}').dataset.previews) > {len(seen)}")
        seen.add(page.eval_on_selector(f"{STAGE} .stage-tile canvas", "it => it.toDataURL()"))
        assert page.get_attribute(STAGE, "data-state") == "running"
        assert page.inner_text(".studio-status") == "At work"
    assert len(seen) >= 3
    engine.resume.set()
    wait_for(page, "finished")
    expect(page.locator(".studio-status")).to_have_text("Ready")
    image = page.locator(f"{STAGE} .stage-tile img")
    expect(image).to_be_visible()
    page.wait_for_function(f"() => document.querySelector('{STAGE} img').naturalWidth === 256")
    assert f"Seed {engine.seen[0].seed}" in phase(page)
    assert page.locator(f"{STAGE} .stage-frame").count() >= 3


@pytest.mark.thorough
def test_previews_leave_nothing_in_gradios_file_cache(opened: Opened, visit: Visit) -> None:
    """Others filled 25 to 85 GB of disk this way."""
    page = visit()
    ask(page, "a red apple")
    wait_for(page, "finished")
    cache = opened.studio.settings.cache_dir / "uploads"
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_the_downloaded_picture_is_the_gallerys_with_its_recipe_and_no_owner(
    opened: Opened, visit: Visit, tmp_path: Path
) -> None:
    page = visit()
    ask(page, "a red apple")
    wait_for(page, "finished")
    with page.expect_download() as download:
        page.click("#create-download")
    saved = tmp_path / "saved.png"
    download.value.save_as(saved)
    entry = opened.gallery.page(owner=opened.owner(page)).entries[0]
    mine = Image.open(saved)
    assert ImageChops.difference(mine.convert("RGB"), opened.gallery.open(entry.id).convert("RGB")).getbbox() is None
    assert "a red apple" in mine.text["parameters"]  # type: ignore[attr-defined]
    assert entry.recipe.owner not in saved.read_bytes().decode("latin-1"), "a copy for others says no owner"


def test_stop_is_acknowledged_in_the_middle_of_a_step_and_ends_the_run_with_it(opened: Opened, visit: Visit) -> None:
    page = visit()
    opened.engine.hold_at = 5
    ask(page, "a red apple")
    wait_for_step(page, 4)
    page.keyboard.press("Escape")
    expect(page.locator(f"{STAGE} .stage-phase")).to_have_text("Stopping after this step")
    expect(page.locator("#create-stop")).to_have_text("Stopping …")
    opened.engine.resume.set()
    wait_for(page, "cancelled")
    assert phase(page) == "Stopped at step 5"
    expect(page.locator("#create-stop")).to_be_disabled()
    expect(page.locator("#create-stop")).to_have_text("Stop")
    assert opened.gallery.count(owner=opened.owner(page)) == 0


def test_a_reloaded_page_takes_up_the_running_job_with_its_prompt(opened: Opened, visit: Visit) -> None:
    page = visit()
    opened.engine.hold_at = 5
    ask(page, "a lighthouse at night")
    wait_for_step(page, 4)
    job = page.get_attribute(STAGE, "data-job")
    page.reload()
    wait_for(page, "running")
    assert page.get_attribute(STAGE, "data-job") == job
    page.wait_for_selector(f"{STAGE}.has-preview")
    expect(page.locator("#prompt textarea")).to_have_value("a lighthouse at night")
    expect(page.locator("#create-stop")).to_be_enabled()
    opened.engine.resume.set()
    wait_for(page, "finished")
    assert len(opened.engine.seen) == 1


def test_a_closed_tab_does_not_cancel_its_job(opened: Opened, visit: Visit) -> None:
    page = visit()
    opened.engine.hold_at = 5
    ask(page, "a red apple")
    wait_for_step(page, 4)
    other = visit(of=page)
    page.close()
    opened.engine.resume.set()
    wait_for(other, "finished")
    assert opened.gallery.count(owner=opened.owner(other)) == 1


def test_another_visitor_neither_sees_nor_cancels_a_job_and_sees_their_own_place(opened: Opened, visit: Visit) -> None:
    mine, theirs = visit(), visit()
    opened.engine.hold_at = 5
    ask(mine, "mine")
    wait_for_step(mine, 4)
    theirs.reload()
    theirs.wait_for_selector(f"{STAGE}[data-state]")
    expect(theirs.locator("#create-stop")).to_be_disabled()
    ask(theirs, "theirs")
    wait_for(theirs, "queued")
    assert phase(theirs) == "Waiting: place 1 in the queue"
    theirs.keyboard.press("Escape")
    wait_for(theirs, "cancelled")
    assert phase(mine) == "Step 4 of 20"
    opened.engine.resume.set()
    wait_for(mine, "finished")
    picture = mine.locator(f"{STAGE} .stage-tile img").get_attribute("src")
    own, foreign = (page.request.get(f"{opened.address}/{picture}") for page in (mine, theirs))
    assert (own.status, foreign.status) == (200, 404)


def test_jobs_asked_for_while_one_runs_are_all_made_and_shown(
    opened: Opened, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = visit()
    opened.engine.hold_at = 2
    with late_endings(monkeypatch, of="generate") as ended:
        for prompt in ("one", "two", "three"):
            ask(page, prompt)
        expect(page.locator(f"{STAGE} .stage-aside")).to_contain_text("2 more waiting")
        wait_for_step(page, 1)
        opened.engine.hold_at = 6
        wait_for_step(page, 5)
        while len(ended) < 2:  # the second and the third click have handed their jobs over
            page.wait_for_timeout(20)
    page.wait_for_timeout(300)  # in which the endings arrive; they must change nothing
    assert phase(page) == "Step 5 of 20"
    expect(page.locator(f"{STAGE} .stage-aside")).to_contain_text("2 more waiting")
    opened.engine.resume.set()
    page.wait_for_function(
        f"""() => {{
            const value = document.querySelector('{STAGE}');
            return value.dataset.state === 'finished' && !value.querySelector('.stage-aside').textContent;
        }}"""
    )
    made = [request.prompt for request in opened.engine.seen]  # type: ignore[attr-defined]
    assert made == ["one", "two", "three"]


def test_what_is_wrong_is_said_beside_the_button_and_nothing_is_lost(opened: Opened, visit: Visit) -> None:
    page = visit()
    page.click("#create-generate")
    expect(page.locator(".notice:visible")).to_contain_text("Prompt is empty.")
    page.click("#advanced > button")
    page.fill(SEED, "ninety")
    ask(page, "a red apple")
    expect(page.locator(".notice:visible")).to_contain_text("Seed must be a whole number between 0 and 4294967295")
    expect(page.locator("#prompt textarea")).to_have_value("a red apple")
    assert opened.engine.seen == []


def test_a_failed_run_says_what_happened_and_what_to_do(visit: Visit) -> None:
    page = visit()
    ask(page, "out of memory")
    wait_for(page, "failed")
    expect(page.locator(f"{STAGE} .stage-message")).to_contain_text("There is not enough memory for 2048 × 2048.")
    expect(page.locator(f"{STAGE} .stage-message")).to_contain_text("Try 1024 × 1024.")
    expect(page.locator("#create-stop")).to_be_disabled()


@pytest.mark.thorough
def test_a_picture_of_a_batch_gives_its_own_seed_and_its_settings_make_it_again(opened: Opened, visit: Visit) -> None:
    page = visit()
    page.click("#advanced > button")
    page.fill(SEED, "41")
    page.get_by_label("number input for Pictures").fill("4")
    ask(page, "a red apple")
    wait_for(page, "finished")
    page.locator(f"{STAGE} .stage-tile button").nth(2).click()
    expect(page.locator(f"{STAGE} .stage-phase")).to_contain_text("Seed 43")
    page.click("#create-use-settings")
    expect(page.locator(SEED)).to_have_value("43")
    job = page.get_attribute(STAGE, "data-job")
    page.click("#create-generate")
    page.wait_for_selector(f'{STAGE}[data-state="finished"]:not([data-job="{job}"])')
    newest, *older = opened.gallery.each(owner=opened.owner(page))
    assert newest.sha256 == next(entry for entry in older if entry.seed == 43).sha256


@pytest.mark.thorough
def test_presets_set_single_values_and_a_value_set_by_hand_releases_its_preset(opened: Opened, visit: Visit) -> None:
    page = visit()
    page.get_by_text("Fine", exact=True).click()
    page.get_by_text("192 × 256", exact=True).click()
    page.click("#advanced > button")
    steps = page.get_by_label("number input for Steps")
    expect(steps).to_have_value("40")
    expect(page.get_by_label("number input for Width")).to_have_value("192")
    steps.fill("33")
    steps.press("Tab")
    expect(page.get_by_label("Fine")).not_to_be_checked()
    ask(page, "a red apple")
    wait_for(page, "finished")
    request = opened.engine.seen[0]
    assert (request.steps, request.scheduler, request.width, request.height) == (33, "euler", 192, 256)  # type: ignore[attr-defined]


def test_style_words_and_examples_fill_the_prompt(visit: Visit) -> None:
    page = visit()
    prompt = page.locator("#prompt textarea")
    page.get_by_role("button", name="two green bottles").click()
    expect(prompt).to_have_value("two green bottles")
    page.get_by_role("button", name="line art").click()
    expect(prompt).to_have_value("two green bottles, line art")
    page.get_by_role("button", name="line art").click()
    expect(prompt).to_have_value("two green bottles")
    prompt.fill("a red apple, Line Art, at night")
    page.get_by_role("button", name="line art").click()
    expect(prompt).to_have_value("a red apple, at night")


@pytest.mark.thorough
def test_style_words_clicked_in_one_go_all_count(opened: Opened, visit: Visit) -> None:
    """Nothing answers between two clicks of one script: a word that waits for the server would lose the other."""
    page = visit()
    page.fill("#prompt textarea", "a red apple")
    words = page.locator(".style-words .chip").all_text_contents()
    assert len(words) > 1
    page.evaluate("document.querySelectorAll('.style-words .chip').forEach((chip) => chip.click())")
    expect(page.locator("#prompt textarea")).to_have_value(", ".join(["a red apple", *words]))
    page.focus("#prompt textarea")
    page.keyboard.press("Control+Enter")
    wait_for(page, "finished")
    assert opened.engine.seen[0].prompt == ", ".join(["a red apple", *words])  # type: ignore[attr-defined]


def test_words_of_a_prompt_never_run_as_code(visit: Visit) -> None:
    """Gradio's HTML templates execute `${...}`; ours never see a user's words."""
    page, dialogs = visit(), []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    hostile = "${alert(1)} {{alert(2)}} <img src=x onerror=alert(3)> `alert(4)` </script><script>alert(5)</script>"
    ask(page, hostile)
    wait_for(page, "finished")
    page.get_by_role("tab", name="Gallery").click()
    page.locator(".gp-shelf .gp-tile").click()
    expect(page.locator(".gp-card-prompt")).to_have_text(hostile)
    assert dialogs == []


@pytest.mark.thorough
def test_the_steps_on_the_way_can_be_looked_at_again(visit: Visit) -> None:
    page = visit()
    ask(page, "a red apple")
    wait_for(page, "finished")
    frame = page.locator(f"{STAGE} .stage-frame").first
    frame.click()
    expect(page.locator(f"{STAGE} .stage-phase")).to_contain_text("Step ")
    frame.click()
    expect(page.locator(f"{STAGE} .stage-phase")).to_contain_text("Seed")


def test_the_status_line_says_what_the_engine_is_loading(opened: Opened, visit: Visit) -> None:
    opened.status[0] = Status(busy_with="loading torch", notice="Running on the CPU: no CUDA device was found.")
    page = visit()
    expect(page.locator(".studio-status")).to_have_text("loading torch")
    expect(page.locator(".studio-notice")).to_have_text("Running on the CPU: no CUDA device was found.")
    opened.status[0] = Status()
    expect(page.locator(".studio-status")).to_have_text("Ready")
    expect(page.locator(".studio-notice")).to_be_hidden()
