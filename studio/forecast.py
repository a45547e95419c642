"""What a run will take on this machine, from the runs it has made: time, memory, and what would fit instead.

Every finished run is written down with its model, size, steps and seconds. A forecast takes the runs of the same
model on the same device: of the same size if there are any, else of the nearest, scaled by the pixels. Nothing is
guessed for a model that has never run here.
"""

from __future__ import annotations

import json
import logging
import statistics
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import psutil

from studio.errors import InvalidRequest
from studio.events import Finished
from studio.jobs import Job, Record
from studio.prompt.grammar import parse as parse_prompt
from studio.prompt.grammar import prompts_of
from studio.requests import Request, TextToImage

logger = logging.getLogger(__name__)

KEPT = 2000
_LATEST = 12  # runs of a size that count; a machine changes
_SMALLER = (0.875, 0.75, 0.625, 0.5, 0.375, 0.25)


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run. `work` is steps x pictures x prompts predicted at each step; `rows` pictures at once."""

    model: str
    device: str
    width: int
    height: int
    work: int
    seconds: float
    rows: int
    activation_bytes: int
    free_bytes: int

    @property
    def pixels(self) -> int:
        """Pixels of one picture."""
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a request will take.

    Attributes:
        seconds: About how long it runs once its turn has come; None when this model has not run here.
        need_bytes: About what it needs beside the model; None as above.
        free_bytes: What is free.
        place: Its place in the queue; 1 is next.
        smaller: When it does not fit: the nearest settings that do ({"batch": 2}, {"width": 512, "height": 384}).
    """

    seconds: float | None
    need_bytes: int | None
    free_bytes: int
    place: int
    smaller: dict[str, int] | None = None

    @property
    def fits(self) -> bool:
        """Whether there is memory for it, as far as is known."""
        return self.need_bytes is None or self.need_bytes <= self.free_bytes


class PastRuns:
    """The runs of this machine, in a file of JSON lines that holds the last 2,000.

    Args:
        path: The file; made when missing.
        free_ram: Returns the free main memory in bytes.
    """

    def __init__(self, path: Path, *, free_ram: Callable[[], int] = lambda: psutil.virtual_memory().available) -> None:
        self._path, self._free_ram = path, free_ram
        self._lock = threading.Lock()
        self._runs: list[Run] | None = None

    def note(self, request: Request, finished: Finished) -> None:
        """Write a run down; left out are other kinds, and runs that do not show what one alone takes to its end."""
        memory, untypical = finished.extras.get("memory"), {"stopped_at", "joined_steps"} & finished.facts.keys()
        if not isinstance(request, TextToImage) or not isinstance(memory, dict) or untypical:
            return
        run = Run(
            model=str(finished.facts.get("model", request.model)),
            device=str(finished.facts.get("device", "cpu")),
            width=request.width,
            height=request.height,
            work=work_of(request),
            seconds=round(finished.seconds, 3),
            rows=int(memory["rows"]),
            activation_bytes=int(memory["activation_bytes"]),
            free_bytes=int(memory["free_bytes"]),
        )
        with self._lock:
            runs = self._read()
            runs.append(run)
            self._write(runs, run)

    def forecast(self, request: TextToImage, *, waiting: int = 0) -> Forecast:
        """Return what `request` will take when `waiting` jobs are before it."""
        with self._lock:
            runs = [run for run in self._read() if run.model == request.model]
        runs = [run for run in runs if run.device == runs[-1].device]
        if not runs:
            return Forecast(None, None, self._free_ram(), waiting + 1)
        free = self._free_ram() if runs[-1].device == "cpu" else runs[-1].free_bytes
        need = need_of(request, runs[-1])
        smaller = _nearest(request, runs[-1], free) if need > free else None
        return Forecast(_seconds(request, runs), need, free, waiting + 1, smaller)

    def _read(self) -> list[Run]:
        if self._runs is None:
            try:
                lines = self._path.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError):
                lines = []
            self._runs = [run for line in lines[-KEPT:] if (run := _run(line)) is not None]
        return self._runs

    def _write(self, runs: list[Run], run: Run) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if len(runs) > 2 * KEPT:
                del runs[:-KEPT]
                self._path.write_text("".join(f"{json.dumps(asdict(r))}\n" for r in runs), encoding="utf-8")
                return
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(asdict(run))}\n")
        except OSError as error:
            logger.warning("the run could not be noted: %s", error)  # a forecast less, no picture less


def noting(record: Record, runs: PastRuns) -> Record:
    """Return `record` (see `jobs.Record`), which then also writes the run down in `runs`."""

    def noted(job: Job, finished: Finished) -> Finished:
        done = record(job, finished)
        runs.note(job.request, finished)
        return done

    return noted


def work_of(request: TextToImage) -> int:
    """Return how many pictures' worth of predictions `request` takes: steps x pictures x prompts in each step."""
    try:
        prompts = len(prompts_of(parse_prompt(request.prompt)))
    except InvalidRequest:
        prompts = 1
    guided = 1 if request.guidance_scale > 1 else 0
    return request.steps * request.batch * (prompts + guided)


def need_of(request: TextToImage, run: Run) -> int:
    """Return the memory `request` needs beside the model: it grows with the pixels and the pictures made at once."""
    rows = 1 if run.device == "cpu" else request.batch
    return round(run.activation_bytes * (request.width * request.height * rows) / (run.pixels * run.rows))


def _seconds(request: TextToImage, runs: list[Run]) -> float:
    """A line through the runs of the nearest size: what a run costs in any case, and what each piece of work adds."""
    pixels = request.width * request.height
    nearest = min((abs(run.pixels - pixels), run.pixels) for run in reversed(runs))[1]
    near = [run for run in runs if run.pixels == nearest][-_LATEST:]
    per_work = statistics.median(run.seconds / run.work for run in near)
    fixed = 0.0
    if len({run.work for run in near}) > 1:
        slope, intercept = statistics.linear_regression([r.work for r in near], [r.seconds for r in near])
        if slope > 0 and intercept > 0:
            per_work, fixed = slope, intercept
    return (fixed + per_work * work_of(request)) * pixels / nearest


def _nearest(request: TextToImage, run: Run, free: int) -> dict[str, int] | None:
    """Return the nearest settings that fit: fewer pictures at once first, then smaller ones on a grid of 64 pixels."""
    if run.device != "cpu":
        for batch in range(request.batch - 1, 0, -1):
            if need_of(request.model_copy(update={"batch": batch}), run) <= free:
                return {"batch": batch}
    for share in _SMALLER:
        width, height = (max(64, int(side * share) // 64 * 64) for side in (request.width, request.height))
        smaller = request.model_copy(update={"width": width, "height": height, "batch": 1})
        if (width, height) != (request.width, request.height) and need_of(smaller, run) <= free:
            return {"width": width, "height": height, **({"batch": 1} if run.device != "cpu" else {})}
    return None


def _run(line: str) -> Run | None:
    try:
        values: dict[str, Any] = json.loads(line)
        run = Run(**{field.name: values[field.name] for field in fields(Run)})
        sound = run.work > 0 and run.pixels > 0 and run.rows > 0 and run.seconds >= 0
    except (ValueError, KeyError, TypeError):
        return None
    return run if sound else None
