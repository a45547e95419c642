"""The prompt-to-image tab: words in, a picture that appears step by step out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.errors import StudioError
from studio.jobs import Job
from studio.requests import TextToImage
from studio.ui import components
from studio.ui.form import Form
from studio.ui.sends import picture_id
from studio.ui.stream import Watchers
from studio.ui.studio import ModelCard, Quality
from studio.ui.tabs.tab import QUICK, Page, Tab
from studio.ui.texts import text
from studio.ui.words import toggle_word

_QUALITIES = ("draft", "standard", "fine")
_MOST_STEPS, _LARGEST_SIDE = 100, 1024  # what the sliders offer; the command line takes all that requests allow
_STAGE = "create-stage"

NO_MODEL = ModelCard(
    id="",
    title="",
    sizes=((256, 256),),
    schedulers={"dpmpp_2m": "DPM++ 2M"},
    qualities={"standard": Quality(steps=20, guidance_scale=4.0, scheduler="dpmpp_2m")},
)


@dataclass(frozen=True, slots=True)
class _Parts:
    """The tab's components that its events connect."""

    form: Form
    style_words: gr.HTML
    examples: gr.HTML
    generate: gr.Button
    stop: gr.Button
    notice: gr.HTML
    stage: gr.HTML
    actions: gr.Row
    size: gr.Radio
    quality: gr.Radio


def build(page: Page) -> None:
    """Lay out the tab and wire it."""
    cards = list(page.studio.models()) or [NO_MODEL]
    form = Form(TextToImage)
    with gr.Row(elem_classes=["desk"]):
        with gr.Column(elem_classes=["desk-ask"], min_width=0):
            ask = _ask(form, cards[0])
        with gr.Column(elem_classes=["desk-settings"], min_width=0):
            size, quality = _settings(form, cards)
        with gr.Column(elem_classes=["desk-stage"], min_width=0):
            stage = components.stage(_STAGE)
            with gr.Row(visible=False, elem_classes=["stage-actions"]) as actions:
                _actions(page, form, stage, ask["notice"])
    parts = _Parts(form=form, stage=stage, actions=actions, size=size, quality=quality, **ask)
    page.sends.receive_recipes("text_to_image", tab=TAB.id, fill=form.fill, outputs=form.outputs)
    _wire_presets(parts, {card.id: card for card in cards})
    _wire_words(parts)
    _wire_run(page, parts)


def size_title(size: tuple[int, int]) -> str:
    """Return what a size preset is called: "256 × 256"."""
    return f"{size[0]} × {size[1]}"


def quality_of(card: ModelCard, name: str) -> Quality:
    """Return the settings of a quality choice; a model without that choice gives its standard or only one."""
    return card.qualities.get(name) or card.qualities.get("standard") or next(iter(card.qualities.values()))


def _ask(form: Form, card: ModelCard) -> dict[str, Any]:
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
    with gr.Row(elem_classes=["desk-buttons"]):
        look = {"elem_id": "generate", "elem_classes": ["key-generate"], "scale": 3, "min_width": 80}
        generate = gr.Button(text("generate"), variant="primary", **look)
        look = {"elem_id": "stop", "elem_classes": ["key-stop"], "scale": 1, "min_width": 80}
        stop = gr.Button(text("stop"), interactive=False, **look)
    notice = components.notice()
    examples = components.chips("examples", card.examples, elem_classes=["examples"])
    return {"style_words": style_words, "generate": generate, "stop": stop, "notice": notice, "examples": examples}


def _settings(form: Form, cards: Sequence[ModelCard]) -> tuple[gr.Radio, gr.Radio]:
    card = cards[0]
    standard = quality_of(card, "standard")
    sizes = [size_title(size) for size in card.sizes]
    names = [(text(name), name) for name in _QUALITIES if name in card.qualities]
    start = "standard" if "standard" in card.qualities else None
    size = gr.Radio(sizes, value=sizes[0], label=text("size"), elem_classes=["pills"], elem_id="size")
    quality = gr.Radio(names, value=start, label=text("quality"), elem_classes=["pills"], elem_id="quality")
    with gr.Accordion(text("advanced"), open=False, elem_id="advanced"):
        form.textbox("negative_prompt", lines=1, max_lines=4, placeholder=text("negative_placeholder"))
        form.slider("steps", maximum=_MOST_STEPS, value=standard.steps)
        form.slider("guidance_scale", value=standard.guidance_scale)
        form.dropdown("scheduler", _schedulers(card), value=standard.scheduler)
        form.textbox("seed", max_lines=1, placeholder=text("seed_placeholder"), elem_id="seed")
        form.slider("batch")
        with gr.Row():
            form.slider("width", maximum=_LARGEST_SIDE, value=card.sizes[0][0], min_width=120)
            form.slider("height", maximum=_LARGEST_SIDE, value=card.sizes[0][1], min_width=120)
        form.dropdown("model", [(it.title, it.id) for it in cards], value=card.id, info=None)
    return size, quality


def _schedulers(card: ModelCard) -> list[tuple[str, str]]:
    return [(title, name) for name, title in card.schedulers.items()]


def _actions(page: Page, form: Form, stage: gr.HTML, notice: gr.HTML) -> None:
    """Lay out what can be done with the chosen picture."""
    reuse = gr.Button(text("reuse_seed"), size="sm", min_width=80, elem_id="reuse-seed")
    use = gr.Button(text("use_settings"), size="sm", min_width=80, elem_id="use-settings")
    download = gr.Button(text("download"), size="sm", min_width=80, elem_id="download")
    page.sends.buttons(stage, source=TAB.id)

    def seed_of(stage_value: dict[str, Any], request: gr.Request) -> Any:
        try:
            return str(page.entry(picture_id(stage_value), request).seed)
        except StudioError:
            return gr.skip()

    def settings_of(stage_value: dict[str, Any], request: gr.Request) -> list[Any]:
        try:
            return [*form.fill(page.recipe(picture_id(stage_value), request)), None]
        except StudioError as error:
            return [*[gr.skip()] * len(form.controls), components.notice_value(error)]

    reuse.click(seed_of, [stage], [form.controls["seed"]], **QUICK)
    use.click(settings_of, [stage], [*form.outputs, notice], **QUICK)
    download.click(None, [stage], None, js="(stage) => { tessera.download(stage); }")


def _wire_presets(parts: _Parts, cards: dict[str, ModelCard]) -> None:
    """Keep presets and single values in step: a preset sets values, a value set by hand releases its preset."""
    control = parts.form.controls
    width, height, model = control["width"], control["height"], control["model"]
    drawn = [control["steps"], control["guidance_scale"], control["scheduler"]]

    def set_size(title: str) -> list[Any]:
        sizes = {size_title(size): size for card in cards.values() for size in card.sizes}
        return list(sizes.get(title, (gr.skip(), gr.skip())))

    def set_quality(name: str, model_id: str) -> list[Any]:
        chosen = quality_of(cards[model_id], name)
        return [chosen.steps, chosen.guidance_scale, chosen.scheduler]

    def name_size(w: int, h: int) -> str | None:
        title = size_title((int(w), int(h)))
        return title if any(size_title(size) == title for card in cards.values() for size in card.sizes) else None

    def name_quality(steps: int, guidance: float, scheduler: str, model_id: str) -> str | None:
        here = Quality(int(steps), float(guidance), scheduler)
        return next((name for name, quality in cards[model_id].qualities.items() if quality == here), None)

    def change_model(model_id: str) -> list[Any]:
        card = cards[model_id]
        sizes, chosen = [size_title(size) for size in card.sizes], quality_of(card, "standard")
        names = [(text(name), name) for name in _QUALITIES if name in card.qualities]
        return [
            gr.Radio(sizes, value=sizes[0]), *card.sizes[0],
            gr.Radio(names, value="standard" if "standard" in card.qualities else None),
            chosen.steps, chosen.guidance_scale, gr.Dropdown(_schedulers(card), value=chosen.scheduler),
            {"title": "style_words", "words": list(card.style_words)},
            {"title": "examples", "words": list(card.examples)},
        ]  # fmt: skip

    parts.size.input(set_size, [parts.size], [width, height], **QUICK)
    parts.quality.input(set_quality, [parts.quality, model], drawn, **QUICK)
    gr.on([width.change, height.change], name_size, [width, height], [parts.size], **QUICK)  # type: ignore[attr-defined]
    gr.on([it.change for it in drawn], name_quality, [*drawn, model], [parts.quality], **QUICK)  # type: ignore[attr-defined]
    model.input(  # type: ignore[attr-defined]
        change_model, [model],
        [parts.size, width, height, parts.quality, *drawn, parts.style_words, parts.examples], **QUICK,
    )  # fmt: skip


def _wire_words(parts: _Parts) -> None:
    prompt = parts.form.controls["prompt"]

    def add_word(words: str, event: gr.EventData) -> str:
        return toggle_word(words, str(event._data["word"]))

    def take_example(event: gr.EventData) -> str:
        return str(event._data["word"])

    parts.style_words.choose(add_word, [prompt], [prompt], **QUICK)
    parts.examples.choose(take_example, None, [prompt], **QUICK)


def _wire_run(page: Page, parts: _Parts) -> None:
    """Generate submits a job and watches it; Stop cancels it; an opened page takes up what still runs."""
    studio, watchers = page.studio, Watchers(page.studio.runner, "text_to_image")
    shown = [parts.stage, parts.actions, parts.stop]

    async def watch(jobs: Sequence[Job], request: gr.Request) -> AsyncGenerator[dict[Any, Any]]:
        running = False
        async for value in watchers.follow(request.session_hash or "", jobs):
            update: dict[Any, Any] = {parts.stage: value}
            ended = value["state"] in ("finished", "failed", "cancelled")
            if running is ended or value.get("stopping"):
                running = not ended
                update[parts.actions] = gr.Row(visible=value["state"] == "finished")
                update[parts.stop] = gr.Button(
                    text("stopping" if running and value["stopping"] else "stop"),
                    interactive=running and not value["stopping"],
                )
            yield update

    async def generate(request: gr.Request, **values: Any) -> AsyncGenerator[dict[Any, Any]]:
        try:
            job = studio.runner.submit(parts.form.read(values), owner=page.sessions.of(request))
        except StudioError as error:
            yield {parts.notice: components.notice_value(error)}
            return
        yield {parts.notice: None}
        async for update in watch([job], request):
            yield update

    def stop(request: gr.Request) -> gr.Button:
        for job in watchers.active(page.sessions.of(request))[:1]:
            job.cancel()
        return gr.Button(text("stopping"), interactive=False)

    async def attach(request: gr.Request) -> AsyncGenerator[dict[Any, Any]]:
        jobs = watchers.active(page.sessions.of(request))
        if not jobs:
            yield {parts.stage: gr.skip()}
            return
        filled = parts.form.fill(jobs[0].request.model_dump(mode="json"))
        yield dict(zip(parts.form.outputs, filled, strict=True))
        async for update in watch(jobs, request):
            yield update

    gr.on(
        [parts.generate.click, parts.form.controls["prompt"].submit],  # type: ignore[attr-defined]
        generate, inputs_kwargs=parts.form.controls, outputs=[*shown, parts.notice],
        trigger_mode="multiple", **QUICK,
    )  # fmt: skip
    parts.stop.click(stop, None, [parts.stop], js=f"() => {{ tessera.stopping('{_STAGE}'); }}", **QUICK)
    page.blocks.load(attach, None, [*shown, *parts.form.outputs], **QUICK)


TAB = Tab(id="create", title="tab_create", build=build)
