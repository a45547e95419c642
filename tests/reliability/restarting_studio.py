"""Run as a program: a queue with a gallery behind it, killed again and again.

    python restarting_studio.py FOLDER KILLS

Each round a forked child fills the queue up to WAITING jobs and works; it is killed at a random moment. A last child
works off what is left. One JSON line: the ids that were acknowledged, and how often it was killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

from studio.events import Cancelled, Event, Finished, Step
from studio.gallery import Gallery, recorder
from studio.jobs import JobRunner
from studio.requests import Request, TextToImage
from studio.state.memory import Memory

WAITING = 51
OWNER = "the owner"


def run(request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
    """Paint the seed's colour in three short steps."""
    assert isinstance(request, TextToImage)
    for index in range(1, 4):
        if should_stop():
            yield Cancelled(at_step=index - 1)
            return
        time.sleep(0.002)
        yield Step(index, 3)
    yield Finished((Image.new("RGB", (64, 64), colour(request.seed)),), (request.seed,), 0.0)


def colour(seed: int) -> tuple[int, int, int]:
    """Return a seed's own colour."""
    return seed % 256, seed // 256 % 256, 128


def life(folder: Path, tell: int, *, first: int, drain: bool) -> None:
    """Live until killed, or until the queue is empty with `drain`; tell each job's id and seed once it is queued."""
    with (
        Gallery(folder / "gallery", reserve_bytes=0) as gallery,
        Memory(folder) as memory,
        JobRunner(run, recorder(gallery), queue_size=1000, queue_per_session=1000, journal=memory.journal) as runner,
    ):
        os.write(tell, b"ready\n")
        seed = first
        while True:
            active = runner.active(OWNER)
            if drain and not active:
                return
            if not drain and len(active) < WAITING:
                seed += 1
                job = runner.submit(TextToImage(prompt=f"picture {seed}", seed=seed), owner=OWNER)
                os.write(tell, f"{job.id} {seed}\n".encode())
            else:
                time.sleep(0.002)


def main() -> None:
    folder, kills = Path(sys.argv[1]), int(sys.argv[2])
    dice, acknowledged = random.Random(15), {}
    for number in range(kills + 1):
        drain = number == kills
        hear, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(hear)
            life(folder, tell, first=number * 10_000, drain=drain)
            os._exit(0)
        os.close(tell)
        with os.fdopen(hear, "rb") as told:
            assert told.readline() == b"ready\n"
            if not drain:
                time.sleep(dice.uniform(0.02, 0.4))
                os.kill(pid, signal.SIGKILL)
            lines = told.read().decode().splitlines()
        _, status = os.waitpid(pid, 0)
        assert not drain or status == 0, f"the last life ended with {status}"
        acknowledged |= {job: int(seed) for job, seed in (line.split() for line in lines if len(line.split()) == 2)}
    print(json.dumps({"acknowledged": acknowledged, "kills": kills}))


if __name__ == "__main__":
    main()
