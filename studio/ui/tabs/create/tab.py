"""The prompt-to-image tab: words in, a picture that appears step by step out."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.requests import Request
from studio.ui import components
from studio.ui.control_fold import control_fold
from studio.ui.desk import Desk, run
from studio.ui.film_page.opening import opens_films
from studio.ui.film_page.panel import FilmPanel
from studio.ui.presets import NO_MODEL, Cards, Presets, wire_presets
from studio.ui.studio import ModelCard
from studio.ui.tabs.create.craft import Craft
from studio.ui.tabs.create.form import CreateForm
from studio.ui.tabs.create.history import history_fold, remember
from studio.ui.tabs.create.live import forecast_line, prompt_line, wire_live
from studio.ui.tabs.create.series import series_fold, wire_series
from studio.ui.tabs.create.settings import lay_settings
from studio.ui.tabs.create.styles import style_fold, wire_styles
from studio.ui.tabs.tab import QUICK, Page, Tab
from studio.ui.texts import text


def build(page: Page) -> None:
    """Lay out the tab and wire it."""
    cards = [card for card in page.studio.models() if not card.is_inpainting] or [NO_MODEL]
    craft = Craft(page.studio, cards)
    form, desk = CreateForm(craft.styles), Desk(TAB.id)
    with gr.Row(elem_classes=["desk"]):
        with gr.Column(elem_classes=["desk-ask"], min_width=0):
            line, forecast, style_words, examples = _ask(craft, form, desk)
        with gr.Column(elem_classes=["desk-settings"], min_width=0):
            size, quality = lay_settings(page, TAB.id, form, cards)
            shelf = style_fold(craft, form)
            form.steering = control_fold(page, TAB.id, form, name="control")
            history_fold(page, craft, form)
            panel = series_fold() if craft.is_owners else None
        with gr.Column(elem_classes=["desk-stage"], min_width=0):
            desk.stage_and_actions(page, form=form)
            film = FilmPanel(page, TAB.id, [(card.title, card.id) for card in cards])
            film.lay_out()
            opens_films(page, desk)
    live = Cards(lambda: [card for card in page.studio.models() if not card.is_inpainting])
    wire_presets(form, Presets(size, quality, style_words, examples), live)
    page.tabs[TAB.id].select(  # models come and go in the Models tab
        lambda: gr.Dropdown(choices=live.choices()), None, [form.controls["model"]], **QUICK
    )
    wire_styles(page, craft, form, desk=desk, fold=shelf)
    wire_live(page, craft, form, line=line, forecast=forecast)
    if panel is not None:
        wire_series(page, craft, form, desk=desk, panel=panel)
    page.sends.receive_recipes("text_to_image", tab=TAB.id, fill=form.fill, outputs=form.outputs, names=form.names)

    def read(values: dict[str, Any], request: gr.Request) -> Request:
        return remember(craft, form.read(values), page.owner(request))

    run(
        page,
        desk,
        kinds=["text_to_image"],
        read=read,
        inputs={**film.inputs, **form.inputs},
        others=film.others,
        js=film.js,
        also=[form.controls["prompt"].submit],  # type: ignore[attr-defined]
        form=form,
    )


def _ask(craft: Craft, form: CreateForm, desk: Desk) -> tuple[gr.HTML, gr.HTML, gr.HTML, gr.HTML]:
    card: ModelCard = craft.cards[0]
    form.textbox(
        "prompt",
        lines=3,
        max_lines=8,
        placeholder=text("prompt_placeholder"),
        info=None,
        elem_id="prompt",
        autofocus=True,
    )
    line = prompt_line()
    style_words = components.style_chips(card.style_words, elem_classes=["style-words"])
    desk.buttons()
    forecast = forecast_line()
    return line, forecast, style_words, components.example_chips(card.examples, elem_classes=["examples"])


TAB = Tab(id="create", title="tab_create", build=build)
