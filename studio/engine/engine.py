"""The engine: a request in, a stream of events out. Torch lives behind it; no page, no gallery in front of it.

`Engine.run` is what the job runner calls on its one thread. Text to image is here; other kinds of request
arrive as handlers from the composition root and build on `load` and `sample`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import diffusers
import torch
import transformers
from PIL import Image

from studio.engine import memory
from studio.engine.autoencoders import with_autoencoder
from studio.engine.catalog import ModelCard, Scan, scan
from studio.engine.control import LayControl
from studio.engine.denoise import LoopOptions, rows_at_once
from studio.engine.film_files import FilmFiles
from studio.engine.guidance import interval_of
from studio.engine.joint import Joint
from studio.engine.replay import TakeUp
from studio.engine.result import Result
from studio.engine.sample import Asked, sample_loop
from studio.engine.stock_sample import sample_stock
from studio.engine.store import Loaded, ModelStore
from studio.engine.trajectories import Trajectories, Trajectory
from studio.errors import InvalidRequest, ModelError
from studio.events import Event, Loading
from studio.prompt.wildcards import SHIPPED, WordLists
from studio.requests import Controlled, Request, Sampled, TextToImage
from studio.settings import Settings

ShouldStop: TypeAlias = Callable[[], bool]
Handler: TypeAlias = Callable[["Engine", Any, ShouldStop], Iterator[Event]]


class Engine:
    """Runs requests, one at a time; with the setting `joined_jobs`, several that take turns on one thread.

    Args:
        settings: Folders, device, memory, preview rate.
        store: Loaded models; None: one of its own.
        read_picture: Returns the picture with a SHA-256, for requests that refer to pictures.
        handlers: Further kinds of request: `handler(engine, request, should_stop)` yields events.
    """

    def __init__(
        self,
        settings: Settings,
        store: ModelStore | None = None,
        read_picture: Callable[[str], Image.Image] | None = None,
        *,
        handlers: Mapping[type[Request], Handler] | None = None,
    ) -> None:
        _quieten()
        self.settings = settings
        self.store = store or ModelStore(settings)
        self.films = FilmFiles(settings.films_dir)
        self.trajectories = Trajectories(files=self.films)
        self.word_lists = WordLists((SHIPPED, settings.data_dir / "wildcards"))
        self.joint = Joint() if settings.joined_jobs > 1 else None
        self._read_picture = read_picture
        self._handlers: dict[type[Request], Handler] = {TextToImage: text_to_image, **(handlers or {})}

    @torch.inference_mode()
    def run(self, request: Request, should_stop: ShouldStop) -> Iterator[Event]:
        """Yield what happens to `request`, up to Finished or Cancelled.

        The decorator form of inference_mode enters and leaves the mode around every resumption, so it does not
        leak into whoever advances the generator.

        Raises:
            StudioError: Anything that can go wrong, in the artist's words.
        """
        handler = self._handlers.get(type(request))
        if handler is None:
            raise InvalidRequest(f'The engine does not run "{getattr(request, "kind", "?")}" requests.')
        try:
            yield from handler(self, request, should_stop)
        except (RuntimeError, MemoryError) as error:
            if not memory.is_out_of_memory(error):
                raise
            raise self._out_of_memory(request, error) from error

    def scan(self) -> Scan:
        """Return the models there are now, usable or not; cheap."""
        return scan(self.settings.checkpoint_folders)

    def models(self) -> list[ModelCard]:
        """Return the usable models; the first is the default."""
        return list(self.scan().models)

    def read_picture(self, sha256: str) -> Image.Image:
        """Return the picture a request refers to; raises InvalidPicture when it is gone."""
        if self._read_picture is None:
            raise InvalidRequest("This engine has no pictures to read.")
        return self._read_picture(sha256)

    def warm_up(self) -> None:
        """Load the default model and let it predict once, so that the first job is as fast as the rest."""
        listed = self.models()
        if not listed:
            return
        loaded = _drain(self.store.get(listed[0]))
        card = loaded.card
        request = TextToImage(
            prompt="warm up",
            steps=1,
            scheduler=card.schedulers[0].id,
            seed=0,
            guidance_scale=card.preset("standard").guidance_scale,
        )
        with torch.inference_mode():
            for _ in self.sample(loaded, request, card.width, card.height, should_stop=lambda: False):
                pass

    def load(self, model_id: str, vae: str = "") -> Generator[Loading, None, Loaded]:
        """Yield Loading events while the model called `model_id` (empty: the default) is loaded; return it.

        Args:
            vae: The autoencoder to use in the place of its own; empty: its own.

        Raises:
            UnknownName, ModelError, OutOfMemory: It cannot be had; the models in memory stay.
        """
        loaded = yield from self.store.get(self.scan().find(model_id))
        folders, checksums = self.settings.checkpoint_folders, self.store.checksums
        return (yield from with_autoencoder(loaded, vae, folders=folders, checksums=checksums))

    def sample(
        self,
        loaded: Loaded,
        request: Sampled,
        width: int,
        height: int,
        *,
        should_stop: ShouldStop,
        options: LoopOptions | None = None,
        take_up: TakeUp | None = None,
        lay_control: LayControl | None = None,
    ) -> Generator[Event, None, Result | None]:
        """Run the denoising loop: yield Step, Decoding or Cancelled; return the pictures, or None if stopped.

        Args:
            loaded: From `load`.
            request: Prompt, steps, guidance, scheduler, seed, batch.
            width, height: Of the pictures, in pixels, on the model's grid.
            should_stop: Asked before every step and before decoding.
            options: Start picture, mask, ...
            take_up: The run to go on with, instead of beginning anew.
            lay_control: Fits a control picture to the run; None: over all of it.

        Raises:
            InvalidRequest, OutOfMemory, InvalidResult
        """
        model = loaded.model
        loaded.card.check_size(width, height)
        if loaded.card.family == "pipeline" and isinstance(request, Controlled) and request.controls:
            raise ModelError(f"{loaded.card.name} takes no control picture.", "Leave it out, or choose an SD model.")
        rows = rows_at_once(model, request.batch, options)
        free = self.store.device.free_bytes()
        memory.check_fits(model, width, height, rows, free)
        took = {"rows": rows, "activation_bytes": memory.estimate_bytes(model, width, height, rows), "free_bytes": free}
        seat = None
        if self.joint is not None and not loaded.placement.offload:
            pictures = free // max(1, memory.estimate_bytes(model, width, height, 1))
            seat = self.joint.seat(most_rows=2 * pictures)  # each with its unconditional twin
        options = replace(options or LoopOptions(), guidance=interval_of(request), seat=seat)
        asked = Asked(loaded, request, (width, height), rows, options, take_up, lay_control)
        sample = sample_stock if loaded.card.family == "pipeline" else sample_loop
        return (yield from sample(self, asked, should_stop, took=took))

    def trajectory(self, request: Request, loaded: Loaded) -> Trajectory | None:
        """Return what an earlier run of `request`, one picture, went through, if it is still kept."""
        return self.trajectories.of(request, loaded.checksum)

    def _out_of_memory(self, request: Request, error: BaseException) -> Exception:
        memory.release(error)
        self.trajectories.clear()
        if not isinstance(request, TextToImage):
            self.store.forget_all()
            return memory.explain(None, 0, 0, 1, 0)
        card = self.scan().find(request.model)
        self.store.forget_others(card)
        kept = self.store.peek(card)
        rows = request.batch if self.store.device.device != "cpu" else 1
        free = self.store.device.free_bytes()
        return memory.explain(kept and kept.model, request.width, request.height, rows, free)


def text_to_image(
    engine: Engine, request: TextToImage, should_stop: ShouldStop, take_up: TakeUp | None = None
) -> Iterator[Event]:
    """Run a prompt to pictures; with `take_up`, go on with another run."""
    card = engine.scan().find(request.model)
    card.check_size(request.width, request.height)
    if card.is_inpainting:
        raise ModelError(f"{card.name} is an inpainting model.", "Use it in the Inpaint tab, or choose another model.")
    loaded = yield from engine.load(request.model, request.vae)
    result = yield from engine.sample(
        loaded, request, request.width, request.height, should_stop=should_stop, take_up=take_up
    )
    if result is not None:
        yield result.finished()


def _quieten() -> None:
    """Loading says what it does through events; the libraries' own progress bars would garble a terminal."""
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()


def _drain(loading: Generator[Loading, None, Loaded]) -> Loaded:
    while True:
        try:
            next(loading)
        except StopIteration as stop:
            return stop.value
