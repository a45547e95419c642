"""The Style tab: a picture, a style in pictures or words, and the picture in that style."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from studio.errors import StudioError
from studio.stylize.presets import SHIPPED, StylePreset, keep_presets, load_presets, read_presets
from studio.ui import components
from studio.ui.addon_choice import addon_choice
from studio.ui.control_fold import control_fold
from studio.ui.desk import Desk, run
from studio.ui.film_page.opening import opens_films
from studio.ui.film_page.panel import FilmPanel
from studio.ui.presets import NO_MODEL, Cards, quality_of, scheduler_choices
from studio.ui.studio import ModelCard
from studio.ui.style_form import Asked, StyleForm, method_choices
from studio.ui.tabs.tab import QUICK, Page, Tab
from studio.ui.texts import text
from studio.ui.well_routes import example_files
from studio.ui.wells import well_value

_MOST_STEPS = 100


def build(page: Page) -> None:
    """Lay out the tab and wire it."""
    live = Cards(page.studio.models)
    cards = [card for card in page.studio.models() if not card.is_stock] or [NO_MODEL]
    own = page.studio.extras.get("style")
    known = partial(_known, own)
    form, desk = StyleForm(page.studio.pictures.get, known), Desk(TAB.id)
    with gr.Row(elem_classes=["desk"]):
        with gr.Column(elem_classes=["desk-ask"], min_width=0):
            content, references = form.wells(list(example_files()))
            presets, upload = _words(form, known(), can_import=own is not None)
            desk.buttons(text("style_apply"))
            try_all = gr.Button(text("style_try_all"), elem_id="style-try-all", size="sm")
        with gr.Column(elem_classes=["desk-settings"], min_width=0):
            methods = _settings(page, form, cards)
            form.steering = control_fold(page, TAB.id, form, name="style-control")
        form.asked = Asked(content, references, presets, methods)
        with gr.Column(elem_classes=["desk-stage"], min_width=0):
            desk.stage_and_actions(page, form=form, idle="style_idle")
            film = FilmPanel(page, TAB.id, [(card.title, card.id) for card in cards], takes_masks=False)
            film.lay_out()
            opens_films(page, desk)
    if own is not None:
        _wire_import(page, upload, presets, desk=desk, own=own)
    for well in (content, references):  # what was missing may be there now
        well.change(None, None, [desk.notice], js="() => null")
    _wire_sends(page, form, content)
    _wire_model(page, form, live)
    run(
        page,
        desk,
        kinds=["stylize"],
        read=lambda values, _request: form.read(values),
        inputs={**form.inputs, **film.inputs},
        others=[(try_all.click, lambda values, _request: form.read_all(values)), *film.others],
        form=form,
    )


def _words(
    form: StyleForm, known: Mapping[str, StylePreset], *, can_import: bool
) -> tuple[gr.Dropdown, gr.UploadButton]:
    form.textbox(
        "prompt", lines=2, max_lines=6, placeholder=text("style_prompt_placeholder"), info=None, elem_id="style-prompt"
    )
    presets = gr.Dropdown(
        list(known), value=[], multiselect=True, label=text("style_presets"), info=text("style_presets_help"),
        elem_id="style-presets",
    )  # fmt: skip
    upload = gr.UploadButton(
        text("style_import"),  # type: ignore[arg-type]  # translated like every label
        file_types=[".json", ".csv"], type="filepath", size="sm", visible=can_import,
        elem_id="style-import",
    )  # fmt: skip
    return presets, upload


def _method(title: str, *, none: str) -> gr.Dropdown:
    return gr.Dropdown(
        method_choices(none=none),
        value="",
        label=text(title),
        info=text(f"{title}_help"),
        elem_id=title.replace("_", "-"),
    )


def _settings(page: Page, form: StyleForm, cards: list[ModelCard]) -> tuple[gr.Dropdown, gr.Dropdown, gr.Dropdown]:
    standard = quality_of(cards[0], "standard")
    first = _method("style_method", none="style_automatic")
    form.slider("strength", elem_id="style-strength")
    form.slider("structure", elem_id="style-structure")
    form.checkbox("keep_colours", elem_id="style-keep-colours")
    form.textbox("seed", max_lines=1, placeholder=text("seed_placeholder"), elem_id="style-seed")
    with gr.Accordion(text("advanced"), open=False, elem_id="style-advanced", elem_classes=["fold"]):
        second = _method("style_then", none="style_nothing_more")
        third = _method("style_last", none="style_nothing_more")
        form.slider("size", maximum=1536)
        form.slider("batch", maximum=8)
        form.textbox("negative_prompt", lines=1, max_lines=4, placeholder=text("negative_placeholder"))
        form.slider("steps", maximum=_MOST_STEPS, value=standard.steps)
        form.slider("guidance_scale", value=standard.guidance_scale)
        form.dropdown("scheduler", scheduler_choices(cards[0]), value=standard.scheduler)
        form.dropdown(
            "model", [(it.title, it.id) for it in cards], value=cards[0].id, info=None, visible=bool(cards[0].id)
        )
        addon_choice(page, TAB.id, form, "vae", "vae", none="vae_own", info=None)
    return first, second, third


def _known(own: Path | None) -> dict[str, StylePreset]:
    """Return the ready-made styles: the shipped ones, and the artist's own."""
    return load_presets((SHIPPED, *([own] if own is not None else [])))


def _wire_import(page: Page, upload: gr.UploadButton, presets: gr.Dropdown, *, desk: Desk, own: Path) -> None:
    def take_in(path: str, chosen: list[str]) -> list[Any]:
        try:
            found = read_presets(Path(path))
            keep_presets(found, own)
        except StudioError as error:
            return [gr.skip(), components.notice_value(error)]
        return [gr.Dropdown(list(_known(own)), value=[*chosen, *(it.name for it in found[:1])]), None]

    upload.upload(take_in, [upload, presets], [presets, desk.notice], **QUICK)
    page.blocks.load(lambda: gr.Dropdown(list(_known(own))), None, [presets], **QUICK)


def _wire_model(page: Page, form: StyleForm, live: Cards) -> None:
    """Follow the Models tab, where models come and go; a model brings its standard steps, guidance and scheduler."""
    model, drawn = form.controls["model"], [form.controls[name] for name in ("steps", "guidance_scale", "scheduler")]

    def suit(model_id: str) -> list[Any]:
        standard = quality_of(card := live[model_id], "standard")
        scheduler = gr.Dropdown(scheduler_choices(card), value=standard.scheduler)
        return [standard.steps, standard.guidance_scale, scheduler]

    model.input(suit, [model], drawn, **QUICK)  # type: ignore[attr-defined]
    page.tabs[TAB.id].select(lambda: gr.Dropdown(live.choices(), visible=len(live) > 0), None, [model], **QUICK)


def _wire_sends(page: Page, form: StyleForm, content: gr.HTML) -> None:
    def take(record: str, request: gr.Request) -> Any:
        picture = page.studio.gallery.open(record, owner=page.sees(request))
        return well_value([(page.studio.pictures.put(picture), picture)])

    page.sends.receive(TAB.id, take=take, outputs=[content])
    page.sends.receive_recipes("stylize", tab=TAB.id, fill=form.fill, outputs=form.outputs, names=form.names)


TAB = Tab(id="style", title="tab_style", build=build, receives=True)
