"""The gallery's viewer, comparison, family tree and replay in a real browser; settings and pictures sent to tabs."""

from __future__ import annotations

import pytest
from gallery_filling import family, make
from playwright.sync_api import Locator, Page, expect
from studio_page import Opened, Visit

from studio.gallery import Entry

pytestmark = pytest.mark.browser

TILES = ".gp-shelf .gp-tile"
VIEWER, LARGE, COMPARISON = "dialog.gp-viewer", "dialog.gp-viewer .gp-canvas img", "dialog.gp-comparison"


@pytest.fixture
def three(opened: Opened, visit: Visit) -> tuple[Page, list[Entry]]:
    """A page on the gallery, with "one", "two" and "three" in it, the last one newest."""
    page = visit()
    made = [
        make(opened.gallery, opened.owner(page), prompt, seed=n) for n, prompt in enumerate(["one", "two", "three"])
    ]
    page.get_by_role("tab", name="Gallery").click()
    expect(page.locator(TILES)).to_have_count(3)
    return page, made


def show_card(page: Page, place: int) -> Locator:
    page.locator(TILES).nth(place).click()
    expect(page.locator(".gp-side .gp-card")).to_be_visible()
    return page.locator(".gp-side")


@pytest.mark.thorough
def test_the_viewer_obeys_the_keyboard(opened: Opened, three: tuple[Page, list[Entry]]) -> None:
    page, made = three
    page.locator(TILES).first.dblclick()
    expect(page.locator(LARGE)).to_have_attribute("alt", "three")
    page.keyboard.press("ArrowRight")
    expect(page.locator(LARGE)).to_have_attribute("alt", "two")
    expect(page.locator(f"{VIEWER} .gp-place")).to_have_text("2 / 3")
    page.keyboard.press("s")
    expect(page.locator(f"{VIEWER} .is-star")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("i")
    expect(page.locator(f"{VIEWER} .gp-card-prompt")).to_have_text("two")
    page.keyboard.press("z")
    expect(page.locator(".gp-canvas.is-zoomed")).to_be_visible()
    page.keyboard.press("Delete")
    expect(page.locator(LARGE)).to_have_attribute("alt", "one")
    page.keyboard.press("Escape")
    expect(page.locator(VIEWER)).to_have_count(0)
    expect(page.locator(".gp-tile.is-chosen")).to_have_attribute("title", "one")
    assert [it.trashed for it in opened.gallery.entries([it.id for it in made])] == [False, True, False]
    assert opened.gallery.get(made[1].id).starred


def test_two_pictures_are_compared_by_a_slider_and_their_differences(three: tuple[Page, list[Entry]]) -> None:
    page, _ = three
    page.locator(TILES).nth(1).click(modifiers=["Control"])
    page.locator(TILES).nth(2).click(modifiers=["Control"])
    page.locator(".gp-selection").get_by_role("button", name="Compare").click()
    rows = page.locator(f"{COMPARISON} tr")
    expect(rows).to_have_count(3)
    assert rows.all_inner_texts() == ["Prompt\ttwo\tone", "Steps\t8\t7", "Seed\t1\t0"]
    cut = "element => parseFloat(element.style.getPropertyValue('--cut'))"
    wipe = page.locator(".gp-wipe")
    assert wipe.evaluate(cut) == 50
    page.keyboard.press("ArrowLeft")
    assert wipe.evaluate(cut) == 46
    box = wipe.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 40)
    page.mouse.up()
    assert wipe.evaluate(cut) == pytest.approx(90, abs=1)
    page.keyboard.press("ArrowUp")
    expect(page.locator(".gp-wipe .is-second")).to_have_attribute("alt", "three")
    page.keyboard.press("x")
    expect(page.locator(".gp-wipe .is-second")).to_have_attribute("alt", "two")


@pytest.mark.thorough
def test_the_words_that_differ_are_marked(visit: Visit) -> None:
    page = visit()
    pairs = [["a red apple, ink", "a green apple, ink"], ["红苹果", "青苹果"], ["", "new"]]
    marked = page.evaluate(
        """async (pairs) => {
          const script = new URL("studio/static/gallery_page/compare.js", document.baseURI).href;
          const { wordDifferences } = await import(script);
          const show = (nodes) => nodes.map((it) => (it.textContent ? `[${it.textContent}]` : it)).join("");
          return pairs.map((pair) => wordDifferences(...pair).map(show));
        }""",
        pairs,
    )
    assert marked == [["a [red] apple, ink", "a [green] apple, ink"], ["[红]苹果", "[青]苹果"], ["–", "[new]"]]


@pytest.mark.thorough
def test_the_family_tree_leads_through_the_tabs(opened: Opened, visit: Visit) -> None:
    page = visit()
    first, _second, _third = family(opened.gallery, opened.studio.pictures, opened.owner(page))
    page.get_by_role("tab", name="Gallery").click()
    card = show_card(page, 0)
    expect(card.locator(".gp-kin-place")).to_contain_text("Made from")
    card.get_by_role("button", name="Family tree").click()
    nodes = page.locator("dialog.gp-family .gp-node")
    expect(nodes).to_have_count(5)
    assert [it.split("\n")[-1] for it in nodes.all_inner_texts()] == [
        "Create",
        "Inpaint",
        "Style",
        "Mask",
        "Style picture",
    ]
    expect(page.locator(".gp-tree path")).to_have_count(4)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".gp-family-words")).to_have_text("a red apple")
    page.locator("dialog.gp-family").get_by_role("button", name="Open").click()
    expect(page.locator(LARGE)).to_have_attribute("src", f"{opened.address}/studio/pictures/{first.id}.png")


@pytest.mark.thorough
def test_a_picture_is_made_again_with_a_change_and_laid_beside_it(
    opened: Opened, three: tuple[Page, list[Entry]]
) -> None:
    page, _ = three
    card = show_card(page, 0)
    card.get_by_role("button", name="Make again with a change").click()
    box = page.locator("dialog.gp-replay")
    box.get_by_label("Prompt", exact=False).first.fill("three foxes")
    expect(box.locator("figcaption")).to_have_text("Changed: 1")
    box.get_by_role("button", name="Generate").click()
    expect(page.locator(f"{COMPARISON} tr")).to_have_count(1)
    expect(page.locator(f"{COMPARISON} mark")).to_have_text("foxes")
    request = opened.engine.seen[-1]
    assert (request.prompt, request.seed, request.steps) == ("three foxes", 2, 9)  # type: ignore[attr-defined]
    page.keyboard.press("Escape")
    expect(page.locator(TILES)).to_have_count(4)


@pytest.mark.thorough
def test_a_replay_that_fails_says_why_and_can_be_tried_again(three: tuple[Page, list[Entry]]) -> None:
    page, _ = three
    show_card(page, 0).get_by_role("button", name="Make again with a change").click()
    box = page.locator("dialog.gp-replay")
    box.locator("[name=prompt]").fill("out of memory")
    box.get_by_role("button", name="Generate").click()
    expect(box.locator("figcaption")).to_contain_text("Try 1024 × 1024.")
    box.locator("[name=steps]").fill("5000")
    box.get_by_role("button", name="Generate").click()
    expect(box.locator("figcaption")).to_contain_text("Steps must be a whole number between 1 and 150")


@pytest.mark.parametrize(
    ("button", "prompt", "seed", "steps"),
    [
        ("Use settings", "three", "2", "9"),
        ("Remix", "three", "77", "9"),
        ("Seed only", "my own", "2", "20"),
        ("Prompt only", "three", "77", "20"),
    ],
)
@pytest.mark.thorough
def test_settings_go_back_to_their_tab_whole_or_in_part(
    three: tuple[Page, list[Entry]], button: str, prompt: str, seed: str, steps: str
) -> None:
    page, _ = three
    page.get_by_role("tab", name="Create").click()
    page.fill("#prompt textarea", "my own")
    page.click("#advanced > button")
    page.fill("#seed input, #seed textarea", "77")
    page.get_by_role("tab", name="Gallery").click()
    show_card(page, 0).get_by_role("button", name=button, exact=True).click()
    expect(page.locator("#prompt textarea")).to_be_visible()
    expect(page.locator("#prompt textarea")).to_have_value(prompt)
    expect(page.locator("#seed input, #seed textarea")).to_have_value(seed)
    expect(page.get_by_label("number input for Steps")).to_have_value(steps)
