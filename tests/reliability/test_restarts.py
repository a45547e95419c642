"""What a restart, a crash of the engine and a lost page cost: one job at most."""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.events import Failed, Finished
from studio.gallery import Gallery
from studio.jobs import JobRunner
from studio.process.host import EngineHost
from studio.requests import TextToImage
from studio.settings import Settings
from studio.state.memory import FILE
from tests.process.works import Play
from tests.promises import count
from tests.reliability.restarting_studio import colour

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork: run on Linux or macOS")
def test_a_queue_killed_again_and_again_loses_and_doubles_nothing(tmp_path: Path, figure: Callable[..., None]) -> None:
    """R15: kill -9 with 50 jobs waiting and one running; every acknowledged job is made once, with its seed."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.reliability.restarting_studio", tmp_path, str(count(12, 100))],
        cwd=ROOT, capture_output=True, text=True, timeout=1400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    with sqlite3.connect(tmp_path / FILE) as db:
        retired = dict(db.execute("SELECT id, attempts FROM jobs WHERE state = 'failed'").fetchall())
        open_jobs = db.execute("SELECT count(*) FROM jobs WHERE state IN ('waiting', 'running')").fetchone()[0]
    with Gallery(tmp_path / "gallery", reserve_bytes=0) as gallery:
        made = Counter(entry.job for entry in gallery.each())
        for entry in gallery.each():
            assert gallery.open(entry.id).getpixel((0, 0)) == colour(entry.seed or 0)
            assert told["acknowledged"].get(entry.job, entry.seed) == entry.seed
    lost = [job for job in told["acknowledged"] if not made[job] and job not in retired]
    figure(
        kills=told["kills"], jobs=len(told["acknowledged"]), lost=len(lost), doubled=sum(n > 1 for n in made.values())
    )
    assert lost == []
    assert max(made.values()) == 1
    assert all(attempts == 2 for attempts in retired.values())
    assert open_jobs == 0


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals: run on Linux or macOS")
def test_an_engine_lost_in_any_way_costs_one_job(figure: Callable[..., None]) -> None:
    """R16: aborted, killed, ended, stopped: the job fails, its neighbour is made by the next engine."""
    ways, ready, unharmed = ("abort", "killed", "exit", "hang"), [], 0
    with EngineHost(Settings(), build=Play, patience_seconds=1.0) as host:
        host.start()
        with JobRunner(host.run, lambda job, finished: finished, queue_size=1000) as runner:
            for number in range(count(4, 200)):
                way = ways[number % 4] if number % 20 < 4 or number % 4 < 3 else "killed"  # a hang takes its patience
                bad, good = (runner.submit(ask(prompt), owner="A") for prompt in (way, "good"))
                assert isinstance(bad.result(timeout_seconds=120), Failed)
                lost = time.monotonic()
                unharmed += isinstance(good.result(timeout_seconds=120), Finished)
                ready.append(time.monotonic() - lost)
    figure(
        engines_lost=len(ready), other_jobs_harmed=len(ready) - unharmed, next_job_done_after_s=statistics.median(ready)
    )
    assert unharmed == len(ready)


def ask(prompt: str) -> TextToImage:
    return TextToImage(prompt=prompt, seed=1, steps=3)
