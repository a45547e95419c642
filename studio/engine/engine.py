"""The engine: a request in, a stream of events out. Torch lives behind it; no page, no gallery in front of it.

`Engine.run` is what the job runner calls on its one thread. Text to image is here; other kinds of request
arrive as handlers from the composition root and build on `load` and `sample`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import diffusers
import torch
import transformers
from PIL import Image

from studio.engine import memory
from studio.engine.adapters import put_on
from studio.engine.autoencoders import with_autoencoder
from studio.engine.catalog import ModelCard, Scan, scan
from studio.engine.control import control_of
from studio.engine.denoise import LoopOptions, LoopStep, Plan, Variation, denoise, rows_at_once, steps_run
from studio.engine.film import Filming, codebook_of
from studio.engine.guidance import interval_of
from studio.engine.images import to_pictures
from studio.engine.noise import seeds_of
from studio.engine.replay import TakeUp
from studio.engine.result import Previews, Result, facts_of, offload_note
from studio.engine.script import read_prompts
from studio.engine.stock_sample import sample_stock
from studio.engine.store import Loaded, ModelStore
from studio.engine.trajectories import Trajectories, Trajectory
from studio.errors import InvalidRequest, ModelError
from studio.events import Cancelled, Decoding, Event, Loading, Step
from studio.prompt.spoken import Spoken, spoken
from studio.prompt.wildcards import SHIPPED, WordLists
from studio.requests import Request, Sampled, TextToImage
from studio.settings import Settings

ShouldStop: TypeAlias = Callable[[], bool]
Handler: TypeAlias = Callable[["Engine", Any, ShouldStop], Iterator[Event]]


class Engine:
    """Runs requests, one at a time.

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
        self.trajectories = Trajectories(folder=settings.data_dir / "films")
        self.word_lists = WordLists((SHIPPED, settings.data_dir / "wildcards"))
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
    ) -> Generator[Event, None, Result | None]:
        """Run the denoising loop: yield Step, Decoding or Cancelled; return the pictures, or None if stopped.

        Args:
            loaded: From `load`.
            request: Prompt, steps, guidance, scheduler, seed, batch.
            width, height: Of the pictures, in pixels, on the model's grid.
            should_stop: Asked before every step and before decoding.
            options: Start picture, mask, ...
            take_up: The run to go on with, instead of beginning anew.

        Raises:
            InvalidRequest, OutOfMemory, InvalidResult
        """
        model = loaded.model
        loaded.card.check_size(width, height)
        if loaded.card.family == "pipeline" and getattr(request, "control", None):
            raise ModelError(f"{loaded.card.name} takes no control picture.", "Leave it out, or choose an SD model.")
        rows = rows_at_once(model, request.batch, options)
        free = self.store.device.free_bytes()
        memory.check_fits(model, width, height, rows, free)
        took = {"rows": rows, "activation_bytes": memory.estimate_bytes(model, width, height, rows), "free_bytes": free}
        guided = interval_of(request)
        if loaded.card.family == "pipeline":
            if guided != (0, 1):
                raise ModelError(f"{loaded.card.name} is guided in every step.", "Let guidance act from 0 until 1.")
            if options is not None and options != LoopOptions():
                raise ModelError(f"{loaded.card.name} only makes pictures from prompts.", "Choose another model here.")
            return (yield from sample_stock(self, loaded, request, (width, height), should_stop, took=took))
        control = yield from control_of(
            request,
            model,
            (width, height),
            read_picture=self.read_picture,
            folders=self.settings.checkpoint_folders,
            checksums=self.store.checksums,
        )
        options = replace(options or LoopOptions(), steering=control, guidance=guided)
        if take_up is not None:
            options = replace(options, replay=take_up.replay)
        begin = time.perf_counter()
        seeds, variation = seeds_of_request(request)
        begins_with = seeds_of_request(take_up.noise_of if take_up else request)
        said = [spoken(request, seed=seed, lists=self.word_lists) for seed in seeds]
        worn = put_on(
            model,
            [(one.prompt, one.negative_prompt) for one in said],
            request.loras,
            folders=self.settings.checkpoint_folders,
            checksums=self.store.checksums,
        )
        read = read_prompts(
            model,
            worn.prompts,
            steps=steps_run(request.steps, options.start),
            guidance_scale=request.guidance_scale,
            size=(width, height),
        )
        plan = Plan(
            conditioning=read.scripts,
            shape=model.latent_shape(width, height),
            scheduler=request.scheduler,
            steps=request.steps,
            seeds=begins_with[0],
            variation=begins_with[1],
            temperature=request.temperature,
        )
        filming = Filming(loaded.preview, codebook_of(model))
        ends_at = take_up.ends_at if take_up else None
        steps = denoise(model, plan, options, should_stop=should_stop)
        last = yield from self._steps(steps, loaded, request, filming, ends_at)
        if last is None or should_stop():
            yield Cancelled(at_step=filming.count)
            return None
        yield Decoding()
        if should_stop():
            yield Cancelled(at_step=filming.count)
            return None
        final = last.latents if last.is_last else last.clean
        images = tuple(picture for part in final.split(rows) for picture in to_pictures(model.decode(part)))
        if ends_at is None:
            self._remember(take_up.known_as if take_up else request, loaded, seeds, filming)
        steered = (control.facts, control.notes) if control else ({}, ())
        facts = {**facts_of(loaded), **worn.facts, **steered[0], **facts_of_pictures(said, variation)}
        if not last.is_last and ends_at is None:
            facts["stopped_at"] = last.index
        latents, seconds = final.cpu().numpy(), time.perf_counter() - begin
        return Result(
            images,
            seeds,
            seconds,
            facts,
            (*read.notes, *worn.notes, *steered[1], *offload_note(loaded)),
            latents,
            filming.films(),
            took,
        )

    def _steps(
        self, steps: Iterator[LoopStep], loaded: Loaded, request: Sampled, filming: Filming, ends_at: int | None
    ) -> Generator[Event, None, LoopStep | None]:
        """Yield a Step for each that the model ran; return the last one of a run that came to its end, or None."""
        previews, begin = Previews(loaded, self.settings.preview_seconds), time.perf_counter()
        for step in steps:
            filming.add(step)
            if not step.is_replayed:
                yield Step(step.index, step.total, previews.of(step), time.perf_counter() - begin)
            if step.is_last or step.index == ends_at or (request.auto_stop and filming.has_settled()):
                return step
        return None

    def trajectory(self, request: Request, loaded: Loaded) -> Trajectory | None:
        """Return what an earlier run of `request`, one picture, went through, if it is still kept."""
        return self.trajectories.of(request, loaded.checksum)

    def _remember(self, request: Sampled, loaded: Loaded, seeds: Sequence[int], filming: Filming) -> None:
        """Keep each picture's run under the recipe that makes it alone."""
        whole = filming.trajectory()
        for place, seed in enumerate(seeds):
            own = {"seed": seed}
            if request.variation_strength:
                own["variation_seed"] = seeds_of(request.variation_seed, request.batch)[place]
            alone = request.with_changes(batch=1, **own)
            self.trajectories.keep(alone, loaded.checksum, whole.picture(place))

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


def facts_of_pictures(said: Sequence[Spoken], variation: Variation | None) -> dict[str, Any]:
    """Return what holds for single pictures of a run, under "pictures"; nothing where they differ by seed alone."""
    own = [
        {**one.facts, **({"variation_seed": variation.seeds[place]} if variation else {})}
        for place, one in enumerate(said)
    ]
    return {"pictures": own} if any(own) else {}


def seeds_of_request(request: Sampled) -> tuple[tuple[int, ...], Variation | None]:
    """Return each picture's seed, and the variation: with one, all share the seed and the other seed counts up."""
    if not request.variation_strength:
        return seeds_of(request.seed, request.batch), None
    others = seeds_of(request.variation_seed, request.batch)
    return (request.seed,) * request.batch, Variation(others, request.variation_strength)


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
