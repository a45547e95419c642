"""The guests' studio: behind the gate, own pictures only, and up even when there is no public link."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image

from studio.events import Event, Finished
from studio.gallery import Gallery, recorder
from studio.jobs import JobRunner
from studio.pictures import PictureStore
from studio.requests import Request, TextToImage
from studio.settings import load_settings
from studio.share import Share, open_share
from studio.sharing.tunnel import NoTunnel
from studio.ui.studio import Studio

HTML = {"accept": "text/html"}


def paint(request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
    yield Finished((Image.new("RGB", (64, 64), "teal"),), (1,), 0.0)


def no_tunnel(port: int) -> str:
    raise NoTunnel("No public link: no network.", "Use --listen.")


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    settings = load_settings({"data_dir": tmp_path, "passphrase": "four small words"})
    with Gallery(settings.gallery_dir) as gallery, JobRunner(paint, recorder(gallery)) as runner:
        pictures = PictureStore(tmp_path / "pictures")
        yield Studio(runner, gallery, pictures, settings, models=lambda: [], sees=lambda session: None)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def share(studio: Studio, said: list[str]) -> Iterator[Share]:
    with open_share(studio, studio.settings, announce=said.append, tunnel=no_tunnel) as share:
        yield share


@contextmanager
def guest(share: Share) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=share.local, timeout=60) as client:
        assert client.post("/enter", data={"secret": share.passphrase}).status_code == 303
        yield client


def test_without_a_link_the_reason_is_said_and_the_guests_page_is_up(share: Share, said: list[str]) -> None:
    assert said == ["No public link: no network. Use --listen."]
    with guest(share) as client:
        assert "Tessera" in client.get("/", headers=HTML).text


def test_every_route_of_the_guests_app_is_shut_without_the_passphrase(share: Share) -> None:
    paths = [
        "/",
        "/config",
        "/gradio_api/info",
        "/gradio_api/queue/data",
        "/studio/status",
        "/studio/static/page/page.js",
    ]
    with httpx.Client(base_url=share.local, timeout=60) as stranger:
        assert {stranger.get(path).status_code for path in paths} == {401}
        assert stranger.post("/gradio_api/queue/join", json={}).status_code == 401


def test_a_guest_sees_nobody_elses_pictures(share: Share, studio: Studio) -> None:
    job = studio.runner.submit(TextToImage(prompt="the owner's"), owner="the owner")
    ending = job.result(timeout_seconds=30)
    assert isinstance(ending, Finished)
    with guest(share) as client:
        assert client.get(f"/studio/pictures/{ending.records[0]}.png").status_code == 404
        assert client.get(f"/studio/thumbnails/{ending.records[0]}").status_code == 404
        assert client.get("/studio/codes/models").status_code == 404


def test_the_link_and_the_passphrase_are_announced(studio: Studio, said: list[str]) -> None:
    with open_share(studio, studio.settings, announce=said.append, tunnel=lambda port: "https://abc.example") as share:
        assert share.public == "https://abc.example"
        assert "https://abc.example" in said[0]
        assert "four small words" in said[0]
        forwarded = {"host": "abc.example", "x-forwarded-proto": "https"}
        assert httpx.get(f"{share.local}/enter", headers=forwarded, timeout=60).status_code == 200


def test_when_the_share_ends_so_do_its_cookies(studio: Studio, said: list[str]) -> None:
    with open_share(studio, studio.settings, announce=said.append, tunnel=no_tunnel) as share, guest(share) as client:
        assert client.get("/studio/status").status_code == 200
        share.guests.end_all()
        assert client.get("/studio/status").status_code == 401
