"""Series through a real queue and a real gallery: parts, sheet, stopping, going on, failures."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from studio.errors import GalleryError, InvalidRequest, OutOfMemory
from studio.events import Cancelled, Event, Finished, Step
from studio.gallery import Gallery, recorder
from studio.gallery.recipe import owner_key
from studio.jobs import JobRunner
from studio.requests import Request, TextToImage
from studio.series.axes import read_axis
from studio.series.plan import Series, SeriesFolder, batch, grid
from studio.series.run import SeriesRunner
from studio.series.sheet import MAX_SIDE, Labels, draw_sheet

COLOURS = ("red", "lime", "blue", "yellow", "aqua", "fuchsia")
BASE = TextToImage(prompt="red", width=64, height=64, steps=2, seed=5)


class Painter:
    """Paints the prompt's colour; waits before a prompt until it is let go on."""

    def __init__(self) -> None:
        self.seen: list[TextToImage] = []
        self.hold_at = ""
        self.reached, self.resume = threading.Event(), threading.Event()

    def __call__(self, request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
        assert isinstance(request, TextToImage)
        self.seen.append(request)
        yield Step(1, 1)
        if request.prompt == self.hold_at:
            self.reached.set()
            self.resume.wait(20)
        if should_stop():
            yield Cancelled(1)
            return
        if request.prompt == "too much":
            raise OutOfMemory("There is not enough memory.", "Try less.")
        image = Image.new("RGB", (request.width, request.height), ImageColor.getrgb(request.prompt))
        yield Finished((image,), (request.seed,), 0.1)


@pytest.fixture
def painter() -> Painter:
    return Painter()


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery(tmp_path / "gallery", reserve_bytes=0) as opened:
        yield opened


@pytest.fixture
def runner(painter: Painter, gallery: Gallery, tmp_path: Path) -> Iterator[SeriesRunner]:
    with JobRunner(painter, recorder(gallery), queue_per_session=2) as queue:
        yield SeriesRunner(queue, gallery, SeriesFolder(tmp_path / "series"))
        painter.resume.set()


def colours(*names: str) -> Series:
    y = read_axis("seed", "1, 2", base=BASE, styles={})
    return grid(BASE, [read_axis("prompt", ", ".join(names), base=BASE, styles={}), y])


def finish(runner: SeriesRunner, series: Series, owner: str = "me") -> Series:
    running = runner.start(series, owner=owner)
    assert running.thread is not None
    running.thread.join(60)
    return runner.folder.get(series.id, owner=owner_key(owner))


def test_a_grid_leaves_its_parts_and_one_picture(runner: SeriesRunner, gallery: Gallery) -> None:
    done = finish(runner, colours("red", "lime", "blue"))
    assert done.is_complete
    parts = [gallery.get(record, owner="me") for record in done.records]
    assert [part.prompt for part in parts] == ["red", "lime", "blue"] * 2
    assert [part.seed for part in parts] == [1, 1, 1, 2, 2, 2]
    sheet = gallery.get(done.sheet, owner="me")
    pixels = np.asarray(gallery.open(done.sheet))
    found = {tuple(int(v) for v in colour) for colour in pixels.reshape(-1, 3)}
    assert {ImageColor.getrgb(name) for name in ("red", "lime", "blue")} <= found
    assert sheet.width > 3 * 64
    assert [axis["values"] for axis in sheet.recipe.facts["grid"]["axes"]] == [["red", "lime", "blue"], ["1", "2"]]
    assert {parent.ref for parent in sheet.recipe.parents} == set(done.records)
    with pytest.raises(GalleryError):
        gallery.get(done.sheet, owner="somebody else")


def test_a_stopped_grid_goes_on_where_it_was(runner: SeriesRunner, painter: Painter) -> None:
    painter.hold_at = "blue"
    series = colours("red", "lime", "blue")
    running = runner.start(series, owner="me")
    assert painter.reached.wait(20)
    assert runner.running()[series.id] is running
    runner.stop(series.id)
    painter.resume.set()
    assert running.thread is not None
    running.thread.join(20)
    kept = runner.folder.get(series.id, owner=owner_key("me"))
    assert (kept.done, kept.is_complete, kept.sheet) == (2, False, "")
    painter.hold_at = ""
    before = list(kept.records)
    done = finish(runner, kept)
    assert done.is_complete
    assert done.records[:2] == before
    assert [request.prompt for request in painter.seen] == ["red", "lime", "blue", "blue", "red", "lime", "blue"]


def test_stop_under_the_picture_stops_the_series(runner: SeriesRunner, painter: Painter) -> None:
    painter.hold_at = "lime"
    running = runner.start(colours("red", "lime"), owner="me")
    assert painter.reached.wait(20)
    assert running.job is not None
    running.job.cancel()
    painter.resume.set()
    assert running.thread is not None
    running.thread.join(20)
    assert running.series.done == 1


def test_what_a_crash_left_goes_on_with_another_studio(
    runner: SeriesRunner, painter: Painter, gallery: Gallery, tmp_path: Path
) -> None:
    """The file alone says what is done: a new runner over the same folder makes the rest and nothing twice."""
    series = colours("red", "lime")
    done = finish(runner, series)
    text = json.loads((tmp_path / "series" / f"{series.id}.json").read_text())
    text["cells"][3]["record"] = text["sheet"] = ""
    (tmp_path / "series" / f"{series.id}.json").write_text(json.dumps(text))
    painter.seen.clear()
    again = SeriesRunner(runner._queue, gallery, SeriesFolder(tmp_path / "series"))
    finished = finish(again, again.folder.get(series.id, owner=owner_key("me")))
    assert finished.is_complete
    assert finished.records[:3] == done.records[:3]
    assert [request.prompt for request in painter.seen] == ["lime"]


def test_a_cell_that_fails_leaves_its_place_empty(runner: SeriesRunner, gallery: Gallery) -> None:
    series = batch(BASE.model_dump(), [{"prompt": p} for p in ("red", "too much", "blue")], title="three")
    done = finish(runner, series)
    assert done.cells[1].error == "There is not enough memory. Try less."
    assert len(done.records) == 2
    assert done.is_complete
    done.retry()
    assert (done.done, done.is_complete) == (2, False)


def test_a_series_waits_for_a_full_queue(runner: SeriesRunner, painter: Painter) -> None:
    """The owner's own waiting jobs fill the queue; the series takes its turn when there is room."""
    painter.hold_at = "red"
    jobs = [runner._queue.submit(BASE, owner="me")]
    assert painter.reached.wait(20)
    jobs += [runner._queue.submit(BASE.model_copy(update={"prompt": "lime"}), owner="me") for _ in range(2)]
    series = batch(BASE.model_dump(), [{"prompt": "blue"}])
    running = runner.start(series, owner="me")
    painter.resume.set()
    assert running.thread is not None
    running.thread.join(60)
    assert running.series.is_complete
    assert [request.prompt for request in painter.seen] == ["red", "lime", "lime", "blue"]


def test_nobody_sees_or_continues_anothers_series(runner: SeriesRunner) -> None:
    series = finish(runner, colours("red"))
    with pytest.raises(InvalidRequest, match="no such series"):
        runner.folder.get(series.id, owner=owner_key("other"))
    with pytest.raises(InvalidRequest, match="no such series"):
        runner.start(series, owner="other")
    with pytest.raises(InvalidRequest, match="no such series"):
        runner.folder.get("../../etc/passwd", owner=None)
    assert runner.folder.all(owner=owner_key("other")) == []
    assert [one.id for one in runner.folder.all(owner=None)] == [series.id]


def test_damaged_files_are_left_out(runner: SeriesRunner, tmp_path: Path) -> None:
    series = finish(runner, colours("red"))
    (tmp_path / "series" / f"{'0' * 16}.json").write_text("{")
    assert [one.id for one in runner.folder.all(owner=None)] == [series.id]


def test_a_large_grid_is_drawn_smaller() -> None:
    pictures: list[Image.Image | None] = [Image.new("RGB", (1024, 1024), "red")] * 20
    sheet = draw_sheet(pictures, Labels([f"{n}" for n in range(20)]))
    assert sheet.width <= MAX_SIDE + 400


def test_labels_of_any_length_and_script_fit() -> None:
    sheet = draw_sheet(
        [Image.new("RGB", (64, 64))] * 4, Labels(["x" * 300, "红色苹果"], ["a row " * 40, ""], ["block"])
    )
    assert sheet.width < 64 * 3 + 40
