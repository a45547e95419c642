"""One run of the denoising loop, from what is asked to pictures: its words, its steps, what is kept and told of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from studio.engine.adapters import Worn, put_on
from studio.engine.control import LayControl, control_of
from studio.engine.denoise import LoopOptions, LoopStep, Plan, Script, Variation, denoise, steps_run
from studio.engine.film import Filming, codebook_of
from studio.engine.images import to_pictures
from studio.engine.noise import seeds_of
from studio.engine.replay import TakeUp
from studio.engine.result import Previews, Result, facts_of, offload_note
from studio.engine.script import read_prompts
from studio.engine.store import Loaded
from studio.engine.trajectories import Trajectories
from studio.events import Cancelled, Decoding, Event, Loading, Step
from studio.prompt.spoken import Spoken, spoken
from studio.requests import Sampled

if TYPE_CHECKING:
    from studio.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class Asked:
    """A run as it is asked for.

    Attributes:
        loaded: The model, with its preview map.
        request: Prompt, steps, guidance, scheduler, seed, batch.
        size: Width and height of the pictures, in pixels.
        rows: Pictures that are decoded at once.
        options: Start picture, mask, ... for the loop.
        take_up: The run to go on with, instead of beginning anew.
        lay_control: Fits a control picture to the run; None: over all of it.
    """

    loaded: Loaded
    request: Sampled
    size: tuple[int, int]
    rows: int
    options: LoopOptions
    take_up: TakeUp | None = None
    lay_control: LayControl | None = None

    @property
    def ends_at(self) -> int | None:
        """The step at which the run ends early, asked for as a frame; such a run is not kept."""
        return self.take_up.ends_at if self.take_up else None


@dataclass(frozen=True, slots=True)
class _Words:
    """What a run's prompts come to."""

    scripts: tuple[Script, ...]
    facts: dict[str, Any]
    notes: tuple[str, ...]


def sample_loop(
    engine: Engine, asked: Asked, should_stop: Callable[[], bool], *, took: dict[str, int]
) -> Generator[Event, None, Result | None]:
    """Make the pictures: yield Loading, Step, Decoding or Cancelled; return them, or None if stopped.

    Raises:
        InvalidRequest, UnknownName, ModelError, InvalidResult
    """
    loaded, model = asked.loaded, asked.loaded.model
    folders, checksums = engine.settings.checkpoint_folders, engine.store.checksums
    control = yield from control_of(
        asked.request,
        model,
        asked.size,
        read_picture=engine.read_picture,
        lay=asked.lay_control,
        folders=folders,
        checksums=checksums,
    )
    options = replace(asked.options, steering=control)
    if asked.take_up is not None:
        options = replace(options, replay=asked.take_up.replay)
    begin = time.perf_counter()
    words = _read(engine, asked)
    is_compiled, waited = yield from _compiled(asked, options, words.scripts, should_stop)
    begin += waited
    filming = Filming(loaded.preview, codebook_of(model))
    steps = denoise(model, _plan(asked, words.scripts), options, should_stop=should_stop)
    try:
        last = yield from _steps(steps, asked, filming, preview_seconds=engine.settings.preview_seconds)
    finally:
        if options.seat is not None:
            options.seat.leave()
    if last is None or should_stop():
        yield Cancelled(at_step=filming.count)
        return None
    yield Decoding()
    if should_stop():
        yield Cancelled(at_step=filming.count)
        return None
    final = last.latents if last.is_last else last.clean
    images = tuple(picture for part in final.split(asked.rows) for picture in to_pictures(model.decode(part)))
    facts = {**facts_of(loaded), **words.facts, **(control.facts if control else {})}
    if is_compiled:
        facts["compiled"] = True
    if asked.ends_at is None:
        _keep(engine.trajectories, asked, filming)
        if not last.is_last:
            facts["stopped_at"] = last.index
    if options.seat is not None and options.seat.shared_steps:
        facts["joined_steps"] = options.seat.shared_steps
    notes = (*words.notes, *(control.notes if control else ()), *offload_note(loaded))
    if getattr(model, "compiled", None) is not None:
        notes += model.compiled.notes
    latents, seconds = final.cpu().numpy(), time.perf_counter() - begin
    seeds, _ = seeds_of_request(asked.request)
    return Result(images, seeds, seconds, facts, notes, latents, filming.films(), took)


def seeds_of_request(request: Sampled) -> tuple[tuple[int, ...], Variation | None]:
    """Return each picture's seed, and the variation: with one, all share the seed and the other seed counts up."""
    if not request.variation_strength:
        return seeds_of(request.seed, request.batch), None
    others = seeds_of(request.variation_seed, request.batch)
    return (request.seed,) * request.batch, Variation(others, request.variation_strength)


def speak(engine: Engine, model: Any, request: Sampled, seeds: Sequence[int]) -> tuple[list[Spoken], Worn]:
    """Return the words of the picture of each seed, and what they put on `model`.

    Raises:
        UnknownName, ModelError: A LoRA is not there, damaged, or another model's.
    """
    said = [spoken(request, seed=seed, lists=engine.word_lists) for seed in seeds]
    worn = put_on(
        model,
        [(one.prompt, one.negative_prompt) for one in said],
        request.loras,
        folders=engine.settings.checkpoint_folders,
        checksums=engine.store.checksums,
    )
    return said, worn


def facts_of_pictures(said: Sequence[Spoken], variation: Variation | None = None) -> dict[str, Any]:
    """Return what holds for single pictures of a run, under "pictures"; nothing where they differ by seed alone."""
    own = [
        {**one.facts, **({"variation_seed": variation.seeds[place]} if variation else {})}
        for place, one in enumerate(said)
    ]
    return {"pictures": own} if any(own) else {}


def _read(engine: Engine, asked: Asked) -> _Words:
    seeds, variation = seeds_of_request(asked.request)
    said, worn = speak(engine, asked.loaded.model, asked.request, seeds)
    read = read_prompts(
        asked.loaded.model,
        worn.prompts,
        steps=steps_run(asked.request.steps, asked.options.start),
        guidance_scale=asked.request.guidance_scale,
        size=asked.size,
    )
    return _Words(read.scripts, {**worn.facts, **facts_of_pictures(said, variation)}, (*read.notes, *worn.notes))


def _compiled(
    asked: Asked, options: LoopOptions, scripts: tuple[Script, ...], should_stop: Callable[[], bool]
) -> Generator[Event, None, tuple[bool, float]]:
    """Yield Loading and run the first step once before, where the compiler does not know runs of this form yet.

    Returns whether the run is compiled, and the seconds that it waited for that.
    """
    model, compiled = asked.loaded.model, getattr(asked.loaded.model, "compiled", None)
    if compiled is None:
        return False, 0.0
    has_picture = scripts[0].conditionings[0].positive.picture is not None  # an IP-Adapter changes the U-Net
    compiled.is_on = options.steering is None and not has_picture and not model.adapters.loras.loaded
    begin = time.perf_counter()
    if compiled.is_on and not compiled.has_run(_form(asked, scripts)):
        yield Loading(f"{asked.loaded.card.name}: compiling for {asked.size[0]}×{asked.size[1]}, once")
        next(denoise(model, _plan(asked, scripts), replace(options, replay=None), should_stop=should_stop), None)
    return compiled.is_on and not compiled.problem, time.perf_counter() - begin


def _form(asked: Asked, scripts: Sequence[Script]) -> tuple[object, ...]:
    """Return what the compiler makes own code for, as far as it shows before the run."""
    first = [script.conditionings[0] for script in scripts]
    words = tuple(dict.fromkeys((one.positive.text.shape, one.negative is None, len(one.also)) for one in first))
    return asked.size, asked.rows, words, asked.options.extra_channels is None


def _plan(asked: Asked, scripts: tuple[Script, ...]) -> Plan:
    seeds, variation = seeds_of_request(asked.take_up.noise_of if asked.take_up else asked.request)
    return Plan(
        conditioning=scripts,
        shape=asked.loaded.model.latent_shape(*asked.size),
        scheduler=asked.request.scheduler,
        steps=asked.request.steps,
        seeds=seeds,
        variation=variation,
        temperature=asked.request.temperature,
    )


def _steps(
    steps: Iterator[LoopStep], asked: Asked, filming: Filming, *, preview_seconds: float
) -> Generator[Event, None, LoopStep | None]:
    """Yield a Step for each that the model ran; return the last one of a run that came to its end, or None."""
    previews, begin = Previews(asked.loaded, preview_seconds), time.perf_counter()
    for step in steps:
        filming.add(step)
        if not step.is_replayed:
            yield Step(step.index, step.total, previews.of(step), time.perf_counter() - begin)
        if step.is_last or step.index == asked.ends_at or (asked.request.auto_stop and filming.has_settled()):
            return step
    return None


def _keep(trajectories: Trajectories, asked: Asked, filming: Filming) -> None:
    """Keep each picture's run under the recipe that makes it alone."""
    request = asked.take_up.known_as if asked.take_up else asked.request
    whole = filming.trajectory()
    for place, seed in enumerate(seeds_of_request(asked.request)[0]):
        own = {"seed": seed}
        if request.variation_strength:
            own["variation_seed"] = seeds_of(request.variation_seed, request.batch)[place]
        alone = request.with_changes(batch=1, **own)
        trajectories.keep(alone, asked.loaded.checksum, whole.picture(place))
