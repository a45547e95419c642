"""The Enhance tab in a real browser, on the real engine: a larger picture, a film between two prompts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from real_studio import real_studio
from safetensors.torch import save_file
from served import example_picture

from studio.gallery import Gallery
from tests.engine.tiny import save_sdxl

pytestmark = pytest.mark.browser

STAGE = "#enhance-stage .stage"


@pytest.fixture
def enhance(tmp_path: Path, chromium: Browser) -> Iterator[tuple[Page, Gallery]]:
    """The tab, opened; beside the model lie one of SDXL's shape and an autoencoder called "soft"."""
    save_sdxl(tmp_path / "data/models/tiny-xl")
    AutoencoderKL(block_out_channels=(8,), norm_num_groups=8).save_pretrained(tmp_path / "data/models/VAE/soft")
    with real_studio(tmp_path, pause_seconds=0) as (address, _, gallery):
        page = chromium.new_page()
        page.set_default_timeout(120_000)
        page.goto(address)
        page.get_by_role("tab", name="Enhance").click()
        page.wait_for_selector(STAGE)
        yield page, gallery
        page.context.close()


def test_a_picture_is_made_larger_and_without_one_the_page_says_what_is_missing(
    enhance: tuple[Page, Gallery], tmp_path: Path
) -> None:
    page, gallery = enhance
    page.click("#enhance-generate")
    page.get_by_text("Choose the picture to enlarge.").first.wait_for()
    with page.expect_file_chooser() as chooser:
        page.locator("#enhance-source").get_by_text("Open").first.click()
    chooser.value.set_files(example_picture(tmp_path))
    page.wait_for_selector("#enhance-source .well-tile")
    assert not page.is_visible("#enhance-strength"), "plain enlarging has nothing to set"
    page.click("#enhance-advanced > button")
    page.click("#enhance-vae input")
    page.locator("#enhance-vae").get_by_role("option", name="soft").click()
    follow_the_models(page, tmp_path / "data/models")
    page.click("#enhance-generate")
    page.wait_for_selector(f'{STAGE}[data-state="finished"]')
    assert gallery.page().entries[0].recipe.single.model_dump()["vae"] == "soft"
    assert gallery.open(gallery.page().entries[0].id).size == (640, 480)
    page.wait_for_selector("#enhance-stage .compare")
    page.click("#enhance-detail-result")
    page.wait_for_selector("#inpaint-canvas canvas")
    expect(page.locator("#inpaint-strength input[type=number]")).to_have_value("0.4")
    expect(page.locator("#inpaint-canvas")).to_contain_text("640 × 480")


def follow_the_models(page: Page, models: Path) -> None:
    """An upscaler that has come is offered once the tab is opened again; a model brings its schedulers and sizes."""
    assert not page.is_visible("#enhance-upscaler")
    (models / "ESRGAN").mkdir()
    weights = {"model.0.weight": torch.zeros(64, 3, 3, 3), "model.1.sub.0.RDB1.conv1.0.weight": torch.zeros(32)}
    save_file(weights, models / "ESRGAN/4x-new.safetensors")
    page.get_by_role("tab", name="Create").click()
    page.get_by_role("tab", name="Enhance").click()
    page.click("#enhance-upscaler input")
    page.locator("#enhance-upscaler").get_by_role("option", name="4x-new").wait_for()
    page.keyboard.press("Escape")
    own = page.locator("#walk-size label").first
    expect(own).to_have_text("64 × 64")
    page.click("#enhance-model input")
    page.locator("#enhance-model").get_by_role("option", name="tiny-xl").click()
    expect(own).to_have_text("128 × 128")
    page.click("#enhance-model input")
    page.locator("#enhance-model").get_by_role("option", name="tiny", exact=True).click()
    expect(own).to_have_text("64 × 64")


@pytest.mark.thorough
def test_a_film_between_two_prompts_plays_in_the_page(enhance: tuple[Page, Gallery], tmp_path: Path) -> None:
    page, gallery = enhance
    page.fill("#walk-prompt textarea", "a red apple")
    page.fill("#walk-to textarea", "a green pear")
    page.locator("#walk-frames input[type=number]").fill("3")
    page.locator("#enhance-walk label", has_text="GIF").click()
    page.click("#walk-go")
    page.wait_for_selector(".film-player img")
    with page.expect_download() as download:
        page.click(".film-player a")
    assert Image.open(download.value.path()).n_frames == 3
    assert not gallery.page().entries, "a film is a file, not a picture"
