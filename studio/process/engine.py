"""What the engine's process is made of: the engine, every kind of request, and the painting desk. Torch lives here.

The desk stands here, not beside the page, because a call through the pipe costs a tenth of a millisecond (`studio bench
engine`, "desk call"), while a second torch would make the page's process ten times as large: 640 MB instead of 60.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from studio.codebook.answers import CodebookModel
from studio.codebook.find import find_vqgans
from studio.engine.catalog import scan
from studio.engine.priors import FAMILY as PRIORS
from studio.errors import OutOfMemory
from studio.events import Event
from studio.pictures import PictureStore, open_picture
from studio.requests import Request
from studio.settings import ROOT, Settings


class EngineWork:
    """The engine with its handlers, and the desk, made when it is first asked.

    Raises:
        StudioError: The device in the settings is not there.
        ImportError: A library is missing.
    """

    def __init__(self, settings: Settings) -> None:
        from studio.codebook.service import Desk
        from studio.engine.device import choose_device
        from studio.engine.engine import Engine
        from studio.handlers import Codebooks, handlers

        self._settings = settings
        self.notice = choose_device(settings).reason
        codebooks = Codebooks(settings)
        pictures = PictureStore(settings.data_dir / "pictures")
        self._engine = Engine(settings, read_picture=pictures.get, handlers=handlers(settings, codebooks))
        self._desk = Desk(
            codebooks.load,
            models=self._codebook_models,
            examples=_examples(),
            gallery=self._newest,
            cache_dir=settings.cache_dir / "codebook",
        )

    @staticmethod
    def prepare() -> None:
        """Import what making one needs: nearly all the time it takes, and no device is touched."""
        import studio.codebook.service
        import studio.engine.engine
        import studio.handlers  # noqa: F401

    def warm_up(self) -> None:
        """Load the default model."""
        self._engine.warm_up()

    def run(self, request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
        """Run `request`."""
        with _marking():
            yield from self._engine.run(request, should_stop)

    def call(self, name: str, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Call the desk's method `name`.

        Raises:
            StudioError: What the desk says; OutOfMemory, with the memory given back, when it ran out.
        """
        from studio.engine import memory

        with _marking():
            try:
                return getattr(self._desk, name)(*positional, **named)
            except (RuntimeError, MemoryError) as error:
                if not memory.is_out_of_memory(error):
                    raise
                memory.release(error)
                raise memory.explain(None, 0, 0, 1, 0) from error

    def _codebook_models(self) -> list[CodebookModel]:
        folders = self._settings.checkpoint_folders
        cards = scan(folders).models
        names = {card.id: card.name for card in cards}
        priors = {card.path.resolve() for card in cards if card.family == PRIORS}
        return [
            CodebookModel(name, names.get(name, name), has_prior=folder.resolve() in priors)
            for name, folder in find_vqgans(folders).items()
        ]

    def _newest(self, session: str) -> Iterator[tuple[str, Image.Image]]:
        """Yield the newest pictures of the gallery: the desk is the owner's, who sees everything."""
        from studio.gallery import Gallery

        with Gallery(self._settings.gallery_dir, read_only=True) as gallery:
            for entry in gallery.page(limit=60).entries:
                yield entry.id, gallery.open(entry.id)


@contextmanager
def _marking() -> Iterator[None]:
    """Mark an OutOfMemory that leaves its thread unusable."""
    from studio.engine import memory

    try:
        yield
    except OutOfMemory as error:
        error.spoils_thread = memory.spoils_thread(error.__cause__)
        raise


def _examples() -> dict[str, Callable[[], Image.Image]]:
    folder = ROOT / "assets" / "examples"
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png"))
    return {path.stem.replace("-", " "): partial(_opened, path) for path in paths}


def _opened(path: Path) -> Image.Image:
    return open_picture(path).image
