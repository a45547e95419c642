"""Prompt craft in a real browser: tokens, forecast, styles, history, grids, batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from craft_studio import Craft, craft_studio
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect
from served import watch_errors

from studio.requests import TextToImage

pytestmark = pytest.mark.browser

Open: TypeAlias = Callable[..., Page]
FINISHED = '#create-stage .stage[data-state="finished"]'


@pytest.fixture(scope="module")
def craft(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Craft]:
    with craft_studio(tmp_path_factory.mktemp("craft")) as served:
        yield served


@pytest.fixture
def visitor(chromium: Browser, craft: Craft) -> Iterator[Open]:
    contexts: list[BrowserContext] = []
    craft.settle()

    def open_page(*, width: int = 1280, **look: object) -> Page:
        contexts.append(chromium.new_context(viewport={"width": width, "height": 900}, **look))  # type: ignore[arg-type]
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.goto(craft.address)
        page.wait_for_selector("#create-stage .stage[data-state]")
        page.wait_for_selector("#prompt-line .prompt-line")
        return page

    yield open_page
    for context in contexts:
        context.close()
    craft.settle()


def write(page: Page, prompt: str) -> None:
    page.fill("#prompt textarea", prompt)


def generate(page: Page, prompt: str) -> None:
    write(page, prompt)
    press_generate(page)


def press_generate(page: Page) -> None:
    """Generate, and wait for this job's end: the stage may still show an earlier one that has ended."""
    before = page.locator("#create-stage .stage").get_attribute("data-job") or ""
    page.click("#create-generate")
    page.wait_for_selector(f'{FINISHED}:not([data-job="{before}"])')


def fold(page: Page, name: str) -> None:
    page.click(f"#{name} > button")


def upload(page: Page, button: str, path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.click(f"#{button}")
    chooser.value.set_files(path)


def choose(page: Page, box: str, title: str) -> None:
    page.click(f"#{box} input")
    page.get_by_role("option", name=title, exact=True).last.click()  # a list that closes may still be there
    expect(page.get_by_role("option")).to_have_count(0)


def last(craft: Craft) -> TextToImage:
    request = craft.engine.seen[-1]
    assert isinstance(request, TextToImage)
    return request


@pytest.mark.thorough
def test_tokens_are_counted_while_writing(visitor: Open) -> None:
    page = visitor()
    errors = watch_errors(page)
    write(page, "a (red:1.3) apple")
    expect(page.locator("#prompt-line .tokens")).to_have_text("3 of 75 tokens")
    write(page, "apple " * 80)
    expect(page.locator("#prompt-line .tokens")).to_have_text("80 tokens in 2 parts")
    write(page, "a {red|blue} apple, __colour__")
    expect(page.locator("#prompt-line .syntax")).to_have_text("Random: {red|blue}, __colour__")
    assert errors == []


@pytest.mark.thorough
def test_the_forecast_comes_from_past_runs_and_offers_what_fits(visitor: Open, craft: Craft) -> None:
    page = visitor()
    generate(page, "a red apple")
    line = page.locator("#forecast .forecast")
    expect(line).to_have_text("About 10 s · 1.0 GB of 4.0 GB free")
    fold(page, "advanced")
    page.fill('#advanced input[aria-label*="Steps"][type="number"]', "40")
    page.keyboard.press("Enter")
    expect(line).to_have_text("About 20 s · 1.0 GB of 4.0 GB free")
    for side in ("Width", "Height"):
        page.fill(f'#advanced input[aria-label*="{side}"][type="number"]', "1024")
        page.keyboard.press("Enter")
    expect(line).to_contain_text("This needs about 16.0 GB; 4.0 GB is free.")
    page.get_by_role("button", name="Use 512 × 512").click()
    expect(line).to_contain_text("4.0 GB of 4.0 GB free")
    press_generate(page)
    assert (last(craft).width, last(craft).height) == (512, 512)


@pytest.mark.thorough
def test_a_forecast_says_the_place_in_the_queue(visitor: Open, craft: Craft) -> None:
    page = visitor()
    generate(page, "a red apple")
    craft.engine.hold_at = 1
    page.click("#create-generate")
    page.click("#create-generate")
    expect(page.locator("#forecast .forecast")).to_contain_text("place 2 in the queue")
    craft.engine.hold_at = 0
    craft.engine.resume.set()


@pytest.mark.thorough
def test_styles_stack_are_imported_and_get_pictures(visitor: Open, craft: Craft, tmp_path: Path) -> None:
    page = visitor()
    errors = watch_errors(page)
    fold(page, "style-fold")
    theirs = tmp_path / "styles.csv"
    theirs.write_text("name,prompt,negative_prompt\nWoodcut of mine,woodcut of {prompt},photo\n", encoding="utf-8-sig")
    upload(page, "styles-import", theirs)
    page.fill("#style-shelf input", "woodcut of mine")
    page.locator("#style-shelf .style-card:visible").click()
    page.fill("#style-shelf input", "")
    page.get_by_role("button", name="Mosaic").click()
    expect(page.locator("#prompt-line .syntax")).to_have_text("Styles: Woodcut of mine + Mosaic")
    generate(page, "a cat")
    assert [style.name for style in last(craft).styles] == ["Woodcut of mine", "Mosaic"]
    assert last(craft).styles[0].negative_prompt == "photo"
    assert last(craft).prompt == "a cat"
    page.click("#style-picture")
    expect(page.locator(".notice")).to_contain_text("Choose the one style")
    page.get_by_role("button", name="Mosaic").click()
    page.click("#style-picture")
    picture = page.locator('.style-card[aria-pressed="true"] img')
    expect(picture).to_be_visible()
    assert picture.evaluate("it => it.decode().then(() => it.naturalWidth)") == 192
    assert errors == []


@pytest.mark.thorough
def test_a_style_that_is_gone_is_put_into_the_prompt(visitor: Open, craft: Craft) -> None:
    page = visitor()
    fold(page, "style-fold")
    page.get_by_role("button", name="Mosaic").click()
    generate(page, "a dog")
    write(page, "something else")
    page.get_by_role("button", name="Mosaic").click()
    page.click("#create-use-settings")
    expect(page.locator("#prompt textarea")).to_have_value("a dog")
    expect(page.locator('.style-card[aria-pressed="true"]')).to_have_text("MMosaic")


@pytest.mark.thorough
def test_the_history_is_searched_and_gone_through_by_keys(visitor: Open, craft: Craft) -> None:
    page = visitor()
    for prompt in ("a red apple", "two green bottles"):
        generate(page, prompt)
    page.focus("#prompt textarea")
    page.keyboard.press("Alt+ArrowUp")  # opens the history; what was just used is in the prompt already
    taken = page.locator(".history-take")
    expect(page.locator("#prompt textarea")).to_have_value("a red apple")
    expect(taken).to_have_text(["two green bottles", "a red apple"])
    page.fill("#prompt-history input", "appl red")
    expect(taken).to_have_text(["a red apple"])
    page.fill("#prompt-history input", "")
    expect(taken).to_have_count(2)
    page.focus("#prompt textarea")
    page.keyboard.press("Alt+ArrowDown")
    expect(page.locator("#prompt textarea")).to_have_value("two green bottles")
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator("#prompt textarea")).to_have_value("a red apple")
    page.locator(".history-list li").first.hover()
    page.get_by_role("button", name="Forget this prompt").first.click()
    expect(taken).to_have_text(["a red apple"])
    other = visitor()
    fold(other, "history-fold")
    expect(other.locator(".craft-empty").first).to_be_visible()
    expect(other.locator(".history-take")).to_have_count(0)


@pytest.mark.thorough
def test_a_grid_is_made_stopped_and_gone_on_with(visitor: Open, craft: Craft) -> None:
    page = visitor()
    errors = watch_errors(page)
    write(page, "a red apple")
    fold(page, "series-fold")
    choose(page, "axis-x", "Prompt words")
    page.fill("#axis-x-values textarea", "red, green, blue")
    choose(page, "axis-y", "Steps")
    page.fill("#axis-y-values textarea", "8, 9")
    expect(page.locator("#grid-size")).to_contain_text("6 pictures")
    page.fill("#axis-y-values textarea", "8, 900")
    expect(page.locator(".series-size.is-wrong")).to_contain_text("Steps must be")
    page.fill("#axis-y-values textarea", "8, 9")
    craft.engine.hold_at = 9
    page.click("#make-grid")
    item = page.locator(".series-item")
    expect(item.locator(".series-state")).to_contain_text("3 of 6")
    item.get_by_role("button", name="Stop").click()
    craft.engine.resume.set()
    craft.engine.hold_at = 0
    expect(item).to_have_attribute("data-state", "open")
    item.get_by_role("button", name="Go on").click()
    expect(item).to_have_attribute("data-state", "complete")
    expect(item.locator(".series-state")).to_contain_text("6 of 6")
    made = [(request.prompt, request.steps) for request in craft.engine.seen]  # type: ignore[attr-defined]
    assert made[:3] == [("a red apple", 8), ("a green apple", 8), ("a blue apple", 8)]
    assert len(set(made)) == 6
    item.locator(".series-picture").click()
    sheet = page.locator("dialog img")
    expect(sheet).to_be_visible()
    assert sheet.evaluate("it => it.decode().then(() => it.naturalWidth)") > 3 * 256
    assert errors == []


@pytest.mark.thorough
def test_a_series_is_there_again_after_a_reload_and_nobody_elses(visitor: Open, craft: Craft, tmp_path: Path) -> None:
    page = visitor()
    fold(page, "series-fold")
    prompts = tmp_path / "night.txt"
    prompts.write_text('a moon\n# not this\n--prompt "a star" --steps 5\n', encoding="utf-8")
    upload(page, "batch-file", prompts)
    item = page.locator(".series-item")
    expect(item).to_have_attribute("data-state", "complete")
    assert [(r.prompt, r.steps) for r in craft.engine.seen] == [("a moon", 20), ("a star", 5)]  # type: ignore[attr-defined]
    page.reload()
    fold(page, "series-fold")
    expect(item.locator(".series-title")).to_have_text("night")
    other = visitor()
    fold(other, "series-fold")
    expect(other.locator(".series-item")).to_have_count(0)
    item.get_by_role("button", name="Remove from this list").click()
    expect(item).to_have_count(0)


@pytest.mark.thorough
def test_a_file_that_is_no_batch_says_why(visitor: Open, tmp_path: Path) -> None:
    page = visitor()
    fold(page, "series-fold")
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps([{"prompt": "x", "steps": 0}]))
    upload(page, "batch-file", bad)
    expect(page.locator(".notice")).to_contain_text("Entry 1: Steps must be")


def test_a_variation_is_asked_for(visitor: Open, craft: Craft) -> None:
    page = visitor()
    fold(page, "advanced")
    page.fill('#variation-strength input[type="number"]', "0.25")
    page.keyboard.press("Enter")
    page.fill("#variation-seed textarea, #variation-seed input", "77")
    generate(page, "a red apple")
    assert (last(craft).variation_strength, last(craft).variation_seed) == (0.25, 77)


@pytest.mark.thorough
def test_a_control_picture_is_asked_for_and_comes_back_with_the_settings(
    visitor: Open, craft: Craft, tmp_path: Path
) -> None:
    page, drawn = visitor(), Image.new("RGB", (40, 30), "white")
    drawn.save(tmp_path / "drawn.png")
    fold(page, "control-fold")
    expect(page.locator("#control-fold .craft-empty").first).to_contain_text("no ControlNet yet")
    page.set_input_files("#control-picture .well-file", tmp_path / "drawn.png")
    tile = page.locator("#control-picture .well-tile")
    expect(tile).to_have_count(1)
    page.click("#control-prepare label:has-text('Inverted')")
    page.fill('#control-scale input[type="number"]', "0.7")
    page.keyboard.press("Enter")
    fold(page, "control-2")
    second = page.locator("#control2-picture .well-tile")
    page.set_input_files("#control2-picture .well-file", tmp_path / "drawn.png")
    expect(second).to_have_count(1)
    page.fill('#control2-scale input[type="number"]', "0.4")
    page.keyboard.press("Enter")
    generate(page, "a red apple")
    request = last(craft)
    assert (request.control_preprocessor, request.control_scale) == ("invert", 0.7)
    assert [(use.preprocessor, use.scale, use.end) for use in request.more_controls] == [("none", 0.4, 1)]
    assert craft.studio.pictures.get(request.control).size == (40, 30)
    for picture in ("#control-picture", "#control2-picture"):
        page.click(f"{picture} .well-tile button")
    expect(tile).to_have_count(0)
    page.click("#create-use-settings")
    expect(tile).to_have_count(1)
    expect(second).to_have_count(1)


@pytest.mark.thorough
def test_all_of_it_fits_a_phone_and_speaks_chinese(visitor: Open) -> None:
    page = visitor(width=390, locale="zh-CN")
    write(page, "a red apple")
    for name in ("style-fold", "control-fold", "history-fold", "series-fold"):
        fold(page, name)
    expect(page.locator("#prompt-line .tokens")).to_have_text("3 / 75 个词元")
    expect(page.locator("#make-grid")).to_have_text("生成对比图")
    expect(page.locator("#history-fold")).to_contain_text("提示词历史")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
