"""From a job's events to what a stage shows: async generators that watch a job and never run one.

A stage is a `gr.HTML` whose value is a small dict (see `stage_value`); `page/stage.js` draws it. Previews
travel inside it as JPEG data URLs of a few KB at latent size, which the browser enlarges; nothing goes
through Gradio's file cache. Closing the page ends the watching, never the job.
"""

from __future__ import annotations

import asyncio
import base64
import io
import math
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import singledispatch
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image

from studio.events import Cancelled, Decoding, Event, Failed, Film, Finished, Loading, Queued, Step
from studio.jobs import Job, Queue
from studio.requests import Request
from studio.ui.error_texts import in_chinese, told

StageValue: TypeAlias = dict[str, Any]

IDLE: StageValue = {"state": "idle"}
PREVIEW_BYTES = 7_400  # a data URL of at most 10 KB
_MOST_CELLS = 64  # per side of a settling map
_QUALITIES = (95, 88, 75, 50)  # high first: at latent size the 8 x 8 blocks of JPEG show


def stage_kind(request: Any) -> str:
    """Return the kind of request whose stage shows `request`: a fork is shown where the run that it forks was."""
    kind, run = getattr(request, "kind", ""), getattr(request, "parent", None)
    while kind == "fork" and isinstance(run, dict):
        kind, run = str(run.get("kind", "")), run.get("parent")
    return kind


class Watchers:
    """The jobs each open page follows on one stage, one after the other.

    A page is known by Gradio's session hash: good for telling pages apart, never used as an identity.

    Args:
        runner: Where the jobs are.
        kinds: The kinds of request this stage shows.
    """

    def __init__(self, runner: Queue, *kinds: str) -> None:
        self._runner, self._kinds = runner, kinds
        self._pages: dict[str, _Line] = {}

    def active(self, owner: str) -> list[Job]:
        """Return `owner`'s jobs of this stage that have not ended, oldest first."""
        return [job for job in self._runner.active(owner) if stage_kind(job.request) in self._kinds]

    def last(self, owner: str) -> list[Job]:
        """Return the job of this stage that `owner` saw last, or should have: nothing where it was stopped."""
        mine = [job for job in self._runner.ended(owner) if stage_kind(job.request) in self._kinds]
        return [job for job in mine[-1:] if not isinstance(job.ending, Cancelled)]

    def look_again(self, page: str) -> None:
        """Have a page that follows a job be shown it once more, since something beside its events has changed."""
        if page in self._pages:
            self._pages[page].news.set()

    async def follow(self, page: str, jobs: Iterable[Job]) -> AsyncGenerator[StageValue]:
        """Yield the stage's value as `jobs` go on, to their endings.

        Only one call at a time speaks for a page, or an older value could overtake a newer one: where one does so
        already it takes `jobs` on afterwards, says at once how many wait now, and this call ends without a word.
        A job that has ended is not played again: a page that opens is shown its ending alone.
        """
        if page in self._pages:
            self._pages[page].take(jobs)
            return
        line = self._pages[page] = _Line(deque(jobs))
        try:
            while line.jobs:
                job = line.job = line.jobs.popleft()
                said = job.stream() if job.ending is None else _alone(job.ending)
                async with aclosing(_repeated(said, line.news)) as events:
                    async for event in events:
                        yield {**job_value(job), **stage_value(event), "more": line.more}
        finally:
            del self._pages[page]


@dataclass(slots=True)
class _Line:
    """The job a page follows, those it will follow, and whether the page should be told of a change in these."""

    jobs: deque[Job]
    job: Job | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def more(self) -> int:
        return sum(job.ending is None for job in self.jobs)

    def take(self, jobs: Iterable[Job]) -> None:
        """Follow `jobs` afterwards, each once."""
        for job in jobs:
            if job is not self.job and job not in self.jobs:
                self.jobs.append(job)
                self.news.set()


async def _alone(ending: Event) -> AsyncGenerator[Event]:
    yield ending


async def _repeated(events: AsyncGenerator[Event], news: asyncio.Event) -> AsyncGenerator[Event]:
    """Yield `events`, and the latest of them again whenever there is `news`."""
    latest: Event | None = None
    coming: asyncio.Future[Event | None] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(events, None))
            told = asyncio.ensure_future(news.wait())
            try:
                await asyncio.wait((coming, told), return_when=asyncio.FIRST_COMPLETED)
            finally:
                told.cancel()
            news.clear()
            if coming.done():
                latest, coming = coming.result(), None
                if latest is None:
                    return
            if latest is not None:
                yield latest
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.wait((coming,))
        await events.aclose()


def job_value(job: Job) -> StageValue:
    """Return what a stage shows of a job throughout: its id, how many pictures, their shape, and the original."""
    request = job.request
    return {
        "job": job.id,
        "count": getattr(request, "batch", 1),
        "width": getattr(request, "width", 0),
        "height": getattr(request, "height", 0),
        "stopping": job.is_cancelled,
        "before": original(request),
    }


def original(request: Request) -> StageValue | None:
    """Return the picture that `request` changes and by how much it extends it, to compare results with; or None.

    A sheet of several methods' pictures has nothing to be compared with.
    """
    if getattr(request, "methods", ()) == ("all",):
        return None
    ref = getattr(request, "content", None) or getattr(request, "source", None)
    if ref is None:
        return None
    return {"url": f"studio/inputs/{ref}", "extend": list(getattr(request, "extend", (0, 0, 0, 0)))}


def data_url(picture: Image.Image) -> str:
    """Return a small picture as a JPEG data URL of at most 10 KB wherever any quality allows it."""
    picture = picture.convert("RGB")
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, subsampling=0)
        if buffer.tell() <= PREVIEW_BYTES:
            break
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def picture_url(record: str) -> str:
    """Return where the browser finds a gallery picture; the route checks whose it is."""
    return f"studio/pictures/{record}.png"


def thumbnail_url(record: str) -> str:
    """Return where the browser finds a gallery picture's thumbnail."""
    return f"studio/thumbnails/{record}"


def film_value(event: Finished, place: int) -> StageValue | None:
    """Return what the film strip says of the picture at `place`, or None where there is no film."""
    films = event.extras.get("films", ())
    return None if place >= len(films) or films[place].count < 2 else film_view(films[place])


def film_view(film: Film) -> StageValue:
    """Return what the film strip says of `film` beside its frames: how many, when good enough, the settling map."""
    settled = film.settled
    while max(settled.shape) > _MOST_CELLS:  # a cell of 2 x 2 rests when all four do
        even = settled[: settled.shape[0] // 2 * 2, : settled.shape[1] // 2 * 2]
        settled = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).max(axis=(1, 3))
    cells = {"cells": [settled.shape[1], settled.shape[0]], "settled": settled.ravel().tolist()}
    return {"count": film.count, "enough": film.enough, **cells}


@singledispatch
def stage_value(event: Event) -> StageValue:
    """Return the part of a stage's value that says what `event` says."""
    raise TypeError(f"no stage value for {type(event).__name__}")


@stage_value.register
def _(event: Queued) -> StageValue:
    return {"state": "queued", "position": event.position}


@stage_value.register
def _(event: Loading) -> StageValue:
    return {"state": "loading", "what": event.what, "fraction": event.fraction}


@stage_value.register
def _(event: Step) -> StageValue:
    left = event.seconds / event.index * (event.total - event.index) if event.index else None
    return {
        "state": "running",
        "index": event.index,
        "total": event.total,
        "left": None if left is None else math.ceil(left),
        "doing": event.doing,
        "preview": data_url(event.preview) if event.preview else None,
    }


@stage_value.register
def _(event: Decoding) -> StageValue:
    return {"state": "decoding"}


@stage_value.register
def _(event: Finished) -> StageValue:
    shown = zip(event.records, event.seeds, event.images, strict=True)
    outside = event.extras.get("outside", 0)  # of an inpainting run, whose last note is the count that follows
    notes = list(event.notes[:-1] if outside else event.notes)
    return {
        "state": "finished",
        "seconds": round(event.seconds, 1),
        "notes": notes,
        "notes_zh": [in_chinese(note) for note in notes],
        "untouched": {"changed": event.extras["changed"], "outside": outside} if outside else None,
        "chosen": 0,
        "file": Path(event.extras["file"]).suffix[1:] if "file" in event.extras else "",
        "pictures": [
            {
                **{"id": record, "seed": seed, "url": picture_url(record)},
                **{"width": image.width, "height": image.height, "film": film_value(event, place)},
            }
            for place, (record, seed, image) in enumerate(shown)
        ],
    }


@stage_value.register
def _(event: Failed) -> StageValue:
    return {"state": "failed", **told(event.message, event.hint)}


@stage_value.register
def _(event: Cancelled) -> StageValue:
    return {"state": "cancelled", "step": event.at_step}
