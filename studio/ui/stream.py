"""From a job's events to what a stage shows: async generators that watch a job and never run one.

A stage is a `gr.HTML` whose value is a small dict (see `stage_value`); `page/stage.js` draws it. Previews
travel inside it as JPEG data URLs of a few KB at latent size, which the browser enlarges; nothing goes
through Gradio's file cache. Closing the page ends the watching, never the job.
"""

from __future__ import annotations

import base64
import io
import math
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from functools import singledispatch
from typing import Any, TypeAlias

from PIL import Image

from studio.events import Cancelled, Decoding, Event, Failed, Finished, Loading, Queued, Step
from studio.jobs import Job, Queue

StageValue: TypeAlias = dict[str, Any]

IDLE: StageValue = {"state": "idle"}
PREVIEW_BYTES = 7_400  # a data URL of at most 10 KB
_QUALITIES = (95, 88, 75, 50)  # high first: at latent size the 8 x 8 blocks of JPEG show


class Watchers:
    """The jobs each open page follows on one stage, one after the other.

    A page is known by Gradio's session hash: good for telling pages apart, never used as an identity.

    Args:
        runner: Where the jobs are.
        kinds: The kinds of request this stage shows.
    """

    def __init__(self, runner: Queue, *kinds: str) -> None:
        self._runner, self._kinds = runner, kinds
        self._pages: dict[str, deque[Job]] = {}

    def active(self, owner: str) -> list[Job]:
        """Return `owner`'s jobs of this stage that have not ended, oldest first."""
        return [job for job in self._runner.active(owner) if getattr(job.request, "kind", "") in self._kinds]

    async def follow(self, page: str, jobs: Iterable[Job]) -> AsyncGenerator[StageValue]:
        """Yield the stage's value as `jobs` go on, to their endings.

        A page that follows a job already takes `jobs` on afterwards, and this call yields nothing.
        """
        if page in self._pages:
            self._pages[page].extend(jobs)
            return
        queue = self._pages[page] = deque(jobs)
        try:
            while queue:
                job = queue.popleft()
                async with aclosing(job.stream()) as events:
                    async for event in events:
                        more = sum(waiting.ending is None for waiting in queue)
                        yield {**job_value(job), **stage_value(event), "more": more}
        finally:
            del self._pages[page]


def job_value(job: Job) -> StageValue:
    """Return what a stage shows of a job whatever happens to it: its id, how many pictures, and their shape."""
    request = job.request
    return {
        "job": job.id,
        "count": getattr(request, "batch", 1),
        "width": getattr(request, "width", 0),
        "height": getattr(request, "height", 0),
        "stopping": job.is_cancelled,
    }


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
        "preview": data_url(event.preview) if event.preview else None,
    }


@stage_value.register
def _(event: Decoding) -> StageValue:
    return {"state": "decoding"}


@stage_value.register
def _(event: Finished) -> StageValue:
    shown = zip(event.records, event.seeds, event.images, strict=True)
    return {
        "state": "finished",
        "seconds": round(event.seconds, 1),
        "notes": list(event.notes),
        "chosen": 0,
        "pictures": [
            {"id": record, "seed": seed, "url": picture_url(record), "width": image.width, "height": image.height}
            for record, seed, image in shown
        ],
    }


@stage_value.register
def _(event: Failed) -> StageValue:
    return {"state": "failed", "message": event.message, "hint": event.hint}


@stage_value.register
def _(event: Cancelled) -> StageValue:
    return {"state": "cancelled", "step": event.at_step}
