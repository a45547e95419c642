"""Grids and batches: what varies, how many pictures that is, and every series of this artist with its state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from studio.errors import InvalidRequest, StudioError
from studio.gallery.recipe import owner_key
from studio.requests import StyleWords, TextToImage
from studio.series.axes import SEARCH, Axis, axis_fields, read_axis
from studio.series.batch_file import read_batch
from studio.series.plan import Series, batch, grid
from studio.ui import components
from studio.ui.desk import Desk
from studio.ui.error_texts import told
from studio.ui.stream import Watchers, picture_url, thumbnail_url
from studio.ui.tabs.create.craft import Craft
from studio.ui.tabs.create.form import CreateForm
from studio.ui.tabs.tab import QUICK, Page
from studio.ui.texts import tables, text

AXES = ("x", "y", "z")
_LOOK_SECONDS = 0.25
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Panel:
    """The fold's pieces."""

    axes: dict[str, tuple[gr.Dropdown, gr.Textbox]]
    size: gr.HTML
    make: gr.Button
    upload: gr.UploadButton
    listed: gr.HTML

    @property
    def controls(self) -> dict[str, Any]:
        """The axes' controls by name: x, x_values, y, ..."""
        return {
            name: control
            for axis, (field, values) in self.axes.items()
            for name, control in ((axis, field), (f"{axis}_values", values))
        }


def series_fold() -> Panel:
    """Lay out the fold."""
    choices = [(text("create_axis_none"), ""), *((_axis_title(name), name) for name in axis_fields())]
    axes = {}
    with gr.Accordion(text("create_series"), open=False, elem_id="series-fold", elem_classes=["fold"]):
        components.piece("label", "create_axis_help", elem_classes=["craft-empty"])
        for axis in AXES:
            with gr.Row(elem_classes=["axis-row"]):
                field = gr.Dropdown(
                    choices, value="", label=text(f"create_axis_{axis}"), elem_id=f"axis-{axis}", min_width=120, scale=1
                )
                values = gr.Textbox(
                    label=text("create_axis_values"),
                    placeholder=text("create_axis_placeholder"),
                    max_lines=3,
                    elem_id=f"axis-{axis}-values",
                    min_width=120,
                    scale=1,
                )
                axes[axis] = (field, values)
        size = components.piece("seriesSize", None, scripts=["page/create.js"], elem_id="grid-size")
        make = gr.Button(text("create_grid"), size="sm", elem_id="make-grid")
        upload = gr.UploadButton(
            text("create_batch_file"),  # type: ignore[arg-type]  # translated like every label
            file_types=[".txt", ".csv", ".json", ".jsonl"], type="filepath", size="sm", elem_id="batch-file",
        )  # fmt: skip
        components.piece("label", "create_batch_help", elem_classes=["craft-empty"])
        listed = components.piece(
            "seriesList",
            {},
            scripts=["page/stage.js", "page/create.js"],
            events=["choose"],
            elem_id="series-list",
        )
    return Panel(axes, size, make, upload, listed)


def wire_series(page: Page, craft: Craft, form: CreateForm, *, desk: Desk, panel: Panel) -> None:
    """Wire the fold: grids and batches begin, are followed on the stage, stop, and go on."""
    fold = _Fold(page, craft, form, desk, panel, Watchers(page.studio.runner, "text_to_image"))
    inputs = {**form.inputs, **panel.controls}
    shown = [desk.stage, desk.actions, desk.notice, panel.listed]
    on_change = [control.change for control in (*panel.controls.values(), form.controls["steps"])]
    gr.on(on_change, fold.measure, inputs_kwargs=inputs, outputs=[panel.size], trigger_mode="always_last", **QUICK)
    panel.make.click(fold.make, inputs_kwargs=inputs, outputs=shown, **QUICK)
    panel.upload.upload(fold.take_file, inputs_kwargs={**form.inputs, "file": panel.upload}, outputs=shown, **QUICK)
    panel.listed.choose(fold.act, None, shown, trigger_mode="multiple", **QUICK)
    page.blocks.load(fold.follow, None, shown, **QUICK)


@dataclass(frozen=True, slots=True)
class _Fold:
    """What happens in the fold; each method is an event, and yields what changes on the page."""

    page: Page
    craft: Craft
    form: CreateForm
    desk: Desk
    panel: Panel
    watchers: Watchers

    def measure(self, **values: Any) -> dict[str, Any] | None:
        return size_value(self.craft, self.form, values)

    async def follow(self, request: gr.Request) -> AsyncGenerator[dict[Any, Any]]:
        """Show on the stage what this artist's series make, until none of them goes on."""
        owner, seen = self.page.owner(request), set[str]()
        listed: dict[str, Any] | None = None
        while running := _running(self.craft, owner):
            job = running[0].job  # looked at before the list, which then counts every cell made before this job
            if (now := list_value(self.craft, owner)) != listed:
                listed = now
                yield {self.panel.listed: listed}
            if job is None or job.id in seen:
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            seen.add(job.id)
            async for value in self.watchers.follow(f"series-{request.session_hash}", [job]):
                yield {self.desk.stage: value, self.desk.actions: gr.Row(visible=value["state"] == "finished")}
        yield {self.panel.listed: list_value(self.craft, owner)}

    async def make(self, request: gr.Request, **values: Any) -> AsyncGenerator[dict[Any, Any]]:
        """Begin the grid that the page describes."""
        async for update in self._begin(lambda: read_grid(self.craft, self.form, values), request):
            yield update

    async def take_file(self, request: gr.Request, file: str, **values: Any) -> AsyncGenerator[dict[Any, Any]]:
        """Begin the batch that a file describes."""
        async for update in self._begin(lambda: read_file(self.form, Path(file), values), request):
            yield update

    async def act(self, event: gr.EventData, request: gr.Request) -> AsyncGenerator[dict[Any, Any]]:
        """Stop, remove or resume the series whose button was pressed."""
        owner, action = self.page.owner(request), event._data.get("action")
        folder, key = self.craft.series.folder, owner_key(self.page.owner(request))
        try:
            series = folder.get(str(event._data.get("id", "")), owner=key)
            if action == "remove":
                folder.remove(series.id, owner=key)
        except StudioError as error:
            yield {self.desk.notice: components.notice_value(error), self.panel.listed: list_value(self.craft, owner)}
            return
        if action == "stop":
            self.craft.series.stop(series.id)
            yield {self.desk.notice: None}  # `follow` shows how it ends; a list from here could arrive after that
        elif action == "resume":
            series.retry()
            async for update in self._begin(lambda: series, request):
                yield update
        else:
            yield {self.panel.listed: list_value(self.craft, owner)}

    async def _begin(self, read: Callable[[], Series], request: gr.Request) -> AsyncGenerator[dict[Any, Any]]:
        """Begin the series that `read` gives, and follow it; or say why there is none."""
        try:
            self.craft.series.start(read(), owner=self.page.owner(request))
        except StudioError as error:
            yield {self.desk.notice: components.notice_value(error)}
            return
        yield {self.desk.notice: None}
        async for update in self.follow(request):
            yield update


def read_grid(craft: Craft, form: CreateForm, values: dict[str, Any]) -> Series:
    """Return the grid that the page describes; raises InvalidRequest."""
    base = form.read(values)
    assert isinstance(base, TextToImage)
    return grid(base, _axes(craft, base, values))


def read_file(form: CreateForm, path: Path, values: dict[str, Any]) -> Series:
    """Return the batch that a file describes, over the settings on the page; raises InvalidRequest."""
    lines = read_batch(path.read_bytes(), name=path.name)
    base = form.read({**values, "prompt": values["prompt"] or "."}).model_dump()
    if not values["prompt"]:
        del base["prompt"]  # every line must bring its own
    return batch(base, lines, title=path.stem)


def size_value(craft: Craft, form: CreateForm, values: dict[str, Any]) -> dict[str, Any] | None:
    """Return how many pictures the grid has and about how long they take; what is wrong with it; or nothing."""
    if not any(values[axis] and values[f"{axis}_values"] for axis in AXES):
        return None
    try:
        series = read_grid(craft, form, {**values, "prompt": values["prompt"] or "."})
        seconds = [craft.forecast(TextToImage(**cell.request)).seconds for cell in series.cells]
    except StudioError as error:
        return {"error": told(error.message, error.hint)}
    known = [one for one in seconds if one is not None]
    return {"count": len(seconds), "seconds": sum(known) if len(known) == len(seconds) else None}


def list_value(craft: Craft, owner: str) -> dict[str, Any]:
    """Return `owner`'s series, the newest first, with their state: running, open (can go on) or complete."""
    running = craft.series.running()
    kept = craft.series.folder.all(owner=owner_key(owner))
    return {"series": [_item(running[one.id].series if one.id in running else one, running) for one in kept[:_SHOWN]]}


def _item(series: Series, running: Any) -> dict[str, Any]:
    errors = [cell.error for cell in series.cells if cell.error]
    record = series.sheet or next(iter(reversed(series.records)), "")
    return {
        "id": series.id,
        "title": series.title,
        "state": "running" if series.id in running else "complete" if series.is_complete else "open",
        "done": series.done,
        "total": len(series.cells),
        "failed": len(errors),
        "error": errors[0] if errors else "",
        "thumbnail": thumbnail_url(record) if record else None,
        "sheet": picture_url(series.sheet) if series.sheet else None,
    }


def _running(craft: Craft, owner: str) -> list[Any]:
    return [one for one in craft.series.running().values() if one.series.owner == owner_key(owner)]


def _axes(craft: Craft, base: TextToImage, values: dict[str, Any]) -> list[Axis]:
    chosen = [(values[axis], values[f"{axis}_values"] or "") for axis in AXES if values[axis]]
    if not chosen:
        raise InvalidRequest("Nothing varies yet.", "Choose what changes across the grid, and its values.")
    styles = {name: StyleWords(**style.model_dump()) for name, style in craft.styles().items()}
    return [read_axis(field, words, base=base, styles=styles) for field, words in chosen]


def _axis_title(field: str) -> Any:
    key = "create_axis_search" if field == SEARCH else f"field_{field}"
    return text(key) if key in tables()["en"] else TextToImage.model_fields[field].title or field
