"""The Inpaint tab: paint the part to change, say what should be there, compare, accept, go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from studio.errors import InvalidRequest, StudioError
from studio.inpaint.methods import METHODS, Method, find_method
from studio.ui import components
from studio.ui.addon_choice import addon_choice
from studio.ui.canvas.canvas import flush_js, mask_canvas, show
from studio.ui.control_fold import control_fold
from studio.ui.desk import Desk, run
from studio.ui.film_page.opening import opens_films
from studio.ui.film_page.panel import FilmPanel
from studio.ui.inpaint_form import EDGE, SIDES, Asked, InpaintForm, choices, edge_of, standard_of
from studio.ui.presets import NO_MODEL, Cards, quality_choices, quality_of, scheduler_choices, wire_quality
from studio.ui.sends import picture_id
from studio.ui.stream import IDLE
from studio.ui.studio import ModelCard
from studio.ui.tabs.tab import QUICK, Page, Tab
from studio.ui.texts import text
from studio.ui.well_routes import example_files
from studio.ui.wells import read_well

_MOST_STEPS, _MOST_CANDIDATES, _LARGEST_SIDE, _HOTTEST = 100, 8, 1024, 2
_PREFILLS = ("original", "blur", "telea", "navier_stokes", "colour", "noise")
DETAIL: dict[str, Any] = {"method": "diffusion", "area": "masked", "strength": 0.4, "prefill": "original"}
"""What suits adding detail to a painted part: the part alone, at the model's own size, its shapes kept."""
_VIEWS = '<div class="inpaint-views" role="group"></div>'


def build(page: Page) -> None:
    """Lay out the tab and wire it."""
    form, desk = InpaintForm(page.studio.models), Desk(TAB.id)
    with gr.Row(elem_classes=["desk", "inpaint-desk"]):
        with gr.Column(elem_classes=["desk-ask"], min_width=0):
            first = _ask(form, desk)
        with gr.Column(elem_classes=["desk-settings"], min_width=0):
            card = (form.models_for(first.name) or [NO_MODEL])[0]
            quality = _settings(form, card)
            sides = _sides()
            _mask(form, first)
            form.steering = control_fold(page, TAB.id, form, name="inpaint-control", classes=["for-model", "for-noise"])
            _advanced(page, form, card, first)
        with gr.Column(elem_classes=["desk-stage"], min_width=0):
            canvas = _work(page, form, desk, sides)
            film = FilmPanel(page, TAB.id, form.model_choices("diffusion"), takes_masks=False)
            film.lay_out()
            opens_films(page, desk)
    form.asked = Asked(canvas, sides)
    wire_quality(form, quality, Cards(page.studio.models))
    _wire_method(page, form, desk, quality)
    _wire_pictures(page, form)
    for change in (canvas.change, *(side.change for side in sides)):  # what was missing or too much may be right now
        change(None, None, [desk.notice], js="() => null")
    run(
        page,
        desk,
        kinds=["inpaint"],
        read=lambda values, _request: form.read(values),
        inputs={**form.inputs, **film.inputs},
        others=film.others,
        form=form,
        js=f"async (...values) => tessera.askFill(...(await ({flush_js(TAB.id)})(...values)))",
    )


def _ask(form: InpaintForm, desk: Desk) -> Method:
    """Lay out what is asked for; returns the method that is chosen at first: the first that can run."""
    first = next(method for method in form.methods if not method.needs_model or form.models_for(method.name))
    form.radio(
        "method",
        form.method_choices,
        value=first.name,
        info=text(f"fill_{first.name}_help"),
        elem_classes=["pills"],
        elem_id="inpaint-method",
    )
    with gr.Column(elem_classes=["for-model"], min_width=0):
        form.textbox(
            "prompt",
            lines=2,
            max_lines=6,
            placeholder=text("inpaint_prompt_placeholder"),
            info=None,
            elem_id="inpaint-prompt",
        )
    desk.buttons(text("generate" if first.needs_model else "inpaint_repair"))
    return first


def _settings(form: InpaintForm, card: ModelCard) -> gr.Radio:
    with gr.Column(elem_classes=["for-model"], min_width=0):
        quality = gr.Radio(
            quality_choices(card),
            value="standard" if "standard" in card.qualities else None,
            label=text("quality"),
            elem_classes=["pills"],
            elem_id="inpaint-quality",
        )
        form.slider("strength", elem_id="inpaint-strength")
        form.slider("batch", maximum=_MOST_CANDIDATES, elem_id="inpaint-candidates")
    return quality


def _sides() -> tuple[gr.Number, ...]:
    with gr.Accordion(text("inpaint_extend"), open=False, elem_id="inpaint-extend", elem_classes=["fold"]):
        with gr.Row(elem_classes=["inpaint-sides"]):
            sides = tuple(
                gr.Number(
                    0,
                    precision=0,
                    step=8,
                    label=text(f"inpaint_{side}"),
                    min_width=0,
                    elem_id=f"inpaint-{side}",
                    elem_classes=[f"side-{side}"],
                )
                for side in SIDES
            )
            gr.HTML("<div></div>", elem_classes=["side-picture"], apply_default_css=False)
        with gr.Row(elem_classes=["inpaint-sides-buttons"]):
            quarter = gr.Button(text("inpaint_all_round"), size="sm", min_width=80, elem_id="inpaint-all-round")
            none = gr.Button(text("inpaint_no_extension"), size="sm", min_width=80)
    shown: dict[str, Any] = {"js": "(...sides) => { tessera.showAdded?.(...sides); }", **QUICK}
    gr.on([side.change for side in sides], None, list(sides), None, **shown)
    quarter.click(None, None, list(sides), js="() => tessera.aQuarterAllRound()", **QUICK)
    none.click(None, None, list(sides), js="() => [0, 0, 0, 0]", **QUICK)
    return sides


def _mask(form: InpaintForm, first: Method) -> None:
    with gr.Accordion(text("inpaint_mask"), open=False, elem_id="inpaint-mask", elem_classes=["fold"]):
        for name, value in zip(EDGE, edge_of(first), strict=True):
            form.slider(name, value=value, elem_id=f"inpaint-{name}")
        with gr.Column(elem_classes=["for-model"], min_width=0):
            form.checkbox("soft")
            form.checkbox("match_colours")


def _advanced(page: Page, form: InpaintForm, card: ModelCard, method: Method) -> None:
    standard = quality_of(card, "standard")
    classes = ["fold", "for-model"]
    with gr.Accordion(text("advanced"), open=False, elem_id="inpaint-advanced", elem_classes=classes):
        form.textbox("negative_prompt", lines=1, max_lines=4, placeholder=text("negative_placeholder"))
        form.textbox("seed", max_lines=1, placeholder=text("seed_placeholder"), elem_id="inpaint-seed")
        form.dropdown("area", choices("inpaint_area", ("masked", "whole")), elem_id="inpaint-area")
        form.slider("padding")
        how = form.dropdown("prefill", choices("prefill", _PREFILLS), elem_id="inpaint-prefill")
        colour = form.colour("fill_colour", visible=False, elem_id="inpaint-colour")
        form.slider("steps", maximum=_MOST_STEPS, value=standard.steps)
        form.slider("guidance_scale", value=standard.guidance_scale)
        with gr.Column(elem_classes=["for-tokens"], min_width=0):
            form.slider("temperature", maximum=_HOTTEST)
        form.dropdown("scheduler", scheduler_choices(card), value=standard.scheduler)
        form.slider("size", maximum=_LARGEST_SIDE)
        form.dropdown("model", form.model_choices(method.name), value=card.id, info=None, visible=bool(form.cards))
        addon_choice(page, TAB.id, form, "vae", "vae", none="vae_own", info=None)
    how.change(lambda name: gr.ColorPicker(visible=name == "colour"), [how], [colour], **QUICK)


def _work(page: Page, form: InpaintForm, desk: Desk, sides: Sequence[gr.Number]) -> gr.HTML:
    methods = {method.name: method.needs_model for method in METHODS}
    components.piece(
        "inpaintViews",
        {"methods": methods, "method": form.controls["method"].value},
        scripts=["page/inpaint.js"],
        markup=_VIEWS,
        elem_classes=["inpaint-switch"],
    )
    examples = [name for name in example_files() if not name.startswith("style-")]
    canvas = mask_canvas(TAB.id, examples=examples, elem_id="inpaint-canvas")
    desk.stage_and_actions(page, idle="inpaint_idle")
    with desk.actions:
        accept = gr.Button(
            text("inpaint_accept"),
            variant="primary",
            size="sm",
            min_width=100,
            elem_id="inpaint-accept",
            elem_classes=["inpaint-accept"],
        )
        throw = gr.Button(
            text("inpaint_throw_away"), size="sm", min_width=80, elem_id="inpaint-throw", elem_classes=["inpaint-throw"]
        )
        reuse = gr.Button(text("reuse_seed"), size="sm", min_width=80, elem_id="inpaint-reuse-seed")
    _wire_candidates(page, form, desk, sides=sides, accept=accept, throw=throw, reuse=reuse)
    return canvas


def _wire_candidates(
    page: Page,
    form: InpaintForm,
    desk: Desk,
    *,
    sides: Sequence[gr.Number],
    accept: gr.Button,
    throw: gr.Button,
    reuse: gr.Button,
) -> None:
    def throw_away(stage: dict[str, Any], request: gr.Request) -> dict[Any, Any]:
        """Take the chosen candidate off the stage; the gallery's trash keeps it for a while."""
        record = picture_id(stage)
        try:
            if not page.studio.for_guests:
                page.studio.gallery.trash([record], owner=page.sees(request))
        except StudioError as error:
            return {desk.notice: components.notice_value(error)}
        left = [picture for picture in stage["pictures"] if picture["id"] != record]
        value = {**stage, "pictures": left, "chosen": 0} if left else dict(IDLE)
        return {desk.stage: value, desk.actions: gr.Row(visible=bool(left)), desk.notice: None}

    def seed_of(stage: dict[str, Any], request: gr.Request) -> list[Any]:
        try:
            return [str(page.entry(picture_id(stage), request).seed), None]
        except StudioError as error:
            return [gr.skip(), components.notice_value(error)]

    accept.click(None, [desk.stage], list(sides), js="(stage) => tessera.acceptFill(stage)", **QUICK)
    throw.click(throw_away, [desk.stage], [desk.stage, desk.actions, desk.notice], **QUICK)
    reuse.click(seed_of, [desk.stage], [form.controls["seed"], desk.notice], **QUICK)


def _wire_method(page: Page, form: InpaintForm, desk: Desk, quality: gr.Radio) -> None:
    method, model = form.controls["method"], form.controls["model"]
    drawn = [quality, *(form.controls[name] for name in ("steps", "guidance_scale", "scheduler"))]

    def change(name: str) -> list[Any]:
        chosen = find_method(name)
        title = text("generate" if chosen.needs_model else "inpaint_repair")
        return [gr.Radio(info=text(f"fill_{name}_help")), gr.Button(title)]

    def suit(name: str, model_id: str) -> list[Any]:
        """Go over to the edge that suits the method, and to a model that does where the chosen one does not."""
        fitting, edge = form.models_for(name), edge_of(find_method(name))
        if not find_method(name).needs_model or not fitting or model_id in [card.id for card in fitting]:
            return [*edge, *[gr.skip()] * (1 + len(drawn))]
        return [*edge, gr.Dropdown(form.model_choices(name), value=fitting[0].id), *standard_of(fitting[0])]

    method.change(  # type: ignore[attr-defined]
        change,
        [method],
        [method, desk.generate],
        js="(method) => { tessera.fillMethod?.(method); return [method]; }",
        **QUICK,
    )

    def look_again(name: str) -> list[Any]:
        """Models come and go in the Models tab."""
        return [gr.Radio(choices=form.method_choices), gr.Dropdown(form.model_choices(name), visible=bool(form.cards))]

    page.tabs[TAB.id].select(look_again, [method], [method, model], **QUICK)
    edges = [form.controls[name] for name in EDGE]
    method.input(suit, [method, model], [*edges, model, *drawn], **QUICK)  # type: ignore[attr-defined]
    model.input(lambda name: standard_of(form.card(name)), [model], drawn, **QUICK)  # type: ignore[attr-defined]


def _wire_pictures(page: Page, form: InpaintForm) -> None:
    def take(record: str, request: gr.Request) -> dict[str, Any]:
        picture = page.studio.gallery.open(record, owner=page.sees(request))
        return show(page.studio.pictures.put(picture))

    def detail(value: Any, request: gr.Request) -> list[Any]:
        """Take the picture of a well or a stage, to paint over what shall get more detail."""
        refs = read_well(value).refs if "palette" in (value or {}) else ()
        if not refs and not picture_id(value):
            raise InvalidRequest("There is no picture yet.", "Choose one, or make one.")
        opened = show(refs[0]) if refs else take(picture_id(value), request)
        return [opened, *DETAIL.values(), *[0] * len(SIDES)]

    page.sends.receive(TAB.id, take=take, outputs=[form.asked.canvas])
    controls = [form.controls[name] for name in DETAIL]
    page.sends.open_way("detail", tab=TAB.id, take=detail, outputs=[form.asked.canvas, *controls, *form.asked.sides])
    names = [*form.names, "source"]
    page.sends.receive_recipes(
        "inpaint", tab=TAB.id, fill=form.recall, outputs=[*form.outputs, form.asked.canvas], names=names
    )


TAB = Tab(id="inpaint", title="tab_inpaint", build=build, receives=True)
