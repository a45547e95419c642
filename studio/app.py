"""The composition root: the only module, beside the commands, that knows every layer.

`EngineHost` keeps torch out of the way of the page: the engine is imported and loads its default model on
a thread of its own, and says meanwhile what it is doing. `serve` is the studio with a page, `Headless`
the studio without one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from studio.engine.catalog import ModelCard, scan
from studio.errors import StudioError
from studio.events import Event, Finished, Loading
from studio.pictures import PictureStore, open_picture
from studio.requests import Request, TextToImage, parse
from studio.settings import ROOT, Settings

if TYPE_CHECKING:
    from studio.codebook.service import Desk
    from studio.engine.engine import Engine
    from studio.gallery import Gallery
    from studio.handlers import Codebooks
    from studio.ui.studio import ModelCard as PageModel

logger = logging.getLogger(__name__)


class EngineHost:
    """Loads the engine on its own thread, and hands requests to whatever runs their kind.

    Args:
        settings: The studio's settings.
        read_picture: Returns the stored picture with a SHA-256.
    """

    def __init__(self, settings: Settings, read_picture: Callable[[str], Image.Image]) -> None:
        self._settings, self._read_picture = settings, read_picture
        self._engine: Engine | None = None
        self._codebooks: Codebooks | None = None
        self._failure: StudioError | None = None
        self._ready = threading.Event()
        self.phase = "starting the engine"
        self.notice = ""

    def start(self, *, warm_up: bool = True) -> None:
        """Begin loading in the background; `warm_up` also loads the default model."""
        threading.Thread(target=self._load, args=(warm_up,), name="engine-loader", daemon=True).start()

    def run(self, request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
        """Run `request` once the engine is there; see `jobs.Run`."""
        if not self._ready.is_set():
            yield Loading("the engine")
        yield from self.engine().run(request, should_stop)

    def engine(self) -> Engine:
        """Wait for the engine and return it; raises what kept it from loading."""
        self._ready.wait()
        if self._engine is None:
            raise self._failure or StudioError("The engine is not there.", "Start the studio again.")
        return self._engine

    def codebooks(self) -> Codebooks:
        """Wait for the engine and return the VQGANs; raises what kept it from loading."""
        self.engine()
        assert self._codebooks is not None
        return self._codebooks

    def _load(self, warm_up: bool) -> None:
        try:
            self.phase = "loading torch and diffusers"
            from studio.engine.device import choose_device
            from studio.engine.engine import Engine
            from studio.handlers import Codebooks, handlers

            self.notice = choose_device(self._settings).reason
            self._codebooks = Codebooks(self._settings)
            self._engine = Engine(
                self._settings,
                read_picture=self._read_picture,
                handlers=handlers(self._settings, self._codebooks),
            )
            self._ready.set()
            if warm_up:
                self.phase = "loading the default model"
                self._engine.warm_up()
        except StudioError as error:
            self._failure, self.notice = error, str(error)
        except ImportError as error:
            self._failure = StudioError(f"The engine cannot start: {error}.", "Start the studio with python launch.py.")
            self.notice = str(self._failure)
            logger.exception("the engine cannot start")
        finally:
            self.phase = ""
            self._ready.set()


def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve the page until interrupted; `announce` is told the address.

    Raises:
        StudioError: The port is taken, the data directory cannot be written, another studio writes there.
    """
    from studio.gallery import Gallery, recorder
    from studio.jobs import JobRunner
    from studio.ui.serve import launch
    from studio.ui.studio import Status, Studio

    pictures = PictureStore(settings.data_dir / "pictures")
    host = EngineHost(settings, pictures.get)
    with Gallery(settings.gallery_dir) as gallery:
        gallery.empty_trash()
        runner = JobRunner(
            host.run,
            recorder(gallery),
            queue_size=settings.queue_size,
            queue_per_session=settings.queue_per_session,
        )
        studio = Studio(
            runner=runner,
            gallery=gallery,
            pictures=pictures,
            settings=settings,
            models=lambda: [page_model(card) for card in scan(settings.checkpoint_folders).models],
            status=lambda: Status(busy_with=host.phase, notice=host.notice),
            sees=lambda session: None,
            extras={"codebook": cache(lambda: painting_desk(settings, host, gallery))},
        )
        with runner, ExitStack() as stack:
            host.start()
            if settings.share:
                from studio.share import open_share

                stack.enter_context(open_share(studio, settings, announce=announce))
            launch(studio, settings, announce=announce)


def painting_desk(settings: Settings, host: EngineHost, gallery: Gallery) -> Desk:
    """Return what the Codebook tab works with, once the engine is there."""
    codebooks = host.codebooks()
    from studio.codebook.answers import CodebookModel
    from studio.codebook.find import find_vqgans
    from studio.codebook.service import Desk

    def own_pictures(session: str) -> Iterator[tuple[str, Image.Image]]:
        for entry in gallery.page(limit=60).entries:  # the owner's page sees everything
            yield entry.id, gallery.open(entry.id)

    names = {card.id: card.name for card in scan(settings.checkpoint_folders).models}
    folder = ROOT / "assets" / "examples"
    examples = {p.stem.replace("-", " "): p for p in sorted(folder.iterdir()) if p.suffix in (".jpg", ".png")}
    return Desk(
        codebooks.load,
        models=lambda: [CodebookModel(n, names.get(n, n)) for n in find_vqgans(settings.checkpoint_folders)],
        examples={name: partial(_example, path) for name, path in examples.items()},
        gallery=own_pictures,
        cache_dir=settings.cache_dir / "codebook",
    )


def _example(path: Path) -> Image.Image:
    return open_picture(path).image


def page_model(card: ModelCard) -> PageModel:
    """Return a catalogue card as the page shows it."""
    from studio.ui.studio import ModelCard as PageModel
    from studio.ui.studio import Quality

    return PageModel(
        id=card.id,
        title=card.name,
        sizes=card.sizes,
        schedulers={choice.id: choice.label for choice in card.schedulers},
        qualities={p.id: Quality(p.steps, p.guidance_scale, p.scheduler) for p in card.presets},
        style_words=card.styles,
        examples=card.examples,
    )


class Headless:
    """The studio without a page: one request at a time, for the command line and the benchmarks."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pictures = PictureStore(settings.data_dir / "pictures")
        self.host = EngineHost(settings, self.pictures.get)
        self.host.start(warm_up=False)

    def complete(self, values: dict[str, Any], *, quality: str | None = None) -> Request:
        """Return the request that `values` describe, with the model's own size and preset where they say nothing.

        Raises:
            InvalidRequest: A value is out of bounds or off the model's grid, a name is unknown.
        """
        card = scan(self.settings.checkpoint_folders).find(str(values.get("model", "")))
        preset = card.preset(quality or "standard")
        model = {"steps": preset.steps, "scheduler": preset.scheduler, "guidance_scale": preset.guidance_scale}
        request = parse({**model, "width": card.width, "height": card.height, **values})
        if isinstance(request, TextToImage):
            card.check_size(request.width, request.height)
        return request

    def events(self, request: Request, *, out: Path | None = None) -> Iterator[Event]:
        """Run `request`; Finished comes once its pictures are written, with extras["files"].

        Args:
            out: A PNG to write (a batch gets -1, -2, ... before the suffix); None writes into the gallery.
        """
        for event in self.host.run(request, lambda: False):
            yield self._kept(request, event, out) if isinstance(event, Finished) else event

    def _kept(self, request: Request, finished: Finished, out: Path | None) -> Finished:
        from studio.gallery import Gallery
        from studio.gallery.loose import write_picture

        facts = {**finished.facts, "seconds": round(finished.seconds, 3)}
        many, files, records = len(finished.images) > 1, [], []
        if out is not None:
            for number, (image, seed) in enumerate(zip(finished.images, finished.seeds, strict=True), start=1):
                path = out.with_stem(f"{out.stem}-{number}") if many else out
                write_picture(path, image, request=request, seed=seed, facts=facts)
                files.append(path)
        else:
            with Gallery(self.settings.gallery_dir) as gallery:
                for image, seed in zip(finished.images, finished.seeds, strict=True):
                    entry = gallery.save(image, request=request, seed=seed, facts=facts, job_id="", owner="")
                    files.append(entry.path)
                    records.append(entry.id)
        return replace(finished, records=tuple(records), extras={**finished.extras, "files": files})
