"""What every tab that runs jobs has: Generate and Stop, a stage, a notice, and what to do with the results.

`Desk` lays the pieces out and `run` wires them: Generate submits a job and watches it, Stop cancels it, and an
opened page takes up what still runs. A tab says only how its controls become a request.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.components import Component

from studio.errors import StudioError
from studio.jobs import Job
from studio.requests import Request
from studio.ui import components
from studio.ui.form import Form
from studio.ui.sends import picture_id
from studio.ui.stream import Watchers
from studio.ui.tabs.tab import QUICK, Page
from studio.ui.texts import text

_ENDED = ("finished", "failed", "cancelled")


@dataclass(slots=True)
class Desk:
    """A tab's pieces for running jobs; `buttons`, `stage_and_actions` lay them out where the tab wants them.

    Args:
        tab: The tab's id; the pieces' ids in the page begin with it.
    """

    tab: str
    generate: gr.Button = field(init=False)
    stop: gr.Button = field(init=False)
    notice: gr.HTML = field(init=False)
    stage: gr.HTML = field(init=False)
    actions: gr.Row = field(init=False)

    def buttons(self) -> None:
        """Lay out Generate (Ctrl+Enter), Stop (Esc) and the notice below them."""
        with gr.Row(elem_classes=["desk-buttons"]):
            self.generate = gr.Button(
                text("generate"),
                variant="primary",
                elem_id=f"{self.tab}-generate",
                elem_classes=["key-generate"],
                scale=3,
                min_width=80,
            )
            self.stop = gr.Button(
                text("stop"),
                interactive=False,
                elem_id=f"{self.tab}-stop",
                elem_classes=["key-stop"],
                scale=1,
                min_width=80,
            )
        self.notice = components.notice()

    def stage_and_actions(self, page: Page, *, form: Form | None = None) -> None:
        """Lay out the stage, and under it what can be done with the chosen picture once there is one.

        Args:
            form: Gets "reuse seed" and "use settings" buttons, if given.
        """
        self.stage = components.stage(f"{self.tab}-stage")
        with gr.Row(visible=False, elem_classes=["stage-actions"]) as self.actions:
            if form is not None:
                _recall(page, form, self)
            download = gr.Button(text("download"), size="sm", min_width=80, elem_id=f"{self.tab}-download")
            page.sends.buttons(self.stage, source=self.tab)
        download.click(None, [self.stage], None, js="(stage) => { tessera.download(stage); }")


def run(
    page: Page,
    desk: Desk,
    *,
    kinds: Sequence[str],
    read: Callable[[dict[str, Any], gr.Request], Request],
    inputs: dict[str, Component],
    also: Sequence[Any] = (),
    form: Form | None = None,
) -> None:
    """Wire a desk.

    Args:
        kinds: The kinds of request its stage shows.
        read: Returns the request that the values of `inputs` describe; raises StudioError in plain words.
        inputs: The components to read, by the name `read` knows them under.
        also: Further triggers that generate, beside the button.
        form: Is filled in from a job that a reloaded page finds running.
    """
    watchers, refilled = Watchers(page.studio.runner, *kinds), form.outputs if form else []

    async def generate(request: gr.Request, **values: Any) -> AsyncGenerator[dict[Any, Any]]:
        try:
            job = page.studio.runner.submit(read(values, request), owner=page.owner(request))
        except StudioError as error:
            yield {desk.notice: components.notice_value(error)}
            return
        yield {desk.notice: None}
        async for update in _watch(desk, watchers, [job], request):
            yield update

    def stop(request: gr.Request) -> gr.Button:
        for job in watchers.active(page.owner(request))[:1]:
            job.cancel()
        return gr.Button(text("stopping"), interactive=False)

    async def attach(request: gr.Request) -> AsyncGenerator[dict[Any, Any]]:
        jobs = watchers.active(page.owner(request))
        yield {desk.stage: gr.skip()}  # a generator that yields nothing would empty its outputs
        if jobs and form:
            yield dict(zip(refilled, form.fill(jobs[0].request.model_dump(mode="json")), strict=True))
        async for update in _watch(desk, watchers, jobs, request):
            yield update

    shown = [desk.stage, desk.actions, desk.stop, desk.notice]
    triggers = [desk.generate.click, *also]
    gr.on(triggers, generate, inputs_kwargs=inputs, outputs=shown, trigger_mode="multiple", **QUICK)
    desk.stop.click(stop, None, [desk.stop], js=f"() => {{ tessera.stopping('{desk.tab}-stage'); }}", **QUICK)
    page.blocks.load(attach, None, [*shown, *refilled], **QUICK)


async def _watch(
    desk: Desk, watchers: Watchers, jobs: Sequence[Job], request: gr.Request
) -> AsyncGenerator[dict[Any, Any]]:
    """Yield what changes on the page as `jobs` go on; buttons are touched only when they have to be."""
    before: tuple[bool, bool] | None = None
    async for value in watchers.follow(request.session_hash or "", jobs):
        ended, stopping = value["state"] in _ENDED, bool(value["stopping"])
        update: dict[Any, Any] = {desk.stage: value}
        if (ended, stopping) != before:
            before = ended, stopping
            update[desk.actions] = gr.Row(visible=value["state"] == "finished")
            going_on = not ended and not stopping
            update[desk.stop] = gr.Button(text("stop" if ended or going_on else "stopping"), interactive=going_on)
        yield update


def _recall(page: Page, form: Form, desk: Desk) -> None:
    """Lay out and wire "reuse seed" and "use settings"."""
    reuse = gr.Button(text("reuse_seed"), size="sm", min_width=80, elem_id=f"{desk.tab}-reuse-seed")
    use = gr.Button(text("use_settings"), size="sm", min_width=80, elem_id=f"{desk.tab}-use-settings")

    def seed_of(stage: dict[str, Any], request: gr.Request) -> list[Any]:
        try:
            return [str(page.entry(picture_id(stage), request).seed), None]
        except StudioError as error:
            return [gr.skip(), components.notice_value(error)]

    def settings_of(stage: dict[str, Any], request: gr.Request) -> list[Any]:
        try:
            return [*form.fill(page.recipe(picture_id(stage), request)), None]
        except StudioError as error:
            return [*[gr.skip()] * len(form.controls), components.notice_value(error)]

    reuse.click(seed_of, [desk.stage], [form.controls["seed"], desk.notice], **QUICK)
    use.click(settings_of, [desk.stage], [*form.outputs, desk.notice], **QUICK)
