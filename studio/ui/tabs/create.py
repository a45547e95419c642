"""The prompt-to-image tab: words in, a picture that appears step by step out."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr
from gradio.components import Component

from studio.requests import TextToImage
from studio.ui import components
from studio.ui.desk import Desk, run
from studio.ui.form import Form
from studio.ui.presets import (
    NO_MODEL,
    Presets,
    quality_choices,
    quality_of,
    scheduler_choices,
    size_title,
    wire_presets,
)
from studio.ui.studio import ModelCard
from studio.ui.tabs.tab import QUICK, Page, Tab
from studio.ui.texts import text
from studio.ui.words import toggle_word

_MOST_STEPS, _LARGEST_SIDE = 100, 1024  # what the sliders offer; the command line takes all that requests allow


def build(page: Page) -> None:
    """Lay out the tab and wire it."""
    cards = list(page.studio.models()) or [NO_MODEL]
    form, desk = Form(TextToImage), Desk(TAB.id)
    with gr.Row(elem_classes=["desk"]):
        with gr.Column(elem_classes=["desk-ask"], min_width=0):
            style_words, examples = _ask(form, desk, cards[0])
        with gr.Column(elem_classes=["desk-settings"], min_width=0):
            size, quality = _settings(form, cards)
        with gr.Column(elem_classes=["desk-stage"], min_width=0):
            desk.stage_and_actions(page, form=form)
    wire_presets(form, Presets(size, quality, style_words, examples), {card.id: card for card in cards})
    _wire_words(form.controls["prompt"], style_words, examples)
    page.sends.receive_recipes("text_to_image", tab=TAB.id, fill=form.fill, outputs=form.outputs)
    run(
        page,
        desk,
        kinds=["text_to_image"],
        read=lambda values, _request: form.read(values),
        inputs=form.controls,
        also=[form.controls["prompt"].submit],  # type: ignore[attr-defined]
        form=form,
    )


def _ask(form: Form, desk: Desk, card: ModelCard) -> tuple[gr.HTML, gr.HTML]:
    form.textbox(
        "prompt",
        lines=3,
        max_lines=8,
        placeholder=text("prompt_placeholder"),
        info=None,
        elem_id="prompt",
        autofocus=True,
    )
    style_words = components.chips("style_words", card.style_words, elem_classes=["style-words"])
    desk.buttons()
    return style_words, components.chips("examples", card.examples, elem_classes=["examples"])


def _settings(form: Form, cards: Sequence[ModelCard]) -> tuple[gr.Radio, gr.Radio]:
    card = cards[0]
    standard = quality_of(card, "standard")
    sizes = [size_title(size) for size in card.sizes]
    names = quality_choices(card)
    start = "standard" if "standard" in card.qualities else None
    size = gr.Radio(sizes, value=sizes[0], label=text("size"), elem_classes=["pills"], elem_id="size")
    quality = gr.Radio(names, value=start, label=text("quality"), elem_classes=["pills"], elem_id="quality")
    with gr.Accordion(text("advanced"), open=False, elem_id="advanced"):
        form.textbox("negative_prompt", lines=1, max_lines=4, placeholder=text("negative_placeholder"))
        form.slider("steps", maximum=_MOST_STEPS, value=standard.steps)
        form.slider("guidance_scale", value=standard.guidance_scale)
        form.dropdown("scheduler", scheduler_choices(card), value=standard.scheduler)
        form.textbox("seed", max_lines=1, placeholder=text("seed_placeholder"), elem_id="seed")
        form.slider("batch")
        with gr.Row():
            form.slider("width", maximum=_LARGEST_SIDE, value=card.sizes[0][0], min_width=120)
            form.slider("height", maximum=_LARGEST_SIDE, value=card.sizes[0][1], min_width=120)
        form.dropdown("model", [(it.title, it.id) for it in cards], value=card.id, info=None)
    return size, quality


def _wire_words(prompt: Component, style_words: gr.HTML, examples: gr.HTML) -> None:
    def add_word(words: str, event: gr.EventData) -> str:
        return toggle_word(words, str(event._data["word"]))

    def take_example(event: gr.EventData) -> str:
        return str(event._data["word"])

    style_words.choose(add_word, [prompt], [prompt], **QUICK)
    examples.choose(take_example, None, [prompt], **QUICK)


TAB = Tab(id="create", title="tab_create", build=build)
