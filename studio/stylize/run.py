"""Running a Stylize request: the chain of methods, the finish, and "try all methods"."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from studio.errors import InvalidRequest, StudioError
from studio.events import Cancelled, Event, Film, Finished, Step
from studio.inpaint.context import Context
from studio.pictures import opaque
from studio.requests import MAX_SEED, Stylize
from studio.stylize.finish import finish
from studio.stylize.methods import ALL, DENOISING, METHODS, Method, find_method
from studio.stylize.sheet import contact_sheet
from studio.stylize.task import Outcome, ShouldStop, Task

_MAX_WORKING_SIDE = 2048
_PREVIEW_SIDE = 128  # pixels


@dataclass(frozen=True, slots=True)
class _Pictures:
    """What the request refers to: the content as it is, and everything in RGB."""

    source: Image.Image
    content: Image.Image
    references: tuple[Image.Image, ...]
    weights: tuple[float, ...]


def run_stylize(request: Stylize, context: Context, should_stop: ShouldStop) -> Iterator[Event]:
    """Yield the events of a style transfer; `methods` ("all",) makes a contact sheet of all that can run.

    `Finished.images` have the content's size (the sheet its own). For "all", `Finished.extras["tried"]` holds
    {method name: (h, w, c) uint8 array}.

    Raises:
        InvalidRequest: A method that does not exist, a style that is missing, weights that do not fit.
        InvalidPicture, ModelError: As reading and loading do.
    """
    began = time.perf_counter()
    methods = _check(request)
    pictures = _read(request, context)
    if request.strength == 0:
        note = "Style strength is 0: this is the content as it was."
        yield Finished((pictures.source,), (request.seed,), 0.0, notes=(note,))
    elif request.methods == (ALL,):
        yield from _stoppable(_try_all(request, pictures, context, should_stop))
    else:
        chain = _chain(request, methods, pictures, context, should_stop)
        outcome = yield from _stoppable(chain)
        if outcome is not None:
            seeds = _seeds(request)[: len(outcome.pictures)]
            seconds = time.perf_counter() - began
            facts, notes = _facts(request, outcome), _notes(request, methods, outcome)
            yield Finished(outcome.pictures, seeds, seconds, facts, notes, extras={"films": outcome.films})


def usable_methods(request: Stylize) -> list[Method]:
    """Return the methods for which the request has a style: pictures, a palette, words."""
    return [method for method in METHODS if method.can_use(request)]


def _stoppable(stage: Generator[Event, None, Outcome | None]) -> Generator[Event, None, Outcome | None]:
    """Pass events on, and say after which step the run stopped when it ends with nothing."""
    at_step, ended = 0, False
    while True:
        try:
            event = next(stage)
        except StopIteration as stop:
            if stop.value is None and not ended:
                yield Cancelled(at_step)
            return stop.value
        at_step = event.index if isinstance(event, Step) else at_step
        ended = isinstance(event, Finished)
        yield event


def _check(request: Stylize) -> list[Method]:
    if ALL in request.methods and len(request.methods) > 1:
        raise InvalidRequest('"all" tries every method, so it stands alone.', field="methods")
    methods = usable_methods(request) if request.methods == (ALL,) else [find_method(n) for n in request.methods]
    if not methods:
        raise InvalidRequest("There is no style yet: choose a style picture, or write style words.", field="references")
    for method in methods:
        if method.needs == "reference" and not method.can_use(request):
            raise InvalidRequest(
                f'"{method.title}" takes its style from a picture, and there is none.',
                "Choose a style picture.",
                field="references",
            )
        if method.needs == "words" and not method.can_use(request):
            raise InvalidRequest(
                f'"{method.title}" takes its style from words, and there are none.',
                "Write what it should look like, or pick a style.",
                field="prompt",
            )
    if request.controls and not any(method.name in DENOISING for method in methods):
        takers = " or ".join(f'"{method.title}"' for method in METHODS if method.name in DENOISING)
        raise InvalidRequest(
            f'"{methods[-1].title}" takes no control picture.', f"Leave it out, or use {takers}.", field="control"
        )
    weights = request.reference_weights
    if weights and (len(weights) != len(request.references) or not any(weights)):
        raise InvalidRequest(
            f"There are {len(request.references)} style pictures and {len(weights)} weights ({_listed(weights)}).",
            "Give one weight per picture, at least one of them above 0.",
            field="reference_weights",
        )
    return methods


def _read(request: Stylize, context: Context) -> _Pictures:
    source = context.read_picture(request.content)
    source = source.convert("RGBA" if source.has_transparency_data else "RGB")
    references = tuple(opaque(context.read_picture(ref)) for ref in request.references)
    return _Pictures(source, opaque(source), references, request.reference_weights or (1.0,) * len(references))


def _chain(
    request: Stylize, methods: Sequence[Method], pictures: _Pictures, context: Context, should_stop: ShouldStop
) -> Generator[Event, None, Outcome | None]:
    """Hand each method's pictures to the next, then finish them; returns None when stopped."""
    seeds = _seeds(request)
    current: tuple[Image.Image, ...] = (pictures.content,)
    facts: dict[str, Any] = {}
    notes: list[str] = []
    films: list[Film] = []
    began = time.perf_counter()
    for place, method in enumerate(methods):
        made: list[Image.Image] = []
        filmed: list[Film] = []
        for index, content in enumerate(current):
            own_seeds = seeds if len(current) == 1 else seeds[index : index + 1]
            task = replace(_task(request, method, pictures, content, own_seeds), refines=place > 0)
            part = place * len(current) + index, len(methods) * len(current)
            doing = method.name if len(methods) > 1 else ""
            retell = _as_part(*part, began=began, doing=doing)
            outcome = yield from _retold(method.load()(task, context, should_stop), retell)
            if outcome is None:
                return None
            made += outcome.pictures
            filmed += outcome.films
            facts.update(outcome.facts)
            notes += [note for note in outcome.notes if note not in notes]
        current, films = tuple(made), filmed or films
    source = np.asarray(pictures.source)
    structure = 0.0 if methods[-1].keeps_structure else request.structure
    keeps = request.keep_colours
    finished = tuple(
        Image.fromarray(finish(np.asarray(p), source, structure=structure, keeps_colours=keeps)) for p in current
    )
    return Outcome(finished, facts, tuple(notes), tuple(films) if len(films) == len(finished) else ())


def _retold(
    stage: Generator[Event, None, Outcome | None], retell: Callable[[Step], Step]
) -> Generator[Event, None, Outcome | None]:
    """Pass a stage's events on, its steps as `retell` tells them."""
    while True:
        try:
            event = next(stage)
        except StopIteration as stop:
            return stop.value
        yield retell(event) if isinstance(event, Step) else event


def _as_part(part: int, parts: int, *, began: float, doing: str) -> Callable[[Step], Step]:
    """Count a stage's steps as those of part `part` of `parts` since `began`, their previews small."""

    def retell(step: Step) -> Step:
        seconds = step.seconds if parts == 1 else time.perf_counter() - began
        return Step(step.index + part * step.total, step.total * parts, _small(step.preview), seconds, doing)

    return retell


def _as_one_step(number: int, count: int, *, began: float, doing: str) -> Callable[[Step], Step]:
    """Count all of a method's steps as step `number` of `count`: one for each method tried."""
    return lambda step: Step(number, count, step.preview, time.perf_counter() - began, doing)


def _try_all(
    request: Stylize, pictures: _Pictures, context: Context, should_stop: ShouldStop
) -> Generator[Event, None, Outcome | None]:
    """Run every usable method alone; one that cannot run is a note, not the end."""
    began = time.perf_counter()
    methods = usable_methods(request)
    tried: dict[str, Image.Image] = {}
    facts: dict[str, Any] = {}
    notes: list[str] = []
    for place, method in enumerate(methods):
        try:
            alone = request.model_copy(update={"methods": (method.name,), "batch": 1})
            stage = _chain(alone, [method], pictures, context, should_stop)
            retell = _as_one_step(place + 1, len(methods), began=began, doing=method.name)
            outcome = yield from _retold(stage, retell)
        except StudioError as error:
            notes.append(f"{method.title}: {error.message}")
            continue
        if outcome is None:
            return None
        tried[method.name] = outcome.pictures[0]
        facts.update(outcome.facts)
    if not tried:
        raise InvalidRequest("None of the methods could run.", " ".join(notes))
    titles = {method.name: method.title for method in methods}
    labels = ["Content", *("Style" for _ in pictures.references[:1]), *(titles[name] for name in tried)]
    sheet = contact_sheet([pictures.source, *pictures.references[:1], *tried.values()], labels)
    arrays = {name: np.asarray(picture) for name, picture in tried.items()}
    yield Finished(
        (sheet,),
        (request.seed,),
        time.perf_counter() - began,
        facts=facts,
        notes=(*notes, *_untried(request)),
        extras={"tried": arrays},
    )
    return None


def _untried(request: Stylize) -> list[str]:
    """Which methods had no style to take, a sentence for each kind of style."""
    said = []
    for need, name in (("reference", "a style picture"), ("words", "style words")):
        titles = [method.title for method in METHODS if method.needs == need and not method.can_use(request)]
        if titles:
            said.append(f"Not tried without {name}: {'; '.join(titles)}.")
    return said


def _task(request: Stylize, method: Method, pictures: _Pictures, content: Image.Image, seeds: tuple[int, ...]) -> Task:
    side = request.size or method.size or max(content.size)
    if method.size is not None:
        content = _fitted(content, min(side, _MAX_WORKING_SIDE), enlarge=bool(method.size))
    references = tuple(_fitted(p, max(content.size), enlarge=bool(method.size)) for p in pictures.references)
    original = pictures.content.resize(content.size, Image.Resampling.LANCZOS)
    return Task(request, content, references, pictures.weights, seeds, original)


def _fitted(picture: Image.Image, side: int, *, enlarge: bool) -> Image.Image:
    scale = side / max(picture.size)
    if scale >= 1 and not enlarge:
        return picture
    size = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
    return picture.resize(size, Image.Resampling.LANCZOS)


def _small(preview: Image.Image | None) -> Image.Image | None:
    """Return a preview no larger than latents are: it travels to the page with every step."""
    if preview is not None and max(preview.size) > _PREVIEW_SIDE:
        preview = preview.copy()
        preview.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE))
    return preview


def _listed(weights: Sequence[float]) -> str:
    return ", ".join(f"{weight:g}" for weight in weights)


def _seeds(request: Stylize) -> tuple[int, ...]:
    return tuple((request.seed + index) % (MAX_SEED + 1) for index in range(request.batch))


def _facts(request: Stylize, outcome: Outcome) -> dict[str, Any]:
    return {**outcome.facts, "methods": list(request.methods)}


def _notes(request: Stylize, methods: Sequence[Method], outcome: Outcome) -> tuple[str, ...]:
    if request.batch > 1 and not any(method.has_chance for method in methods):
        return (*outcome.notes, "This method makes the same picture for every seed: one was made.")
    return outcome.notes
