"""The film panel of a tab: laid out below its stage, fed by the stage's script, and wired to jobs."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.components import Component

from studio.errors import InvalidRequest, StudioError
from studio.events import Failed, Finished
from studio.jobs import Job
from studio.requests import Fork, KeepFilm, Request, Timelapse, parse
from studio.ui import components, static_files
from studio.ui.canvas.canvas import mask_canvas, read_canvas, show
from studio.ui.form import Form
from studio.ui.tabs.tab import QUICK, Page
from studio.ui.texts import text

_OWN = ("kind", "parent", "step", "mask", "frame", "source")
_FORMATS = (("MP4", "mp4"), ("GIF", "gif"), ("WebP", "webp"))


@dataclass(slots=True)
class FilmPanel:
    """The panel's pieces.

    Args:
        page: The page under construction.
        tab: The tab's id; ids in the page begin with it.
        models: Titles and ids of the models a fork may go on with.
        takes_masks: Whether a fork may change a painted part alone.
    """

    page: Page
    tab: str
    models: list[tuple[str, str]]
    takes_masks: bool = True
    film: gr.HTML = field(init=False)
    form: Form = field(init=False)
    mask: gr.HTML = field(init=False)
    fork: gr.Button = field(init=False)
    notice: gr.HTML = field(init=False)

    def lay_out(self) -> None:
        """Lay out the strip, and for the studio's owner what can be done with it."""
        self.film = components.piece(
            "film",
            None,
            scripts=["film_page/film.js", "film_page/drawer.js"],
            markup=static_files.read("film_page/film.html"),
            elem_id=f"{self.tab}-film",
            elem_classes=["film-block"],
        )
        if self.page.studio.for_guests:
            return
        with gr.Row(elem_classes=["film-actions"], elem_id=f"{self.tab}-film-actions"):
            save = gr.Button(text("film_save"), size="sm", min_width=80, elem_id=f"{self.tab}-film-save")
            begin = gr.Button(text("film_fork"), size="sm", min_width=80, elem_id=f"{self.tab}-film-fork")
            keep = gr.Button(text("film_keep"), size="sm", min_width=80, elem_id=f"{self.tab}-film-keep")
            kinds = [
                gr.Button(f"{title} ↓", size="sm", min_width=56, elem_id=f"{self.tab}-film-{kind}")
                for title, kind in _FORMATS
            ]
        self.notice = components.notice()
        drawer = self._drawer()
        self._wire_quiet(save, self._frame, "film_saved")
        self._wire_quiet(keep, self._keep, "film_kept")
        for button, (_, kind) in zip(kinds, _FORMATS, strict=True):
            self._wire_quiet(button, self._timelapse(kind), "film_made")
        self._wire_drawer(begin, drawer)

    @property
    def inputs(self) -> dict[str, Component]:
        """What `read` needs, by name."""
        if self.page.studio.for_guests:
            return {}
        controls = {f"fork_{name}": control for name, control in self.form.controls.items()}
        return {**({"fork_mask": self.mask} if self.takes_masks else {}), "film": self.film, **controls}

    @property
    def others(self) -> list[tuple[Any, Callable[[dict[str, Any], gr.Request], Request]]]:
        """The trigger that forks, for `desk.run`."""
        return [] if self.page.studio.for_guests else [(self.fork.click, self.read)]

    @property
    def js(self) -> str | None:
        """What runs in the browser before a fork is read: the last strokes on the mask, the first input, come in."""
        if self.page.studio.for_guests or not self.takes_masks:
            return None
        canvas = f"window.studioCanvases?.get('{self.tab}-fork')"  # mounted once the drawer was open
        return f"async (mask, ...rest) => [{canvas} ? await {canvas}.flush() : mask, ...rest]"

    def read(self, values: dict[str, Any], request: gr.Request) -> Request:
        """Return the fork that the drawer describes; raises StudioError in plain words."""
        film, recipe = self._named(values["film"], request)
        changes = {name: values[f"fork_{name}"] for name in self.form.controls}
        state = read_canvas(values["fork_mask"]) if self.takes_masks else None
        mask = state.mask if state and state.coverage else None
        return self._fork(film, recipe, request, mask=mask, **changes)

    def _drawer(self) -> gr.Group:
        with gr.Group(visible=False, elem_classes=["film-drawer"], elem_id=f"{self.tab}-fork") as drawer:
            gr.Markdown(text("film_fork_hint"), elem_classes=["film-hint"])
            self.form = Form(Fork)
            self.form.textbox("prompt", lines=2, max_lines=6, info=None, elem_id=f"{self.tab}-fork-prompt")
            self.form.textbox("negative_prompt", lines=1, max_lines=4, info=None, elem_id=f"{self.tab}-fork-negative")
            with gr.Row():
                self.form.slider("guidance_scale", elem_id=f"{self.tab}-fork-guidance")
                self.form.textbox("seed", max_lines=1, info=None, elem_id=f"{self.tab}-fork-seed")
            with gr.Row():
                self.form.slider("guidance_start", elem_id=f"{self.tab}-fork-guidance-start")
                self.form.slider("guidance_end", elem_id=f"{self.tab}-fork-guidance-end")
            several = len(self.models) > 1
            self.form.dropdown("model", self.models, info=None, visible=several, elem_id=f"{self.tab}-fork-model")
            if self.takes_masks:
                with gr.Accordion(text("film_part"), open=False):
                    gr.Markdown(text("film_part_hint"), elem_classes=["film-hint"])
                    self.mask = mask_canvas(f"{self.tab}-fork", height="320px")
            with gr.Row():
                self.fork = gr.Button(text("film_fork_go"), variant="primary", elem_id=f"{self.tab}-fork-go")
                close = gr.Button(text("film_fork_close"))
        close.click(lambda: gr.Group(visible=False), None, [drawer], **QUICK)
        return drawer

    def _wire_drawer(self, begin: gr.Button, drawer: gr.Group) -> None:
        """Let `begin` open the drawer; the page itself fills it, for the artist may type faster than we answer."""
        offer = gr.JSON(visible=False)
        named = json.dumps([self.tab, [control.elem_id for control in self.form.outputs]])
        asked = f"(film) => {{ tessera.drawer.asked(...{named}); return [film]; }}"
        canvas = self.mask if self.takes_masks else gr.JSON(visible=False)
        opened = begin.click(self._offer, [self.film], [offer, self.notice], js=asked, **QUICK)
        opened.then(
            None,
            [offer],
            [drawer, canvas, *self.form.outputs],
            js=f"(offer) => tessera.drawer.filled(...{named}, offer)",
            **QUICK,
        )

    def _offer(self, film: Any, request: gr.Request) -> list[Any]:
        """Return what the drawer is to hold: the run's own settings, and its picture to paint on."""
        try:
            named, recipe = self._named(film, request)
            seen = self.page.sees(request)
            source = self.page.studio.pictures.put(self.page.studio.gallery.open(named["record"], owner=seen))
        except StudioError as error:
            return [None, components.notice_value(error)]
        whole = {**recipe, "kind": "fork", "parent": recipe, "step": named["step"]}
        filled = self.form.fill({k: v for k, v in whole.items() if k in Fork.model_fields})
        return [{"fields": filled, "canvas": show(source)}, None]

    def _wire_quiet(self, button: gr.Button, ask: Callable[[Any, gr.Request], Request], said: str) -> None:
        """Wire a button whose job runs beside what the stage shows; `said` is the key of what is said at its end."""

        async def act(film: Any, request: gr.Request) -> AsyncGenerator[list[Any]]:
            try:
                job = self.page.studio.runner.submit(ask(film, request), owner=self.page.owner(request))
                ending = await _ending(job)
                if isinstance(ending, Failed):
                    raise StudioError(ending.message, ending.hint)
            except StudioError as error:
                yield [gr.skip(), components.notice_value(error)]
                return
            if isinstance(ending, Finished):
                done = {"said": said, "job": job.id, "file": "file" in ending.extras}
                yield [{**film, "done": done}, None]

        button.click(act, [self.film], [self.film, self.notice], **QUICK)

    def _frame(self, film: Any, request: gr.Request) -> Request:
        named, recipe = self._named(film, request)
        return self._fork(named, recipe, request, frame=True)

    def _keep(self, film: Any, request: gr.Request) -> Request:
        return KeepFilm(parent=self._named(film, request)[1])

    def _timelapse(self, kind: str) -> Callable[[Any, gr.Request], Request]:
        def ask(film: Any, request: gr.Request) -> Request:
            return Timelapse.model_validate({"parent": self._named(film, request)[1], "format": kind})

        return ask

    def _named(self, film: Any, request: gr.Request) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the step and record that the strip shows, and that picture's recipe, which is checked to be theirs."""
        try:
            named = {"record": str(film["record"]), "step": int(film["step"]), "count": int(film["count"])}
        except (TypeError, KeyError, ValueError) as error:
            raise InvalidRequest("There is no film here.", "Make a picture first.") from error
        return named, self.page.recipe(str(named["record"]), request)

    def _fork(self, film: dict[str, Any], recipe: dict[str, Any], request: gr.Request, **changes: Any) -> Request:
        seen = self.page.sees(request)
        source = self.page.studio.pictures.put(self.page.studio.gallery.open(film["record"], owner=seen))
        own = {name: value for name, value in recipe.items() if name in Fork.model_fields and name not in _OWN}
        # the last step is the picture itself: forking there would change nothing
        step = film["step"] if changes.get("frame") else min(film["step"], film["count"] - 1)
        given = {"kind": "fork", "parent": recipe, "step": step, "source": source}
        return parse({**own, **given, **{name: value for name, value in changes.items() if value is not None}})


async def _ending(job: Job) -> Any:
    async for event in job.stream():
        last = event
    return last
