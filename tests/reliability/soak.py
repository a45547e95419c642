"""Hours of use in a loop: jobs, stops, other models, watchers that leave, drafts, painting; and what stays behind.

    python -m tests.reliability.soak --hours 24

prints one line of figures a minute and the verdict at the end. The same loop runs for eight minutes in the full
reliability group, and for seconds in the default one.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from scipy.stats import theilslopes

from studio.events import Finished
from studio.gallery import Gallery, recorder
from studio.jobs import JobRunner
from studio.process.host import EngineHost
from studio.settings import Settings
from studio.state.memory import Memory
from tests.engine import tiny
from tests.engine.run import small

SAMPLES = 300


@dataclass
class Watched:
    """Samples of both processes, one row each time; judged is the second half, when every bounded cache is full."""

    jobs: list[int] = field(default_factory=list)
    page_mb: list[float] = field(default_factory=list)
    engine_mb: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def look(self, jobs: int, engine_pid: int) -> None:
        """Take a sample."""
        page, engine = psutil.Process(), psutil.Process(engine_pid)
        self.jobs.append(jobs)
        self.page_mb.append(page.memory_info().rss / 2**20)
        self.engine_mb.append(engine.memory_info().rss / 2**20)
        self.files.append(page.num_fds() + engine.num_fds() if sys.platform != "win32" else page.num_handles())
        self.threads.append(page.num_threads() + engine.num_threads())

    def verdict(self) -> dict[str, Any]:
        """Return slopes in MB per 1,000 jobs (Theil-Sen), and how many more files and threads there are than before."""
        return {
            "jobs": self.jobs[-1],
            "page_mb_per_1000_jobs": self._slope(self.page_mb),
            "engine_mb_per_1000_jobs": self._slope(self.engine_mb),
            "files_more": _more(_second_half(self.files)),
            "threads_more": _more(_second_half(self.threads)),
        }

    def _slope(self, samples: Sequence[float]) -> float:
        thousands = [number / 1000 for number in _second_half(self.jobs)]
        if len(set(thousands)) < 2:
            return 0.0
        return round(float(theilslopes(_second_half(samples), thousands)[0]), 3)


def _second_half(samples: Sequence[Any]) -> Sequence[Any]:
    return samples[len(samples) // 2 :]


def _more(samples: Sequence[int]) -> int:
    """Return the median of the last third less that of the first: one busy moment is no leak."""
    third = max(1, len(samples) // 3)
    return int(median(samples[-third:]) - median(samples[:third]))


@dataclass
class Use:
    """Somebody who uses a studio without pause: what they did so far, and how often it ended wrong."""

    runner: JobRunner
    memory: Memory
    host: EngineHost
    dice: random.Random = field(default_factory=lambda: random.Random(11))
    done: Counter[str] = field(default_factory=Counter)

    def once(self) -> None:
        """Make a picture, or stop it, or leave it to itself; with the other model now and then; type and paint."""
        number = self.done["jobs"]
        stops, leaves = self.dice.random() < 0.1, self.dice.random() < 0.06
        other = self.dice.random() < 0.06
        job = self.runner.submit(small(model="sd1" if other else "ldm", steps=2, seed=number), owner="A")
        if stops or leaves:
            next(job.events(timeout_seconds=120), None)  # this watcher is gone after its first event
        if stops:
            time.sleep(self.dice.uniform(0, 0.05))
            job.cancel()
        ending = job.result(timeout_seconds=120)
        self.memory.drafts.save("A", "create", page=f"page {number % 5}", content={"prompt": f"number {number}"})
        self.host.call("examples")
        self.done.update({"jobs": 1, "stops": stops, "watchers_gone": stops or leaves, "with_another_model": other})
        self.done["wrong"] += not stops and not isinstance(ending, Finished)


@contextmanager
def in_use(folder: Path) -> Iterator[Use]:
    """Open a studio with two tiny models in `folder`: gallery, memory, queue, and the real engine in its process."""
    settings = Settings(data_dir=folder, device="cpu", dtype="float32", preview_seconds=0)
    tiny.save_ldm(folder / "models" / "ldm")
    tiny.save_sd(folder / "models" / "sd1")
    for model in (folder / "models").iterdir():
        tiny.ship_preview(model)
    with (
        Gallery(settings.gallery_dir, reserve_bytes=0) as gallery,
        Memory(folder) as memory,
        EngineHost(settings) as host,
        JobRunner(host.run, recorder(gallery), journal=memory.journal) as runner,
    ):
        host.start(warm_up=False)
        host.wait_until_ready()
        yield Use(runner, memory, host)


def soak(folder: Path, seconds: float, *, tell: Callable[[dict[str, Any]], None] = lambda row: None) -> dict[str, Any]:
    """Use a studio in `folder` for `seconds`; return the verdict, with what was done and how often it ended "wrong"."""
    watched = Watched()
    with in_use(folder) as use:
        began = told = time.monotonic()
        while (now := time.monotonic()) - began < seconds:
            use.once()
            if len(watched.jobs) < (now - began) / seconds * SAMPLES and use.host.pid:
                watched.look(use.done["jobs"], use.host.pid)
            if now - told > 60:
                told = now
                tell({"minutes": round((now - began) / 60), **watched.verdict(), "wrong": use.done["wrong"]})
    left = sum(1 for _ in folder.rglob("*.part"))
    return {**watched.verdict(), **use.done, "temporary_files": left}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24)
    hours = parser.parse_args().hours
    with tempfile.TemporaryDirectory(prefix="tessera-soak-") as folder:
        verdict = soak(Path(folder), hours * 3600, tell=lambda row: print(json.dumps(row), flush=True))
    print(json.dumps({"verdict": verdict}))


if __name__ == "__main__":
    main()
