"""The runs on own pictures as the page sees them: begun, watched, paused and stopped from outside their process.

Every run is a process of its own (`studio train own`), so that training neither slows the page down nor ends with
it; all that is known of a run is read from its folder. No torch is loaded here.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

from PIL import Image

from studio.errors import InvalidRequest
from studio.training.plans import LEAST_PICTURES, ORDER, STEPS, Effort, Kind, Order, begin
from studio.training.runlog import read_log

Phase = Literal["preparing", "running", "pausing", "paused", "finished", "stopped", "failed"]
ACTIVE: tuple[Phase, ...] = ("preparing", "running", "pausing")
_SILENT_SECONDS = 20.0  # without a sign of life for so long a run is dead
_STARTING_SECONDS = 60.0  # importing torch takes a while
_PROBE = "measuring"


@dataclass(frozen=True, slots=True)
class RunState:
    """How far a run is.

    Attributes:
        name: Its folder's name.
        order: What it was asked to do.
        phase: What it is doing.
        step: Optimiser steps done, of `order.steps`.
        seconds_left: Of training, or None before the first figures.
        figures: The last line of its log.
        message, hint: What went wrong, and what to do.
        has_result: Whether there is a model to use.
    """

    name: str
    order: Order
    phase: Phase
    step: int = 0
    seconds_left: float | None = None
    figures: dict[str, float] = field(default_factory=dict)
    message: str = ""
    hint: str = ""
    has_result: bool = False


def train_command(run: Path) -> list[str]:
    """Return the command that trains in the folder `run`."""
    return [sys.executable, "-m", "studio.cli", "train", "own", str(run)]


class Runs:
    """The runs in a folder.

    Args:
        folder: Where runs lie.
        models: Where results go that are to be used.
        command: Folder of a run -> the command of its process.
    """

    def __init__(self, folder: Path, models: Path, *, command: Callable[[Path], list[str]] = train_command) -> None:
        self._folder, self._models, self._command = folder, models, command
        self._probe: subprocess.Popen[bytes] | None = None

    def list(self) -> list[RunState]:
        """Return every run, the newest first."""
        orders = self._folder.glob(f"*/{ORDER}")
        newest = sorted(orders, key=lambda path: path.stat().st_mtime, reverse=True)
        return [self.state(path.parent.name) for path in newest if path.parent.name != _PROBE]

    def state(self, name: str) -> RunState:
        """Return how far the run called `name` is; raises InvalidRequest when there is none."""
        run = self.path(name)
        order, log = Order.read(run), read_log(run / "log.jsonl")
        last = log[-1] if log else {}
        step = int(last.get("step", 0))
        phase, message, hint = _phase(run, step >= order.steps)
        left = float(last["seconds_left"]) if phase == "running" and "seconds_left" in last else None
        figures = {key: value for key, value in last.items() if isinstance(value, int | float)}
        result = (run / "export").is_dir() and phase not in ACTIVE
        return RunState(name, order, phase, step, left, figures, message, hint, result)

    def start(
        self, name: str, *, kind: Kind, pictures: Path | Sequence[Image.Image], model: Path, effort: Effort,
        caption: str = "",
    ) -> RunState:  # fmt: skip
        """Begin a run; a measurement that is still going on ends, since the two would slow each other.

        Args:
            name: For the run and for the model it makes.
            pictures: A folder, or the pictures themselves, which are kept in the run.
            model: The folder of the model to begin with.
            caption: Said of every one of `pictures`; a folder brings its own captions.

        Raises:
            InvalidRequest: The name is taken or unusable, there are too few pictures, or another run is going on.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,59}", name) or name == _PROBE:
            raise InvalidRequest(f'"{name}" cannot be the name of a run.', "Use letters, digits and spaces.")
        if (self._folder / name).exists() or (self._models / name).exists():
            raise InvalidRequest(f'There is a run or a model called "{name}" already.', "Choose another name.")
        return self._begin(name, kind, pictures, model=model, effort=effort, caption=caption)

    def measure(self, *, kind: Kind, pictures: Path | Sequence[Image.Image], model: Path) -> None:
        """Take a few steps on the pictures, so that `estimate` knows this machine; raises InvalidRequest."""
        self._end_probe()
        shutil.rmtree(self._folder / _PROBE, ignore_errors=True)
        self._begin(_PROBE, kind, pictures, model=model, effort="probe", caption="a picture")

    def measuring(self) -> RunState | None:
        """Return how far the measurement is, or None when none was begun."""
        return self.state(_PROBE) if (self._folder / _PROBE / ORDER).is_file() else None

    def estimate(self, kind: Kind, effort: Effort) -> float | None:
        """Return how many seconds a run will take, from the last run of its kind here; None: never measured."""
        for path in sorted(self._folder.glob(f"*/{ORDER}"), key=lambda path: -path.stat().st_mtime):
            lines = read_log(path.parent / "log.jsonl")
            if len(lines) < 3 or Order.read(path.parent).kind != kind:
                continue
            pairs = itertools.pairwise(lines)  # differences: the first line pays for starting
            paces = [(b["seconds"] - a["seconds"]) / max(1, b["step"] - a["step"]) for a, b in pairs]
            return median(paces) * STEPS[kind][effort]
        return None

    def pause(self, name: str) -> None:
        """Ask a run to save and stop; `go_on` takes it up again."""
        (self.path(name) / "STOP").touch()

    def stop(self, name: str) -> None:
        """Ask a run to save and stop for good; what it has made so far can be used."""
        run = self.path(name)
        (run / "STOPPED").touch()
        (run / "STOP").touch()

    def go_on(self, name: str) -> RunState:
        """Take up a run that was paused or cut; raises InvalidRequest while one is going on."""
        self._none_active()
        self._end_probe()
        run = self.path(name)
        for mark in ("STOP", "STOPPED", "error.json"):
            (run / mark).unlink(missing_ok=True)
        self._spawn(run)
        return self.state(name)

    def use(self, name: str) -> Path:
        """Copy a run's model to the studio's models, under the run's name; return its folder.

        Raises:
            InvalidRequest: The run has made none yet.
        """
        state, run, target = self.state(name), self.path(name), self._models / name
        if not state.has_result:
            raise InvalidRequest(f'"{name}" has made no model yet.', "Let it go on for a while.")
        shutil.rmtree(target, ignore_errors=True)
        inner = target / "vqvae" if state.order.kind == "codebook" else target
        shutil.copytree(run / "export", inner)
        return target

    def path(self, name: str) -> Path:
        """Return the folder of a run; raises InvalidRequest when there is none."""
        run = self._folder / name
        if run.parent != self._folder or not (run / ORDER).is_file():
            raise InvalidRequest(f'There is no run called "{name[:60]}".', "Choose one of the list.")
        return run

    def _begin(
        self,
        name: str,
        kind: Kind,
        pictures: Path | Sequence[Image.Image],
        *,
        model: Path,
        effort: Effort,
        caption: str,
    ) -> RunState:
        self._none_active()
        run = self._folder / name
        folder = pictures if isinstance(pictures, Path) else _keep(pictures, run / "pictures", caption)
        begin(run, kind=kind, pictures=folder, model=model, effort=effort)
        self._end_probe()
        process = self._spawn(run)
        if name == _PROBE:
            self._probe = process
        return self.state(name)

    def _end_probe(self) -> None:
        if self._probe is not None:
            self._probe.kill()  # it has nothing to save
            self._probe.wait()
            self._probe = None
            (self._folder / _PROBE / "alive").unlink(missing_ok=True)

    def _none_active(self) -> None:
        names = [path.parent.name for path in self._folder.glob(f"*/{ORDER}") if path.parent.name != _PROBE]
        busy = next((name for name in names if self.state(name).phase in ACTIVE), None)
        if busy is not None:
            raise InvalidRequest(f'"{busy}" is still going on.', "Pause or stop it first: two would slow each other.")

    def _spawn(self, run: Path) -> subprocess.Popen[bytes]:
        (run / "alive").touch()
        os.utime(run / "alive", (time.time() + _STARTING_SECONDS,) * 2)
        with (run / "output.txt").open("ab") as output:
            return subprocess.Popen(
                self._command(run),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def curves(log: Path, names: Iterable[str]) -> dict[str, list[tuple[float, float]]]:
    """Return the (step, value) points of each figure of a log that has at least two."""
    lines: list[dict[str, Any]] = read_log(log)
    found = {
        name: [(float(line["step"]), float(line[name])) for line in lines if isinstance(line.get(name), int | float)]
        for name in names
    }
    return {name: points for name, points in found.items() if len(points) > 1}


def _phase(run: Path, is_done: bool) -> tuple[Phase, str, str]:
    if (run / "error.json").is_file():
        error = json.loads((run / "error.json").read_text(encoding="utf-8"))
        return "failed", str(error["message"]), str(error["hint"])
    alive = run / "alive"
    if alive.exists() and time.time() - alive.stat().st_mtime < _SILENT_SECONDS:
        if (run / "STOP").exists():
            return "pausing", "", ""
        return ("running" if (run / "log.jsonl").exists() else "preparing"), "", ""
    if is_done:
        return "finished", "", ""
    if (run / "STOPPED").exists():
        return "stopped", "", ""
    if (run / "log.jsonl").exists():
        return "paused", "", ""
    return "failed", "The run ended before its first step.", _last_line(run / "output.txt")


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "Its output.txt is empty.")


def _keep(pictures: Sequence[Image.Image], folder: Path, caption: str) -> Path:
    if len(pictures) < LEAST_PICTURES:
        raise InvalidRequest(f"There are {len(pictures)} pictures.", f"Give {LEAST_PICTURES} or more.")
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures, start=1):
        picture.save(folder / f"{number:03}.png")
        if caption:
            (folder / f"{number:03}.txt").write_text(caption, encoding="utf-8")
    return folder
