"""Downloads in the background: several files of one repository, and what goes on after the studio was closed."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from studio.errors import ModelError
from studio.library.desk import ModelsDesk
from studio.library.download import download
from studio.library.downloads import Downloads, State
from studio.library.hub import look
from studio.library.leftovers import leftovers
from studio.library.shelf import Shelf
from studio.library.sums import changed
from studio.settings import Settings
from studio.ui.models_page.routes import models_routes
from tests.library.hub_server import FakeHub

OIL, CHALK = "oil.safetensors", "more/chalk.safetensors"


@contextmanager
def desk_of(settings: Settings, hub: FakeHub) -> Iterator[ModelsDesk]:
    with closing(ModelsDesk(settings, endpoint=hub.address)) as desk:
        yield desk


def until(desk: ModelsDesk, phase: str, count: int = 1) -> list[State]:
    """Wait until `count` downloads are in `phase`, and return all."""
    pause = threading.Event()
    for _ in range(3000):
        states = desk.downloads.states()
        if sum(state.phase == phase for state in states) >= count:
            return states
        pause.wait(0.02)
    raise AssertionError(f"no {count} are {phase}: {states}")


def bytes_of(hub: FakeHub, file: str) -> bytes:
    return hub.repos["owner/pack"].files[file]


def test_two_files_of_a_repository_arrive_one_after_the_other(hub: FakeHub, settings: Settings) -> None:
    with desk_of(settings, hub) as desk:
        for count, file in enumerate((OIL, CHALK), 1):
            desk.download("owner/pack", file=file)
            until(desk, "done", count)
    shelf = Shelf(settings)
    for name, file in (("oil", OIL), ("chalk", CHALK)):
        item = shelf.find(name, "lora")
        assert item.path.read_bytes() == bytes_of(hub, file)
        assert item.source and item.source.repo == "owner/pack" and item.licence == "cc0-1.0"
        assert changed(item) == []
    shelf.remove(shelf.find("chalk"))
    assert [item.id for item in shelf.items() if item.is_own] == ["oil"]


def test_two_files_of_a_repository_arrive_at_once(hub: FakeHub, settings: Settings) -> None:
    hub.hold_after = 1
    with desk_of(settings, hub) as desk:
        states = [desk.download("owner/pack", file=file) for file in (OIL, CHALK)]
        assert states[0].id != states[1].id
        until(desk, "running", 2)
        assert desk.download("owner/pack", file=CHALK).id == states[1].id  # it runs already
        hub.resume.set()
        assert {state.file for state in until(desk, "done", 2)} == {OIL, CHALK}
    assert {item.id for item in Shelf(settings).items() if item.is_own} == {"oil", "chalk"}


def test_what_is_interrupted_goes_on_as_itself_after_a_restart(hub: FakeHub, settings: Settings) -> None:
    hub.hold_after = 10**6
    with desk_of(settings, hub) as desk:
        first = desk.download("owner/pack", file=OIL, variant="")
        pause = threading.Event()
        while desk.downloads.states()[0].bytes_done < 2**18:  # what is sent arrives later
            pause.wait(0.02)
        desk.downloads.stop(first.id)
        hub.resume.set()
    with desk_of(settings, hub) as desk:
        app = FastAPI()
        app.include_router(models_routes(desk))
        page = TestClient(app, headers={"origin": "http://testserver"})
        (left,) = page.get("/studio/models/downloads").json()["downloads"]
        assert (left["phase"], left["file"], left["variant"], left["revision"]) == ("stopped", OIL, "", first.revision)
        assert 0 < left["bytes_done"] < left["bytes_total"] == first.bytes_total
        asked = {name: left[name] for name in ("repo", "revision", "file", "variant")}
        answer = page.post("/studio/models/download", json=asked)
        assert answer.status_code == 200, answer.text
        (done,) = until(desk, "done")
        assert (done.file, done.variant) == (OIL, "")
    small = len(bytes_of(hub, "README.md"))
    assert hub.asked[-1] == (OIL, left["bytes_done"] - small) and hub.asked[-1][1] > 0
    assert Shelf(settings).find("oil").path.read_bytes() == bytes_of(hub, OIL)
    assert leftovers(settings.data_dir / "models") == []


@pytest.fixture
def two_variants(hub: FakeHub, sd_files: dict[str, bytes]) -> FakeHub:
    """`hub`, where owner/tiny_sd has each of its weights in half precision too."""
    halves = {name.replace(".safetensors", ".fp16.safetensors"): data for name, data in sd_files.items()}
    hub.repos["owner/tiny_sd"].files = {**sd_files, **{n: d for n, d in halves.items() if n.endswith(".safetensors")}}
    return hub


def test_the_variant_stays_after_a_restart(two_variants: FakeHub, settings: Settings) -> None:
    hub, folder = two_variants, settings.data_dir / "models"
    hub.hold_after = 1
    with desk_of(settings, hub) as desk:
        first = desk.download("owner/tiny_sd", variant="")
        assert hub.held.wait(60)
        with pytest.raises(ModelError, match=r'"tiny_sd" is being downloaded already: .*, full'):
            desk.download("owner/tiny_sd", variant="fp16")
        desk.downloads.stop(first.id)
        hub.resume.set()
    with desk_of(settings, hub) as desk:
        (left,) = desk.downloads.states()
        desk.download(left.repo, revision=left.revision, file=left.file, variant=left.variant)
        until(desk, "done")
    assert (folder / "tiny_sd" / "unet" / "diffusion_pytorch_model.safetensors").is_file()
    assert not list(folder.rglob("*.fp16.*"))


def test_another_variant_is_not_mixed_with_what_had_arrived(two_variants: FakeHub, tmp_path: Path) -> None:
    hub = two_variants
    plans = [look("owner/tiny_sd", variant=variant, endpoint=hub.address) for variant in ("", "fp16")]
    folder = download(plans[0], tmp_path / "whole", endpoint=hub.address)
    (tmp_path / "models").mkdir()
    place = Path(shutil.move(folder, tmp_path / "models" / ".owner--tiny_sd.download"))
    (place / "plan.json").write_text(f'{{"repo": "owner/tiny_sd", "revision": "{plans[0].revision}"}}')
    folder = download(plans[1], tmp_path / "models", endpoint=hub.address)
    weights = [path.name for path in folder.rglob("*.safetensors")]
    assert weights and all(".fp16." in name for name in weights)


def test_what_is_discarded_is_gone_from_the_disk(hub: FakeHub, settings: Settings) -> None:
    folder = settings.data_dir / "models"
    hub.hold_after = 10**6
    with desk_of(settings, hub) as desk:
        first = desk.download("owner/pack", file=OIL)
        assert hub.held.wait(60)
        with pytest.raises(ModelError, match="Stop it first"):
            desk.downloads.discard(first.id)
        desk.downloads.stop(first.id)
        hub.resume.set()
        until(desk, "stopped")
        assert [path.name for path in folder.iterdir()] == [".owner--pack--oil.download"]
        desk.downloads.discard(first.id)
        assert not desk.downloads.states() and not list(folder.iterdir())


def test_a_file_that_came_with_its_whole_repository_is_not_fetched_twice(hub: FakeHub, tmp_path: Path) -> None:
    download(look("owner/ink", endpoint=hub.address), tmp_path, endpoint=hub.address)
    with pytest.raises(ModelError, match=r'already a "ink/ink\.safetensors"'):
        download(look("owner/ink", file="ink.safetensors", endpoint=hub.address), tmp_path, endpoint=hub.address)


def test_what_another_version_left_behind_is_not_listed_and_still_goes_on(hub: FakeHub, tmp_path: Path) -> None:
    place = tmp_path / ".owner--big.download"
    place.mkdir()
    plan = look("owner/big", endpoint=hub.address)
    (place / "plan.json").write_text(f'{{"repo": "owner/big", "revision": "{plan.revision}"}}')
    (place / "big.safetensors.part").write_bytes(hub.repos["owner/big"].files["big.safetensors"][:5000])
    downloads = Downloads(tmp_path, endpoint=hub.address)
    assert downloads.states() == []
    with pytest.raises(ModelError, match="being downloaded already"):
        hub.hold_after = 1
        downloads.start(plan)
        downloads.start(replace(plan, revision="f" * 40))
    hub.resume.set()
    while not downloads.states()[0].is_over:
        threading.Event().wait(0.02)
    downloads.close()
    assert hub.asked == [("big.safetensors", 5000)]
