"""The programming interface: `/generate` takes a request as JSON and gives its pictures.

    client = gradio_client.Client("http://127.0.0.1:7860", headers={"Authorization": f"Bearer {token}"})
    answer = client.predict({"kind": "text_to_image", "prompt": "a red apple", "seed": 1}, api_name="/generate")

The same request gives the same picture here, on the page and on the command line.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

import gradio as gr

from studio.errors import InvalidRequest, StudioError
from studio.events import Cancelled, Failed, Finished
from studio.jobs import Job
from studio.requests import TextToImage, parse
from studio.ui.studio import ModelCard
from studio.ui.tabs.tab import Page


def add_api(page: Page) -> None:
    """Add the endpoint; called inside the open Blocks."""

    async def generate(recipe: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        """Run a text_to_image request; returns its pictures (PNG, base64), seeds, seconds and facts."""
        try:
            asked = parse(complete(recipe, page.studio.models()))
            if not isinstance(asked, TextToImage):
                raise InvalidRequest(f"/generate makes pictures from prompts, not {asked.model_dump()['kind']!r}.")
            job = page.studio.runner.submit(asked, owner=page.owner(request))
            return await _answer(page, job, request)
        except StudioError as error:
            raise gr.Error(str(error), print_exception=False) from error

    gr.api(generate, api_name="generate", concurrency_limit=None)


def complete(recipe: dict[str, Any], cards: Sequence[ModelCard]) -> dict[str, Any]:
    """Return `recipe` with its model's own size and standard settings where it says nothing."""
    wanted = recipe.get("model", "")
    card = next((card for card in cards if wanted in ("", card.id)), None)
    if card is None:
        return {"kind": "text_to_image", **recipe}  # the engine says which models there are
    standard = card.qualities.get("standard") or next(iter(card.qualities.values()))
    width, height = card.sizes[0]
    return {"kind": "text_to_image", "model": card.id, "width": width, "height": height, **asdict(standard), **recipe}


async def _answer(page: Page, job: Job, request: gr.Request) -> dict[str, Any]:
    async with aclosing(job.stream()) as events:
        async for event in events:
            match event:
                case Finished():
                    return _pictures(page, job, event, request)
                case Failed():
                    raise StudioError(event.message, event.hint)
                case Cancelled():
                    raise StudioError(f"The job was stopped at step {event.at_step}.")
    raise StudioError("The job ended without an answer.", "Try again.")


def _pictures(page: Page, job: Job, finished: Finished, request: gr.Request) -> dict[str, Any]:
    pictures = [
        {
            "id": record,
            "seed": seed,
            "png": base64.b64encode(page.entry(record, request).path.read_bytes()).decode("ascii"),
        }
        for record, seed in zip(finished.records, finished.seeds, strict=True)
    ]
    return {
        "job": job.id,
        "request": job.request.model_dump(mode="json"),
        "pictures": pictures,
        "seconds": finished.seconds,
        "facts": finished.facts,
        "notes": list(finished.notes),
    }
