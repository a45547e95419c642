"""Making a series: cell after cell as ordinary jobs, written down after each, then the sheet."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from PIL import Image

from studio.errors import InvalidRequest, QueueFull, StudioError
from studio.events import Cancelled, Failed, Finished
from studio.fields import field_spec
from studio.gallery.recipe import owner_key
from studio.jobs import Job, Queue
from studio.requests import TextToImage, parse
from studio.series.axes import SEARCH
from studio.series.plan import Legend, Series, SeriesFolder
from studio.series.sheet import Labels, draw_sheet

logger = logging.getLogger(__name__)

Make: TypeAlias = Callable[[TextToImage], str]
Open: TypeAlias = Callable[[str], Image.Image]
Save: TypeAlias = Callable[..., str]
_QUEUE_PATIENCE_SECONDS = 1.0


class Stopped(Exception):
    """The series was stopped while a cell was being made; the cell stays open."""


def make_series(series: Series, *, make: Make, keep: Callable[[Series], None]) -> None:
    """Make the open cells of `series`; `keep` is called after each. A cell that fails does not hold up the rest.

    Args:
        make: Makes one picture and returns its gallery id; raises StudioError or Stopped.
        keep: Writes the series down.

    Raises:
        Stopped: From `make`.
    """
    for cell in series.order():
        request = parse(cell.request)
        assert isinstance(request, TextToImage)
        try:
            cell.record = make(request)
        except StudioError as error:
            cell.error = str(error)
        keep(series)


def make_sheet(series: Series, *, open_picture: Open) -> Image.Image:
    """Return the grid of `series` as one picture; cells that failed or were deleted stay empty."""
    pictures: list[Image.Image | None] = []
    for cell in series.cells:
        try:
            pictures.append(open_picture(cell.record) if cell.record else None)
        except StudioError:
            pictures.append(None)
    lines = [[legend_text(legend, text) for text in legend.texts] for legend in series.axes]
    return draw_sheet(pictures, Labels(*lines))


def sheet_facts(series: Series) -> dict[str, Any]:
    """Return what the sheet's record says of the grid, beside its base request."""
    axes = [
        {"field": legend.field, "title": axis_title(legend.field), "values": legend.texts} for legend in series.axes
    ]
    return {"grid": {"axes": axes, "cells": [cell.record for cell in series.cells]}}


def axis_title(field: str) -> str:
    """Return what an axis is called in the legend."""
    return "Prompt" if field == SEARCH else field_spec(TextToImage, field).title


def legend_text(legend: Legend, text: str) -> str:
    """Return one value as the legend shows it: words for themselves, numbers with their setting's name."""
    speaks_for_itself = legend.field in (SEARCH, "prompt", "styles", "model", "scheduler")
    return text if speaks_for_itself else f"{axis_title(legend.field)} {text}"


@dataclass
class Running:
    """A series being made on a thread of its own: its job of this moment, and how to stop it."""

    series: Series
    stop: threading.Event = field(default_factory=threading.Event)
    job: Job | None = None
    thread: threading.Thread | None = None

    @property
    def is_alive(self) -> bool:
        """Whether it goes on."""
        return self.thread is not None and self.thread.is_alive()


class SeriesRunner:
    """Makes series through the studio's queue, one job at a time, so that others have their turn between cells.

    Args:
        queue: Where the cells' jobs go, under their owner's name and budget.
        gallery: Where the cells' pictures are, and the sheets go (`studio.gallery.Gallery`).
        folder: Where series are written down.
    """

    def __init__(self, queue: Queue, gallery: Any, folder: SeriesFolder) -> None:
        self._queue, self._gallery, self.folder = queue, gallery, folder
        self._running: dict[str, Running] = {}
        self._lock = threading.Lock()

    def start(self, series: Series, *, owner: str) -> Running:
        """Begin or go on with `series` for `owner`; one that runs already is returned as it is.

        Raises:
            InvalidRequest: It belongs to somebody else.
            GalleryError: It cannot be written down.
        """
        if series.owner not in ("", owner_key(owner)):
            raise InvalidRequest("There is no such series.", "It may have been removed.")
        with self._lock:
            running = self._running.get(series.id)
            if running is not None and running.is_alive:
                return running
            series.owner = owner_key(owner)
            self.folder.keep(series)
            running = self._running[series.id] = Running(series)
            running.thread = threading.Thread(
                target=self._work, args=(running, owner), name=f"series-{series.id}", daemon=True
            )
            running.thread.start()
        return running

    def stop(self, series_id: str) -> None:
        """Stop after the cell that is being made is cancelled; the series can go on later."""
        running = self._running.get(series_id)
        if running is not None:
            running.stop.set()
            if running.job is not None:
                running.job.cancel()

    def running(self) -> Mapping[str, Running]:
        """Return the series that are being made, by id."""
        with self._lock:
            return {name: running for name, running in self._running.items() if running.is_alive}

    def _work(self, running: Running, owner: str) -> None:
        series = running.series
        try:
            make_series(series, make=lambda request: self._make(running, request, owner), keep=self.folder.keep)
            if series.axes and series.records and not series.sheet:
                series.sheet = self._save_sheet(series, owner)
                self.folder.keep(series)
            self.folder.tidy()
        except Stopped:
            logger.info("series %s stopped after %d of %d", series.id, series.done, len(series.cells))
        except StudioError as error:
            logger.warning("series %s cannot go on: %s", series.id, error)
        finally:
            running.job = None

    def _make(self, running: Running, request: TextToImage, owner: str) -> str:
        job = self._submit(running, request, owner)
        running.job = job
        if running.stop.is_set():
            job.cancel()
        match job.result():
            case Finished(records=records):
                return records[0]
            case Failed(message, hint):
                raise StudioError(message, hint)
            case Cancelled():
                running.stop.set()  # Stop under the picture stops the series too
        raise Stopped

    def _submit(self, running: Running, request: TextToImage, owner: str) -> Job:
        """Queue a cell, as soon as the queue takes it."""
        while not running.stop.is_set():
            try:
                return self._queue.submit(request, owner=owner)
            except QueueFull:
                running.stop.wait(_QUEUE_PATIENCE_SECONDS)
        raise Stopped

    def _save_sheet(self, series: Series, owner: str) -> str:
        picture = make_sheet(series, open_picture=self._gallery.open)
        entry = self._gallery.save(
            picture,
            request=parse(series.cells[0].request),
            seed=None,
            facts=sheet_facts(series),
            job_id="",
            owner=owner,
            parents=series.records,
        )
        return str(entry.id)
