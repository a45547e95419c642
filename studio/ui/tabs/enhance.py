"""The Enhance tab: larger pictures, and films from one prompt or seed to another."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.errors import InvalidRequest
from studio.requests import Request, Upscale, Walk, parse
from studio.ui import components
from studio.ui.addon_choice import addon_choice
from studio.ui.desk import Desk, run
from studio.ui.form import Form
from studio.ui.presets import Cards, quality_of, scheduler_choices, size_title
from studio.ui.studio import ModelCard
from studio.ui.tabs.tab import QUICK, Page, Tab
from studio.ui.texts import text
from studio.ui.well_routes import example_files
from studio.ui.wells import picture_well, read_well, well_value

_MOST_FRAMES, _MOST_STEPS = 120, 100


def build(page: Page) -> None:
    """Lay out the tab and wire it."""
    cards = Cards(lambda: [card for card in page.studio.models() if _can_enhance(card)])
    larger, walk, desk = Form(Upscale), Form(Walk), Desk(TAB.id)
    contents = [name for name in example_files() if not name.startswith("style-")]
    with gr.Row(elem_classes=["desk"]):
        with gr.Column(elem_classes=["desk-ask"], min_width=0):
            well = picture_well("enhance_source", examples=contents, elem_id="enhance-source")
            page.sends.way_button("detail", well, text("enhance_detail"), elem_id="enhance-detail")
            _lay_larger(page, larger)
            desk.buttons(text("enhance_go"))
        with gr.Column(elem_classes=["desk-settings"], min_width=0):
            _lay_advanced(page, larger, cards)
            film, size = _lay_walk(walk, cards[""])
        with gr.Column(elem_classes=["desk-stage"], min_width=0):
            desk.stage_and_actions(page, idle="enhance_idle_title")
            with desk.actions:
                page.sends.way_button("detail", desk.stage, text("enhance_detail"), elem_id="enhance-detail-result")
            components.piece(
                "filmPlayer",
                None,
                scripts=["page/film_player.js"],
                markup=f'<div class="film-player" data-tab="{TAB.id}"></div>',
            )
    controls = {f"walk_{name}": control for name, control in walk.controls.items()}
    _wire_model(page, larger, walk, size=size, cards=cards)
    run(
        page,
        desk,
        kinds=["upscale", "walk"],
        read=lambda values, _request: _upscale(larger, values),
        inputs={"well": well, **larger.controls, **controls, "walk_size": size},
        others=[(film.click, lambda values, _request: _walk(walk, values, cards))],
    )
    _wire_sends(page, well)


def _lay_larger(page: Page, form: Form) -> None:
    form.add("scale", gr.Radio([("2×", 2), ("4×", 4)], value=2, label=_title("scale"), elem_classes=["pills"],
                               elem_id="enhance-scale"))  # fmt: skip
    methods = [(text("enhance_plain"), "plain"), (text("enhance_refine"), "refine")]
    form.add("method", gr.Radio(methods, value="plain", label=_title("method"), elem_classes=["pills"],
                                elem_id="enhance-method"))  # fmt: skip
    addon_choice(page, TAB.id, form, "upscaler", "upscaler", none="enhance_lanczos", info=None,
                 elem_id="enhance-upscaler")  # fmt: skip
    with gr.Column(visible=False, min_width=0) as detail:
        form.textbox(
            "prompt", lines=1, max_lines=4, placeholder=text("enhance_prompt_placeholder"), elem_id="enhance-prompt"
        )
        form.slider("strength", elem_id="enhance-strength")
    form.controls["method"].change(  # type: ignore[attr-defined]
        lambda method: gr.Column(visible=method == "refine"), [form.controls["method"]], [detail], **QUICK
    )


def _can_enhance(card: ModelCard) -> bool:
    """Tell whether a model can repaint a picture and mix prompts; as `studio.enhance.models` has it."""
    return not (card.is_inpainting or card.draws_tokens or card.is_stock)


def _lay_advanced(page: Page, form: Form, cards: Cards) -> None:
    card = cards[""]
    standard = quality_of(card, "standard")
    with gr.Accordion(text("advanced"), open=False, elem_id="enhance-advanced", elem_classes=["fold"]):
        form.textbox("negative_prompt", lines=1, max_lines=4, placeholder=text("negative_placeholder"))
        form.textbox("seed", max_lines=1, placeholder=text("seed_placeholder"))
        form.slider("steps", maximum=_MOST_STEPS, value=standard.steps)
        form.slider("guidance_scale", value=standard.guidance_scale)
        form.dropdown("scheduler", scheduler_choices(card), value=standard.scheduler, elem_id="enhance-scheduler")
        form.dropdown("model", cards.choices(), value=card.id, info=None, visible=bool(card.id),
                      elem_id="enhance-model")  # fmt: skip
        addon_choice(page, TAB.id, form, "vae", "vae", none="vae_own", info=None, elem_id="enhance-vae")


def _lay_walk(form: Form, card: ModelCard) -> tuple[gr.Button, gr.Radio]:
    """Lay out the walk; returns its button and the choice of a size."""
    with gr.Accordion(text("walk_title"), open=True, elem_id="enhance-walk", elem_classes=["fold"]):
        form.textbox("prompt", lines=1, max_lines=4, placeholder=text("walk_prompt_placeholder"), info=None,
                     elem_id="walk-prompt")  # fmt: skip
        form.textbox("to_prompt", lines=1, max_lines=4, placeholder=text("walk_to_placeholder"), elem_id="walk-to")
        with gr.Row():
            form.textbox("seed", max_lines=1, placeholder=text("seed_placeholder"), info=None, elem_id="walk-seed")
            form.textbox("to_seed", max_lines=1, placeholder=text("seed_placeholder"), info=None)
        size = gr.Radio(**_sizes(card), label=text("size"), elem_classes=["pills"], elem_id="walk-size")
        form.slider("frames", maximum=_MOST_FRAMES, elem_id="walk-frames")
        with gr.Row():
            form.checkbox("ease")
            form.checkbox("bounce")
        with gr.Row():
            form.add("format", gr.Radio([("MP4", "mp4"), ("GIF", "gif"), ("WebP", "webp")], value="mp4",
                                        label=text("field_walk_format"), elem_classes=["pills"]))  # fmt: skip
            form.slider("fps", maximum=30)
        form.slider("steps", maximum=_MOST_STEPS, value=quality_of(card, "standard").steps)
        return gr.Button(text("walk_go"), elem_id="walk-go"), size


def _sizes(card: ModelCard) -> dict[str, Any]:
    """Return a size choice's options, the model's own chosen."""
    titles = [size_title(size) for size in card.sizes]
    return {"choices": titles, "value": titles[0]}


def _wire_model(page: Page, larger: Form, walk: Form, *, size: gr.Radio, cards: Cards) -> None:
    """Follow the Models tab, where models come and go; a model brings its steps, guidance, schedulers and sizes."""
    model = larger.controls["model"]
    drawn = [larger.controls[name] for name in ("steps", "guidance_scale", "scheduler")]

    def suit(model_id: str) -> list[Any]:
        standard = quality_of(card := cards[model_id], "standard")
        scheduler = gr.Dropdown(scheduler_choices(card), value=standard.scheduler)
        return [standard.steps, standard.guidance_scale, scheduler, standard.steps, gr.Radio(**_sizes(card))]

    model.input(suit, [model], [*drawn, walk.controls["steps"], size], **QUICK)  # type: ignore[attr-defined]
    page.tabs[TAB.id].select(lambda: gr.Dropdown(cards.choices(), visible=len(cards) > 0), None, [model], **QUICK)


def _title(name: str) -> Any:
    return text(f"field_upscale_{name}")


def _upscale(form: Form, values: dict[str, Any]) -> Request:
    well = read_well(values["well"])
    if not well.refs:
        raise InvalidRequest("There is no picture yet.", "Choose the picture to enlarge.", field="source")
    given = {name: values[name] for name in form.controls if values[name] is not None}
    return parse({"kind": "upscale", "source": well.refs[0], **given})


def _walk(form: Form, values: dict[str, Any], cards: Cards) -> Request:
    """Return the walk; a size that the chosen model does not offer, as of the one before, gives its own."""
    shared = {name: values[name] for name in ("model", "vae", "guidance_scale", "scheduler", "negative_prompt")}
    own = {name: values[f"walk_{name}"] for name in form.controls}
    sizes = cards[values["model"]].sizes
    width, height = next((size for size in sizes if size_title(size) == values["walk_size"]), sizes[0])
    given = {name: value for name, value in {**shared, **own}.items() if value is not None}
    return parse({"kind": "walk", "width": width, "height": height, **given})


def _wire_sends(page: Page, well: gr.HTML) -> None:
    def take(record: str, request: gr.Request) -> Any:
        picture = page.studio.gallery.open(record, owner=page.sees(request))
        return well_value([(page.studio.pictures.put(picture), picture)])

    page.sends.receive(TAB.id, take=take, outputs=[well])


TAB = Tab(id="enhance", title="tab_enhance", build=build, receives=True)
