"""The prompt history: every prompt that was used, searchable, one click or Alt+Up away."""

from __future__ import annotations

import logging
from typing import Any

import gradio as gr

from studio.errors import StudioError
from studio.requests import Request, TextToImage
from studio.ui import components
from studio.ui.tabs.create.craft import Craft
from studio.ui.tabs.create.form import CreateForm
from studio.ui.tabs.tab import QUICK, Page
from studio.ui.texts import text

logger = logging.getLogger(__name__)


def history_fold(page: Page, craft: Craft, form: CreateForm) -> gr.HTML:
    """Lay out and wire the history; returns its piece, whose value `history_value` gives."""
    with gr.Accordion(text("create_history"), open=False, elem_id="history-fold", elem_classes=["fold"]):
        piece = components.piece(
            "promptHistory", {}, scripts=["page/create.js"], events=["choose"], elem_id="prompt-history"
        )
    prompts = [form.controls["prompt"], form.controls["negative_prompt"]]

    def act(event: gr.EventData, request: gr.Request) -> list[Any]:
        given, owner = event._data, page.owner(request)
        if given.get("action") == "take":
            return [str(given.get("prompt", "")), str(given.get("negative", "")), gr.skip()]
        if given.get("action") == "forget":
            try:
                craft.history.forget(str(given.get("prompt", "")), str(given.get("negative", "")), owner=owner)
            except StudioError as error:
                logger.warning("%s", error)
        return [gr.skip(), gr.skip(), history_value(craft, owner, str(given.get("words", "")))]

    def opened(request: gr.Request) -> dict[str, Any]:
        return history_value(craft, page.owner(request))

    piece.choose(act, None, [*prompts, piece], trigger_mode="multiple", **QUICK)
    page.blocks.load(opened, None, [piece], **QUICK)
    return piece


def remember(craft: Craft, request: Request, owner: str) -> Request:
    """Put the prompts of `request` into `owner`'s history, and return it; a history that cannot be kept is no reason
    not to generate.
    """
    if isinstance(request, TextToImage):
        try:
            craft.history.add(request.prompt, request.negative_prompt, owner=owner)
        except StudioError as error:
            logger.warning("%s", error)
    return request


def history_value(craft: Craft, owner: str, words: str = "") -> dict[str, Any]:
    """Return `owner`'s latest prompts that hold `words`."""
    try:
        found = craft.history.find(words, owner=owner)
    except StudioError as error:
        logger.warning("%s", error)
        found = []
    return {
        "prompts": [{"prompt": used.prompt, "negative": used.negative_prompt, "times": used.times} for used in found]
    }
