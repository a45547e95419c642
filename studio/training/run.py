"""The training loop, the same for every task: batches, log, grids, checkpoints, time left, early stop.

A run is a folder: ``config.json``, ``state.pt`` (everything for an exact resume), ``log.jsonl``, ``grids/`` and
``export/`` (the averaged weights as a diffusers folder). Put a file named ``STOP`` there to pause it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from studio.engine.device import has_fast_bfloat16
from studio.errors import InvalidRequest
from studio.training.checkpoint import load_checkpoint, save_checkpoint
from studio.training.config import (
    TaskConfig,
    read_config,
    write_config,
)
from studio.training.pack import Pack
from studio.training.runlog import Means, RunLog
from studio.training.stream import Source, batches
from studio.training.task import Task, TrainingCollapsed
from studio.training.tasks import make_source, make_task

log = logging.getLogger(__name__)

_PATIENCE = 25  # steps in a row without a finite gradient before the run is stopped


@dataclass(frozen=True)
class Progress:
    """What a run reports after each log line."""

    step: int
    steps: int
    samples: int
    samples_per_second: float
    seconds_left: float
    figures: dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    step: int
    is_finished: bool
    folder: Path


def train(
    config: TaskConfig,
    out: Path,
    *,
    resume: bool = True,
    should_stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[Progress], None] = lambda _: None,
    source: Source | None = None,
    task: Task | None = None,
    accelerator: Accelerator | None = None,
) -> Outcome:
    """Train until the last step or until asked to stop, and leave everything in ``out``.

    Several processes on the same ``out`` share each batch; the first one writes and reports, and any one's wish to stop
    counts for all.

    Raises TrainingCollapsed when the figures are nonsense; the last good checkpoint stays. Raises InvalidRequest when
    the processes cannot share a batch.
    """
    out.mkdir(parents=True, exist_ok=True)
    accelerator = accelerator or make_accelerator(config)
    check_shares(config, accelerator.num_processes)
    if task is None or source is None:
        pack = Pack.open(config.data)
        task = task or make_task(config, accelerator, pack)
        source = source or make_source(config, pack)
    loop = _Loop(config, out, task, accelerator, on_progress)
    if resume and loop.state_path.exists():
        loop.restore()
    if accelerator.is_main_process:
        write_config(config, out / "config.json")
    return loop.run(source, lambda: should_stop() or (out / "STOP").exists())


def resume(out: Path, **options: object) -> Outcome:
    """Go on with the run in folder ``out``. Options are those of ``train``."""
    return train(read_config(out / "config.json"), out, **options)  # type: ignore[arg-type]


def training_device() -> torch.device:
    """Return where one process trains and encodes: a CUDA GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def make_accelerator(config: TaskConfig) -> Accelerator:
    """Return accelerate's handle of the devices and processes this was started with.

    A CPU that only emulates bfloat16 gets float32, which is four times faster on it.
    """
    on_cpu = training_device().type == "cpu"
    is_half = config.precision == "bf16" and not (on_cpu and not has_fast_bfloat16())
    return Accelerator(mixed_precision="bf16" if is_half else "no", cpu=on_cpu)


def check_shares(config: TaskConfig, processes: int) -> None:
    """Raise InvalidRequest unless every batch can be shared equally, as exact averages over processes need."""
    for phase in config.phases:
        if phase.batch_size % processes:
            fitting = -(-phase.batch_size // processes) * processes
            raise InvalidRequest(
                f"A batch of {phase.batch_size} pictures cannot be shared equally by {processes} processes.",
                f"Set batch_size in --set phases=... to a multiple of {processes}, such as {fitting}, "
                "or start another number of processes.",
                field="phases",
            )


class _Loop:
    def __init__(
        self,
        config: TaskConfig,
        out: Path,
        task: Task,
        accelerator: Accelerator,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.config, self.out, self.task, self.accelerator = config, out, task, accelerator
        self.on_progress = on_progress
        self.state_path = out / "state.pt"
        self.step = 0
        self.seconds = 0.0
        self._bad = 0

    def restore(self) -> None:
        state = load_checkpoint(self.state_path)
        self.step, self.seconds = state["step"], state["seconds"]
        self.task.restore(state["task"])
        log.info("resumed at step %d of %d", self.step, self.config.steps)

    def run(self, source: Source, should_stop: Callable[[], bool]) -> Outcome:
        config, main = self.config, self.accelerator.is_main_process
        rank, processes = self.accelerator.process_index, self.accelerator.num_processes
        lines = RunLog(self.out / "log.jsonl", from_step=self.step) if main else None
        means, began, begun_step = Means(), time.monotonic(), self.step
        stream = batches(source, config, start=self.step, rank=rank, processes=processes)
        for batch in stream:
            means.add(self._guarded(self.task.step(batch, self.step)))
            self.step += 1
            if self.step % config.log_every == 0:
                seconds, began = time.monotonic() - began, time.monotonic()
                self.seconds += seconds
                progress = self._progress(self._over_processes(means.take()), seconds, self.step - begun_step)
                begun_step = self.step
                if main and lines is not None:
                    lines.write(self._line(progress))
                    self.on_progress(progress)
                self._judge(progress.figures)
            if main and self.step % config.grid_every == 0:
                self._draw()
            if self.step % config.save_every == 0 and not self._bad:
                self.save()
            if self._any_process(should_stop()):
                break
        self.save()
        if main:
            self._draw()
            self.task.export(self.out / "export")
        return Outcome(self.step, self.step >= config.steps, self.out)

    def save(self) -> None:
        """Write the checkpoint, from the main process only."""
        if self.accelerator.is_main_process:
            save_checkpoint(self.state_path, {"step": self.step, "seconds": self.seconds, "task": self.task.state()})
        self.accelerator.wait_for_everyone()

    def _draw(self) -> None:
        folder = self.out / "grids"
        folder.mkdir(exist_ok=True)
        self.task.grid().save(folder / f"{self.step:07d}.png")

    def _guarded(self, figures: dict) -> dict:  # type: ignore[type-arg]
        """Count steps whose gradient is not a number; ``Trained.update`` has skipped them."""
        self._bad = 0 if math.isfinite(float(figures["gradient"])) else self._bad + 1
        if self._bad >= _PATIENCE:
            precision = "" if self.config.precision == "fp32" else " --set precision=fp32"
            raise TrainingCollapsed(
                f"{_PATIENCE} steps in a row up to step {self.step} gave no finite gradient; none of them was saved.",
                hint=f"Go on from before with a lower learning rate than {self.config.learning_rate:g}: "
                f"studio train resume {self.out} --set learning_rate={self.config.learning_rate / 3:.2g}{precision}",
            )
        return figures

    def _any_process(self, wish: bool) -> bool:
        """Tell whether any process has the wish: one that left alone would leave the others waiting for its part."""
        if self.accelerator.num_processes == 1:
            return wish
        wishes = self.accelerator.reduce(torch.tensor(float(wish), device=self.accelerator.device), reduction="sum")
        return bool(wishes > 0)

    def _over_processes(self, figures: dict[str, float]) -> dict[str, float]:
        """Return the mean of each figure over the processes that have it, so that all judge alike."""
        if self.accelerator.num_processes == 1:
            return figures
        means = Means()
        for part in gather_object([figures]):
            means.add(part)
        return means.take()

    def _judge(self, figures: dict[str, float]) -> None:
        if not math.isfinite(figures["gradient"]):
            return  # skipped steps are among the means; `_guarded` decides on those
        problem = self.task.health(figures)
        if problem:
            raise TrainingCollapsed(f"Stopped at step {self.step}.", hint=problem)

    def _progress(self, figures: dict[str, float], seconds: float, steps: int) -> Progress:
        config = self.config
        samples = sum(config.phase(s).batch_size for s in range(self.step - steps, self.step))
        rate = samples / max(seconds, 1e-9)
        left = sum(config.phase(s).batch_size * config.phase(s).size ** 2 for s in range(self.step, config.steps))
        speed = samples * config.phase(self.step - 1).size ** 2 / max(seconds, 1e-9)  # pixels a second
        total = sum(config.phase(s).batch_size for s in range(self.step))
        return Progress(self.step, config.steps, total, rate, left / max(speed, 1e-9), figures)

    def _line(self, progress: Progress) -> dict[str, float | int]:
        return {
            "step": progress.step,
            "samples": progress.samples,
            "seconds": round(self.seconds, 1),
            "samples_per_second": progress.samples_per_second,
            "seconds_left": round(progress.seconds_left),
            **progress.figures,
        }
