"""A picture made again with something changed: what can be changed, and the run, told line by line (JSON)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Literal, get_args, get_origin

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict

from studio.fields import field_spec
from studio.jobs import Job
from studio.requests import Request as Recipe
from studio.ui.canvas.routes import StudioRoute
from studio.ui.gallery_page.access import Access
from studio.ui.stream import job_value, stage_value

_NOT_OFFERED = frozenset(
    {"version", "kind", "batch", "source", "mask", "content", "tokens", "operations", "parent", "changes", "control"}
)
_OF_THE_RUN = frozenset({"steps", "scheduler", "width", "height", "variation_strength", "variation_seed"})
_LONG = frozenset({"prompt", "negative_prompt"})
_NEVER = {"cache-control": "no-store"}


class _Changes(BaseModel):
    model_config = ConfigDict(extra="forbid")
    changes: dict[str, Any]


def replaying_routes(access: Access) -> APIRouter:
    """Return the routes that run a picture's recipe again."""
    routes = APIRouter(prefix="/studio/gallery", route_class=StudioRoute, include_in_schema=False)
    runner = access.studio.runner

    @routes.get("/pictures/{record}/settings")
    def settings(request: Request, record: str) -> Response:
        """The settings of a picture that can be changed, with their bounds."""
        recipe = access.entry(record, request).recipe.single
        return JSONResponse(fields(recipe, access), headers=_NEVER)

    @routes.post("/pictures/{record}/replay")
    def replay(request: Request, record: str, body: _Changes) -> Response:
        """Make a picture again with `changes`; answers with the job's events until it ends."""
        recipe = access.entry(record, request).recipe.single
        changed = recipe.with_changes(**body.changes)
        job = runner.submit(changed, owner=access.session(request))
        return StreamingResponse(_events(job), media_type="application/x-ndjson", headers=_NEVER)

    @routes.post("/jobs/{job}/stop")
    def stop(request: Request, job: str) -> Response:
        runner.find(job, owner=access.session(request)).cancel()
        return JSONResponse({})

    return routes


def fields(recipe: Recipe, access: Access) -> list[dict[str, Any]]:
    """Return the settings of `recipe` that can be changed: name, title, kind of control, bounds and value."""
    found = []
    for name in type(recipe).model_fields:
        value = getattr(recipe, name)
        is_the_runs = name in _OF_THE_RUN and "parent" in type(recipe).model_fields
        is_idle = name.startswith("control_") and getattr(recipe, "control", None) is None
        if name in _NOT_OFFERED or is_the_runs or is_idle or not isinstance(value, str | int | float):
            continue
        spec = field_spec(type(recipe), name)
        choices = _choices(type(recipe), name, value, access)
        found.append(
            {
                "name": name,
                "key": f"field_{name}",
                "title": spec.title,
                "control": "choice" if choices else _control(name, value),
                "choices": choices,
                "minimum": spec.minimum,
                "maximum": spec.maximum,
                "step": spec.step,
                "value": value,
            }
        )
    return found


def _control(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "tick"
    if isinstance(value, int | float):
        return "number"
    return "words" if name in _LONG else "text"


def _choices(kind: type[Recipe], name: str, value: Any, access: Access) -> list[list[Any]]:
    """(value, title) pairs where a setting is one of several; the present one is always among them."""
    cards = access.studio.models()
    known: dict[Any, str] = {}
    annotation = kind.model_fields[name].annotation
    if get_origin(annotation) is Literal:
        known = {choice: str(choice).replace("_", " ") for choice in get_args(annotation)}
    elif name == "model" and "steps" in kind.model_fields:
        known = {card.id: card.title for card in cards}
    elif name == "scheduler":
        known = {choice: title for card in cards for choice, title in card.schedulers.items()}
    return [[choice, title] for choice, title in ({value: str(value)} | known if known else {}).items()]


async def _events(job: Job) -> AsyncIterator[str]:
    async with aclosing(job.stream()) as events:
        async for event in events:
            yield json.dumps({**job_value(job), **stage_value(event)}) + "\n"
