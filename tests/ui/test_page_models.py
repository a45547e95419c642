"""The Models tab in a real browser: the shelf, a card, getting a model over a line that breaks, adding, removing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from fake_engine import FakeEngine
from playwright.sync_api import Browser, Page, expect
from studio_page import CARD

from studio.gallery import Gallery, recorder
from studio.jobs import JobRunner
from studio.library.desk import ModelsDesk
from studio.pictures import PictureStore
from studio.settings import Settings
from studio.ui.blocks import FOR_GUESTS
from studio.ui.serve import serving
from studio.ui.studio import ModelCard, Studio
from tests.library.conftest import lora
from tests.library.hub_server import FakeHub, Repo, serving_hub

pytestmark = pytest.mark.browser


@dataclass
class Shelf:
    """A served studio with a hub beside it; `folder` is its own models."""

    address: str
    hub: FakeHub
    folder: Path
    outside: Path
    studio: Studio
    cards: list[ModelCard]


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """One LoRA "ink" that is the studio's own and one broken file; a hub with owner/oil, owner/many and owner/gated."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    folder, outside = tmp_path / "data" / "models", tmp_path / "outside"
    folder.mkdir(parents=True)
    outside.mkdir()
    (folder / "ink.safetensors").write_bytes(lora())
    (folder / "ink.toml").write_text('name = "Ink wash"\ntriggers = ["sumi"]\nlicence = "CC0"\n')
    (folder / "broken.safetensors").write_bytes(b"x")
    (outside / "chalk.safetensors").write_bytes(lora(8))
    settings = Settings(data_dir=tmp_path / "data", port=0, browser=False)
    engine = FakeEngine()
    with (
        serving_hub(
            owner__oil=Repo({"oil.safetensors": lora(2000)}),
            owner__many=Repo({"a.safetensors": lora(), "b.safetensors": lora(8)}),
            owner__pack=Repo({"large.safetensors": lora(2000), "small.safetensors": lora(8)}),
            owner__gated=Repo({"a.safetensors": lora()}, gated=True),
        ) as hub,
        Gallery(settings.gallery_dir, reserve_bytes=0) as gallery,
        JobRunner(engine.run, recorder(gallery)) as runner,
        closing(ModelsDesk(settings, endpoint=hub.address)) as desk,
    ):
        pictures = PictureStore(settings.data_dir / "pictures")
        cards = [CARD]
        studio = Studio(runner, gallery, pictures, settings, models=lambda: list(cards), extras={"models": desk})
        with serving(studio, settings) as address:
            yield Shelf(address, hub, folder, outside, studio, cards)


@pytest.fixture
def page(chromium: Browser, shelf: Shelf) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(shelf.address)
    page.wait_for_selector("#create-stage .stage[data-state]")
    page.get_by_role("tab", name="Models", exact=True).click()
    expect(page.locator(".mp-row").first).to_be_visible()
    yield page
    context.close()


def ask(page: Page, repo: str) -> None:
    page.get_by_label("owner/name").fill(repo)
    page.get_by_role("button", name="Look up").click()


@pytest.mark.thorough
def test_the_card_says_what_a_lora_is_and_puts_it_into_the_prompt(page: Page) -> None:
    page.locator('.mp-row[data-id="ink"]').click()
    card = page.locator(".mp-card")
    for words in ("Ink wash", "SD 1.x", "CC0", "sumi"):
        expect(card).to_contain_text(words)
    page.get_by_role("button", name="Check the files").click()
    expect(card.locator(".mp-sum")).to_have_text(re.compile("^[0-9a-f]{64}$"))
    expect(card).to_contain_text("without checksums")
    page.get_by_role("button", name="Add to the prompt").click()
    expect(page.locator("#prompt textarea")).to_have_value("<lora:ink:0.8> sumi")


@pytest.mark.thorough
def test_what_cannot_be_used_says_why_and_kinds_can_be_filtered(page: Page) -> None:
    page.get_by_role("button", name="Cannot be used").click()
    expect(page.locator(".mp-row")).to_have_count(1)
    page.locator(".mp-row").click()
    expect(page.locator(".mp-card .mp-problem")).to_contain_text("empty or cut off")


@pytest.mark.thorough
def test_a_model_is_downloaded_with_its_progress_and_appears(page: Page, shelf: Shelf) -> None:
    shelf.hub.cuts, shelf.hub.hold_after = [1_000_000], 3_000_000
    ask(page, "owner/oil")
    expect(page.locator(".mp-plan")).to_contain_text("1 file, 6 MB")
    page.get_by_role("button", name="Download", exact=True).click()
    expect(page.locator(".mp-transfer")).to_contain_text("of 6 MB")
    shelf.hub.resume.set()
    expect(page.locator('.mp-row[data-id="oil"]')).to_be_visible()
    expect(page.locator(".mp-transfer")).to_contain_text("Here now")
    assert (shelf.folder / "oil" / "oil.safetensors").read_bytes() == lora(2000)


@pytest.mark.thorough
def test_a_stopped_download_goes_on_as_itself_or_is_discarded(page: Page, shelf: Shelf) -> None:
    shelf.hub.hold_after = 2_000_000
    ask(page, "owner/pack")
    page.get_by_role("button", name="large.safetensors").click()
    page.get_by_role("button", name="Download", exact=True).click()
    assert shelf.hub.held.wait(60)
    transfer = page.locator(".mp-transfer")
    transfer.get_by_role("button", name="Stop").click()
    shelf.hub.resume.set()
    expect(transfer).to_contain_text("Stopped at")
    expect(transfer).to_contain_text("owner/pack · large.safetensors")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator('.mp-row[data-id="large"]')).to_be_visible()
    assert shelf.hub.asked[-1][0] == "large.safetensors" and shelf.hub.asked[-1][1] > 0
    shelf.hub.resume.clear()
    ask(page, "owner/oil")
    page.get_by_role("button", name="Download", exact=True).click()
    stop = transfer.get_by_role("button", name="Stop")
    stop.click()
    shelf.hub.resume.set()
    page.get_by_role("button", name="Discard").click()
    expect(transfer).to_have_count(1)
    assert not [path for path in shelf.folder.iterdir() if path.name.startswith(".")]


@pytest.mark.thorough
def test_one_of_several_files_is_asked_for_and_a_gated_one_explained(page: Page) -> None:
    ask(page, "owner/many")
    expect(page.locator(".mp-plan")).to_contain_text("holds several")
    page.get_by_role("button", name="b.safetensors").click()
    expect(page.locator(".mp-plan")).to_contain_text("1 file")
    ask(page, "owner/gated")
    expect(page.locator(".mp-plan")).to_contain_text("accept the conditions")
    ask(page, "owner/absent")
    expect(page.locator(".mp-plan .mp-problem")).to_contain_text("has no model owner/absent")


@pytest.mark.thorough
def test_a_file_of_this_computer_is_added_and_removed_after_asking(page: Page, shelf: Shelf) -> None:
    page.get_by_text("Add from this computer").click()
    page.get_by_label("Path of a").fill(str(shelf.outside / "chalk.safetensors"))
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".mp-card h3")).to_have_text("chalk")
    remove = page.locator(".mp-remove")
    remove.click()
    expect(remove).to_contain_text("for good?")
    assert (shelf.folder / "chalk.safetensors").is_file()
    remove.click()
    expect(page.locator('.mp-row[data-id="chalk"]')).to_have_count(0)
    assert not (shelf.folder / "chalk.safetensors").exists() and (shelf.outside / "chalk.safetensors").is_file()


def test_a_new_model_can_be_chosen_in_create_without_a_reload(page: Page, shelf: Shelf) -> None:
    shelf.cards.append(replace(CARD, id="new", title="Meadow", sizes=((320, 320),)))
    page.get_by_role("tab", name="Create", exact=True).click()
    page.click("#advanced > button")
    page.get_by_label("Model", exact=True).click()
    page.get_by_role("option", name="Meadow").click()
    expect(page.locator("#size")).to_contain_text("320 × 320")


@pytest.mark.thorough
def test_guests_have_no_models_tab_and_no_routes(shelf: Shelf) -> None:
    with urlopen(f"{shelf.address}/studio/models") as answer:
        assert answer.status == 200
    theirs = replace(shelf.studio, for_guests=True, extras={})
    with serving(theirs, shelf.studio.settings) as address, pytest.raises(HTTPError, match="404"):
        urlopen(f"{address}/studio/models")
    assert "models" not in {tab.id for tab in FOR_GUESTS}
