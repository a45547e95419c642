"""Drawing tokens from a VQGAN's prior for the Codebook tab: alternatives told as they come, one JSON object a line.

The job belongs to the session as every job does; closing the page ends the telling, not the job. Nothing is recorded:
what the artist takes becomes an operation on the picture, or a new picture on the desk.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from studio.events import Event, Finished
from studio.jobs import Job, Queue
from studio.requests import DrawTokens, parse
from studio.ui.canvas.routes import SessionOf, StudioRoute, private_headers
from studio.ui.codebook_service import CodebookService
from studio.ui.stream import stage_value


class Draw(BaseModel):
    """What to draw: a new picture, or with `document` other tokens at its `cells` (row, column)."""

    model_config = ConfigDict(extra="forbid")
    model: Annotated[str, Field(max_length=200)] = ""
    document: Annotated[str, Field(max_length=64)] | None = None
    cells: list[tuple[int, int]] | None = Field(None, max_length=100_000)
    prompt: str = ""
    temperature: float = 1.0
    guidance_scale: float = 3.0
    steps: int = 12
    seed: int | None = None
    count: int = 4
    side: int = 256


def draw_routes(desk: Callable[[], CodebookService], *, session_of: SessionOf, runner: Queue) -> APIRouter:
    """Return the routes, for a prefix of the caller's choice."""
    router = APIRouter(route_class=StudioRoute, include_in_schema=False)

    @router.post("")
    async def draw(request: Request, asked: Draw) -> Response:
        session = session_of(request)
        job = await run_in_threadpool(lambda: runner.submit(request_of(asked, desk, session), owner=session))
        return StreamingResponse(_told(job), media_type="application/x-ndjson", headers=private_headers())

    @router.post("/{job}/stop")
    def stop(request: Request, job: str) -> dict[str, str]:
        runner.find(job, owner=session_of(request)).cancel()
        return {}

    return router


def request_of(asked: Draw, desk: Callable[[], CodebookService], session: str) -> DrawTokens:
    """Return the request for the engine; raises InvalidRequest for a value out of bounds or a picture that is gone."""
    values: dict[str, Any] = {
        "kind": "draw_tokens",
        "batch": asked.count,
        "width": asked.side,
        "height": asked.side,
        "seed": -1 if asked.seed is None else asked.seed,
        **asked.model_dump(include={"model", "prompt", "temperature", "guidance_scale", "steps"}),
    }
    if asked.document is not None:
        values |= {"tokens": desk().share(session, asked.document), "cells": asked.cells}
    request = parse(values)
    assert isinstance(request, DrawTokens)
    return request


async def _told(job: Job) -> AsyncGenerator[str]:
    """Yield a line for the job and one for each of its events."""
    yield _line({"state": "queued", "job": job.id})
    async with aclosing(job.stream()) as events:
        async for event in events:
            yield _line(told_value(event))


def told_value(event: Event) -> dict[str, Any]:
    """Return an event for the page; the last one carries the alternatives: text, codes and a picture of each."""
    if not isinstance(event, Finished):
        return stage_value(event)
    drawn = zip(event.seeds, event.extras["tokens"], event.extras["codes"], event.extras["pictures"], strict=True)
    return {
        "state": "finished",
        "seconds": round(event.seconds, 1),
        "notes": list(event.notes),
        "alternatives": [
            {
                "seed": seed,
                "text": text,
                "codes": base64.b64encode(np.ascontiguousarray(codes, "<i4").tobytes()).decode("ascii"),
                "picture": _webp(Image.fromarray(pixels)),
            }
            for seed, text, codes, pixels in drawn
        ],
    }


def _webp(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=88, method=2)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"
