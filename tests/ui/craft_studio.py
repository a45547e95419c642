"""A studio page whose runs are written down, and whose model counts words: what the tests of prompt craft visit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fake_engine import FakeEngine
from studio_page import CARD

from studio.events import Event, Finished
from studio.forecast import PastRuns, noting
from studio.gallery import Gallery, recorder
from studio.jobs import JobRunner
from studio.pictures import PictureStore
from studio.prompt.tokens import TokenCounter
from studio.requests import Request, TextToImage
from studio.settings import Settings
from studio.ui.serve import serving
from studio.ui.studio import Studio

COUNTER = TokenCounter(lambda text: len(text.split()), reads_on=True, reads_english=False)
FREE = 4 * 10**9
NEED = 10**9  # of a picture of 256 x 256


@dataclass
class Craftsman(FakeEngine):
    """The fake engine, which also says what its runs needed; its steps take no time."""

    step_seconds: float = 0.0

    def run(self, request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
        assert isinstance(request, TextToImage)
        memory = {
            "rows": 1,
            "activation_bytes": NEED * request.width * request.height // 65536,
            "free_bytes": FREE,
        }
        for event in super().run(request, should_stop):
            if isinstance(event, Finished):
                facts = {"model": request.model, "device": "cpu"}
                event = replace(event, seconds=request.steps * 0.5, facts=facts, extras={"memory": memory})
            yield event


@dataclass
class Craft:
    """A studio being served at `address`."""

    address: str
    studio: Studio
    engine: Craftsman
    runner: JobRunner
    gallery: Gallery
    folder: Path

    def settle(self) -> None:
        """Stop what a test left running, and make the engine as new."""
        self.engine.settle(self.runner, step_seconds=0.0)


@contextmanager
def craft_studio(folder: Path) -> Iterator[Craft]:
    """Serve a studio whose data lies in `folder`; 4 GB of memory are always free."""
    settings = Settings(data_dir=folder, port=0, browser=False)
    engine, runs = Craftsman(), PastRuns(folder / "runs.jsonl", free_ram=lambda: FREE)
    card = replace(CARD, count_tokens=COUNTER)
    with (
        Gallery(settings.gallery_dir, reserve_bytes=0) as gallery,
        JobRunner(engine.run, noting(recorder(gallery), runs)) as runner,
    ):
        pictures = PictureStore(settings.data_dir / "pictures")
        studio = Studio(runner, gallery, pictures, settings, models=lambda: [card], extras={"create": runs})
        with serving(studio, settings) as address:
            yield Craft(address, studio, engine, runner, gallery, folder)
