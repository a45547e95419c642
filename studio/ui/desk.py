"""What every tab that runs jobs has: Generate and Stop, a stage, a notice, and what to do with the results.

`Desk` lays the pieces out and `run` wires them: Generate submits a job and watches it, Stop cancels it, and an
opened page takes up what still runs. A tab says only how its controls become a request.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

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
from studio.ui.turns import Turns

Read: TypeAlias = Callable[[dict[str, Any], gr.Request], Request]

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

    def buttons(self, title: Any = None) -> None:
        """Lay out Generate (Ctrl+Enter; `title` calls it something else), Stop (Esc) and the notice below them."""
        with gr.Row(elem_classes=["desk-buttons"]):
            self.generate = gr.Button(
                title or text("generate"),
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

    def stage_and_actions(self, page: Page, *, form: Form | None = None, idle: str = "idle_title") -> None:
        """Lay out the stage, and under it what can be done with the chosen picture once there is one.

        Args:
            idle: Key of what the stage says before the first job (see `components.stage`).
            form: Gets "reuse seed" and "use settings" buttons, if given.
        """
        self.stage = components.stage(f"{self.tab}-stage", idle=idle)
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
    read: Read,
    inputs: dict[str, Component],
    also: Sequence[Any] = (),
    others: Sequence[tuple[Any, Read]] = (),
    form: Form | None = None,
    js: str | None = None,
) -> None:
    """Wire a desk.

    Args:
        kinds: The kinds of request its stage shows.
        read: Returns the request that the values of `inputs` describe; raises StudioError in plain words.
        inputs: The components to read, by the name `read` knows them under.
        also: Further triggers that generate, beside the button.
        others: Further triggers that generate what their own `read` says.
        form: Is filled in from a job that a reloaded page finds running.
        js: Runs in the browser before a request is read, as gr.on has it.
    """
    events = _Events(page, desk, form, Watchers(page.studio.runner, *kinds))
    turn = gr.Number(visible=False)
    page.drafts.keep(desk.tab, inputs)
    shown = [desk.stage, desk.actions, desk.stop, desk.notice]
    for triggers, reader in [([desk.generate.click, *also], read), *(([it], other) for it, other in others)]:
        gr.on(
            triggers,
            events.generates(reader),
            inputs_kwargs={**inputs, "turn": turn},
            outputs=shown,
            trigger_mode="multiple",
            js=_numbered(desk.tab, js),
            **QUICK,
        )
    desk.stop.click(events.stop, None, None, js=f"() => {{ tessera.stopping('{desk.tab}-stage'); }}", **QUICK)
    page.blocks.load(events.attach, None, [*shown, *events.refilled], **QUICK)


@dataclass(frozen=True, slots=True)
class _Events:
    """What happens at a desk: a job is asked for, stopped, or found running by a page that opens."""

    page: Page
    desk: Desk
    form: Form | None
    watchers: Watchers
    turns: Turns = field(default_factory=Turns)

    @property
    def refilled(self) -> Sequence[Component]:
        """What `attach` fills in from a running job."""
        return self.form.outputs if self.form else []

    def generates(self, read: Read) -> Callable[..., AsyncGenerator[dict[Any, Any]]]:
        """Return the event that submits what `read` makes of the inputs, in its turn, and follows it."""

        async def generate(request: gr.Request, turn: float | None = None, **values: Any) -> AsyncGenerator[Any]:
            this_page, number = request.session_hash or "", int(turn or 0)
            await self.turns.take(this_page, number)
            try:
                job = self.page.studio.runner.submit(read(values, request), owner=self.page.owner(request))
            except StudioError as error:
                yield {self.desk.notice: components.notice_value(error)}
                return
            finally:
                self.turns.done(this_page, number)
            yield {self.desk.notice: None}
            async for update in _watch(self.desk, self.watchers, [job], request):
                yield update

        return generate

    async def stop(self, request: gr.Request) -> None:
        """Cancel this artist's oldest job."""
        for job in self.watchers.active(self.page.owner(request))[:1]:
            job.cancel()
        self.watchers.look_again(request.session_hash or "")  # the stage's stream says "Stopping", unless it has ended

    async def attach(self, request: gr.Request) -> AsyncGenerator[dict[Any, Any]]:
        """Take up what still runs, or show the last result."""
        self.turns.begin(request.session_hash or "")
        owner = self.page.owner(request)
        jobs = self.watchers.active(owner)
        yield {self.desk.stage: gr.skip()}  # a generator that yields nothing would empty its outputs
        if jobs and self.form and not self.page.drafts.holds(self.desk.tab, owner):
            yield dict(zip(self.refilled, self.form.fill(jobs[0].request.model_dump(mode="json")), strict=True))
        async for update in _watch(self.desk, self.watchers, jobs or self.watchers.last(owner), request):
            yield update


def _numbered(tab: str, js: str | None) -> str:
    """Return the script of a click: it takes its number at once, then does what `js` says, which may take a while."""
    first = f"values = await ({js})(...values);" if js else ""
    return f"async (...values) => {{ const n = tessera.turn('{tab}'); {first} return [...values.slice(0, -1), n]; }}"


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
            return [*[gr.skip()] * len(form.outputs), components.notice_value(error)]

    reuse.click(seed_of, [desk.stage], [form.controls["seed"], desk.notice], **QUICK)
    use.click(settings_of, [desk.stage], [*form.outputs, desk.notice], **QUICK)
