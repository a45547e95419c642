"""A studio with a share and a quick engine, for the tests of what guests can and cannot do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from PIL import Image

from studio.events import Event, Finished, Step
from studio.gallery import Gallery, recorder
from studio.jobs import JobRunner
from studio.pictures import PictureStore
from studio.requests import Request, TextToImage
from studio.settings import load_settings
from studio.share import Sharing
from studio.sharing.safety import filtered
from studio.sharing.tunnel import NoTunnel
from studio.ui.studio import ModelCard, Quality, Status, Studio

CARD = ModelCard(
    id="a-model",
    title="A model",
    sizes=((256, 256),),
    schedulers={"euler": "Euler"},
    qualities={"standard": Quality(20, 4.0, "euler")},
)
PASSPHRASE = "four small words"


class Engine:
    """Makes a plain picture whose colour is the seed; holds every job until `go` is set."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()

    def run(self, request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
        yield Step(1, 2)
        while not self.go.wait(0.01):
            if should_stop():
                return
        seed = getattr(request, "seed", 0)
        yield Finished((Image.new("RGB", (64, 64), colour(seed)),), (seed,), 0.0)


def colour(seed: int) -> tuple[int, int, int]:
    """Return the colour of the picture with this seed."""
    return seed % 256, seed // 256 % 256, seed // 65536 % 256


def no_tunnel(port: int) -> str:
    raise NoTunnel("No public link: no network.")


def objects(image: Image.Image, request: Request) -> str:
    """A picture filter: nothing secret."""
    return "not for guests" if "secret" in getattr(request, "prompt", "") else ""


@contextmanager
def opened(folder: Path, engine: Engine) -> Iterator[Studio]:
    """Yield the owner's studio in `folder`; many jobs may wait."""
    settings = load_settings({"data_dir": folder, "passphrase": PASSPHRASE, "guest_port": 0})
    with (
        Gallery(settings.gallery_dir, reserve_bytes=0) as gallery,
        JobRunner(engine.run, filtered(recorder(gallery), objects), queue_size=2000) as runner,
    ):
        yield Studio(
            runner,
            gallery,
            PictureStore(folder / "pictures"),
            settings,
            models=lambda: [CARD],
            status=lambda: Status(notice=f"runs from {folder}"),
            sees=lambda session: None,
        )
        engine.go.set()


@contextmanager
def guest(sharing: Sharing) -> Iterator[httpx.Client]:
    """A guest who has come in; `client.headers["x-guest"]` tells the test, and nobody else, which one."""
    known = {it.id for it in sharing.guests.present()}
    with httpx.Client(base_url=sharing.door.local, timeout=60) as client:
        assert client.post("/enter", data={"secret": sharing.passphrase}).status_code == 303
        [new] = {it.id for it in sharing.guests.present()} - known
        client.headers["x-guest"] = new
        yield client
        sharing.guests.end(new)


def made_by(studio: Studio, owner: str, prompt: str = "a picture", *, seed: int = 1) -> str:
    """Let `owner` make a picture, and return its id."""
    ending = studio.runner.submit(TextToImage(prompt=prompt, seed=seed), owner=owner).result(timeout_seconds=60)
    assert isinstance(ending, Finished)
    return ending.records[0]
