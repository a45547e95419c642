"""Hours of use in a loop: jobs, stops, other models, drafts, painting calls; and what of it stays behind.

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
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
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

SAMPLES = 200
WARM_UP_SHARE = 0.25  # of the time, not looked at: caches fill up


@dataclass
class Watched:
    """Samples of both processes, one row each time."""

    jobs: list[int] = field(default_factory=list)
    page_mb: list[float] = field(default_factory=list)
    engine_mb: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    temporary: list[int] = field(default_factory=list)

    def look(self, jobs: int, engine_pid: int, temporary: Path) -> None:
        """Take a sample."""
        page, engine = psutil.Process(), psutil.Process(engine_pid)
        self.jobs.append(jobs)
        self.page_mb.append(page.memory_info().rss / 2**20)
        self.engine_mb.append(engine.memory_info().rss / 2**20)
        self.files.append(page.num_fds() + engine.num_fds() if sys.platform != "win32" else page.num_handles())
        self.threads.append(page.num_threads() + engine.num_threads())
        self.temporary.append(sum(1 for _ in temporary.rglob("*.part")))

    def verdict(self) -> dict[str, Any]:
        """Return slopes in MB per 1,000 jobs (Theil-Sen, warm-up left out) and what was left over."""
        start = int(len(self.jobs) * WARM_UP_SHARE)
        jobs = [number / 1000 for number in self.jobs[start:]]
        return {
            "jobs": self.jobs[-1],
            "page_mb_per_1000_jobs": round(float(theilslopes(self.page_mb[start:], jobs)[0]), 3),
            "engine_mb_per_1000_jobs": round(float(theilslopes(self.engine_mb[start:], jobs)[0]), 3),
            "files_more": self.files[-1] - self.files[start],
            "threads_more": self.threads[-1] - self.threads[start],
            "temporary_files": self.temporary[-1],
        }


def soak(folder: Path, seconds: float, *, tell: Callable[[dict[str, Any]], None] = lambda row: None) -> dict[str, Any]:
    """Use a studio in `folder` for `seconds`; return the verdict, with the number of jobs that ended "wrong"."""
    settings = Settings(data_dir=folder, device="cpu", dtype="float32", preview_seconds=0)
    tiny.save_ldm(folder / "models" / "ldm")
    tiny.save_sd(folder / "models" / "sd1")
    for model in (folder / "models").iterdir():
        tiny.ship_preview(model)
    watched, wrong, jobs, dice = Watched(), 0, 0, random.Random(11)
    with (
        Gallery(settings.gallery_dir, reserve_bytes=0) as gallery,
        Memory(folder) as memory,
        EngineHost(settings) as host,
        JobRunner(host.run, recorder(gallery), journal=memory.journal) as runner,
    ):
        host.start(warm_up=False)
        host.wait_until_ready()
        began = told = time.monotonic()
        while (now := time.monotonic()) - began < seconds:
            stops = dice.random() < 0.1
            model = "sd1" if dice.random() < 0.06 else "ldm"
            job = runner.submit(small(model=model, steps=2, seed=jobs), owner="A")
            if stops:
                next(job.events(timeout_seconds=120), None)
                time.sleep(dice.uniform(0, 0.05))
                job.cancel()
            ending = job.result(timeout_seconds=120)
            wrong += not stops and not isinstance(ending, Finished)
            memory.drafts.save("A", "create", page=f"page {jobs % 5}", content={"prompt": f"number {jobs}"})
            host.call("examples")
            jobs += 1
            if len(watched.jobs) < (now - began) / seconds * SAMPLES and host.pid:
                watched.look(jobs, host.pid, folder)
            if now - told > 60:
                told = now
                tell({"minutes": round((now - began) / 60), **watched.verdict(), "wrong": wrong})
    return {**watched.verdict(), "wrong": wrong}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24)
    hours = parser.parse_args().hours
    with tempfile.TemporaryDirectory(prefix="tessera-soak-") as folder:
        verdict = soak(Path(folder), hours * 3600, tell=lambda row: print(json.dumps(row), flush=True))
    print(json.dumps({"verdict": verdict}))


if __name__ == "__main__":
    main()
