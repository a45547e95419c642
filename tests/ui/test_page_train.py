"""The Train tab in a real browser, with a child process that only pretends to train."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from diffusers import VQModel
from fake_engine import FakeEngine
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from served import watch_errors
from studio_page import CARD

from studio.gallery import Gallery, recorder
from studio.jobs import JobRunner
from studio.pictures import PictureStore
from studio.settings import Settings
from studio.training.runs import Runs
from studio.ui.blocks import FOR_GUESTS
from studio.ui.serve import serving
from studio.ui.studio import Studio
from studio.ui.tabs.train import TrainDesk

pytestmark = pytest.mark.browser

CHILD = """
import json, pathlib, sys, time
from PIL import Image
run = pathlib.Path(sys.argv[1])
(run / "grids").mkdir(exist_ok=True)
steps = 8 if "probe" in (run / "order.json").read_text() else 150
for step in range(1, steps + 1):
    (run / "alive").touch()
    with (run / "log.jsonl").open("a") as log:
        line = {"step": step, "seconds": 2.0 * step, "seconds_left": 2 * (steps - step), "psnr": 18 + step / 20}
        log.write(json.dumps(line) + "\\n")
    if step % 20 == 4:
        Image.new("RGB", (320, 80), (200, step, 90)).save(run / "grids" / f"{step:07d}.png")
    if (run / "STOP").exists():
        break
    time.sleep(0.1)
(run / "export").mkdir(exist_ok=True)
(run / "export" / "config.json").write_text("{}")
(run / "alive").unlink()
"""


@dataclass
class Opened:
    """A studio with a Train tab."""

    address: str
    studio: Studio
    folder: Path


@pytest.fixture(scope="module")
def opened_train(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """The owner's page."""
    folder = tmp_path_factory.mktemp("train")
    settings = Settings(data_dir=folder, port=0, browser=False)
    (folder / "child.py").write_text(CHILD)
    base = folder / "base"
    VQModel(block_out_channels=(8,), norm_num_groups=4, num_vq_embeddings=8).save_pretrained(base / "vqvae")
    runs = Runs(
        folder / "training", folder / "models", command=lambda run: [sys.executable, str(folder / "child.py"), str(run)]
    )
    desk = TrainDesk(runs, lambda kind: {"base": base} if kind == "codebook" else {})
    with (
        Gallery(settings.gallery_dir, reserve_bytes=0) as gallery,
        JobRunner(FakeEngine().run, recorder(gallery)) as runner,
    ):
        pictures = PictureStore(folder / "pictures")
        studio = Studio(runner, gallery, pictures, settings, models=lambda: [CARD], extras={"train": desk})
        with serving(studio, settings) as address:
            yield Opened(address, studio, folder)


@pytest.fixture
def tab(opened_train: Opened, chromium: Browser) -> Iterator[Page]:
    """The Train tab, whose page must log no error."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(120_000)
    errors = watch_errors(page)
    page.goto(opened_train.address)
    page.get_by_role("tab", name="Train").click()
    page.wait_for_selector("#train-runs .runs")
    yield page
    assert errors == []
    context.close()


def choose(page: Page, folder: Path, count: int) -> None:
    files = []
    for number in range(count):
        path = folder / f"own-{number}.png"
        Image.new("RGB", (40, 30), (30 * number, 200 - 20 * number, 90)).save(path)
        files.append(path)
    page.set_input_files("#train-pictures .well-file", files)
    expect(page.locator("#train-pictures .well-tile")).to_have_count(count)


def test_a_run_is_measured_begun_watched_stopped_and_used(opened_train: Opened, tab: Page) -> None:
    expect(tab.locator(".runs")).to_contain_text("No runs yet")
    expect(tab.locator(".runs-times")).to_contain_text("Not measured")
    choose(tab, opened_train.folder, 6)
    tab.click("#train-measure")
    expect(tab.locator(".runs-times")).to_contain_text("Short about 5 min, Standard about 17 min, Long about 67 min")
    tab.fill("#train-name input, #train-name textarea", "My harbour")
    tab.locator("#train-effort label", has_text="Short").click()
    tab.click("#train-start")
    run = tab.locator('.run[data-run="My harbour"]')
    expect(run.locator(".run-chart")).to_have_count(1)
    expect(run.locator(".run-samples")).to_be_visible()
    run.locator("[data-action=stop]").click()
    expect(run).to_have_attribute("data-phase", "stopped")
    run.locator("[data-action=use]").click()
    expect(tab.locator(".runs-note")).to_contain_text("among the models now")
    assert (opened_train.folder / "models" / "My harbour" / "vqvae" / "config.json").is_file()


@pytest.mark.thorough
def test_too_few_pictures_are_refused_in_plain_words(opened_train: Opened, tab: Page) -> None:
    tab.fill("#train-name input, #train-name textarea", "Too few")
    tab.click("#train-start")
    expect(tab.locator("#tab-train .notice, .notice:visible")).to_contain_text("Give 5 or more.")


@pytest.mark.thorough
def test_guests_have_neither_the_tab_nor_its_routes(opened_train: Opened) -> None:
    assert "train" not in [tab.id for tab in FOR_GUESTS]
    theirs = replace(opened_train.studio, for_guests=True)
    own_port = opened_train.studio.settings.model_copy(update={"port": 0})
    with serving(theirs, own_port) as address:
        page = urllib.request.urlopen(address).read().decode()
        assert "train-start" not in page
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{address}/studio/training")
        assert refused.value.code == 404
    assert urllib.request.urlopen(f"{opened_train.address}/studio/training").status == 200
