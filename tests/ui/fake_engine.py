"""A deterministic engine for tests of the page alone: colours that settle step by step, at a set pace."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from studio.errors import OutOfMemory
from studio.events import Cancelled, Decoding, Event, Finished, Loading, Step
from studio.jobs import JobRunner
from studio.requests import Request, TextToImage

PACE_SECONDS = 0.02


@dataclass
class FakeEngine:
    """Runs text_to_image requests without a model.

    Attributes:
        step_seconds: Time each step takes.
        hold_at: Step within which the engine waits until `resume` is set or the job is stopped; 0 for none.
        is_held: Set once it waits within that step: a job that is stopped before would end without it.
        rest_seconds: How long at most the rest of that step lasts when the job is stopped in the middle of it.
        seen: The requests it ran.
    """

    step_seconds: float = PACE_SECONDS
    hold_at: int = 0
    rest_seconds: float = 20
    resume: threading.Event = field(default_factory=threading.Event)
    is_held: threading.Event = field(default_factory=threading.Event)
    seen: list[Request] = field(default_factory=list)

    def run(self, request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
        """Run `request`; a prompt with "out of memory" fails as the real engine would."""
        assert isinstance(request, TextToImage)
        self.seen.append(request)
        yield Loading("fake-256")
        if "out of memory" in request.prompt:
            raise OutOfMemory("There is not enough memory for 2048 × 2048.", "Try 1024 × 1024.")
        began = time.perf_counter()
        for index in range(1, request.steps + 1):
            if should_stop():
                yield Cancelled(at_step=index - 1)
                return
            self._step(index, should_stop)
            yield Step(index, request.steps, previews(request, index / request.steps), time.perf_counter() - began)
        yield Decoding()
        pictures = tuple(picture(request, i, 1.0) for i in range(request.batch))
        yield Finished(pictures, tuple(request.seed + i for i in range(request.batch)), time.perf_counter() - began)

    def settle(self, runner: JobRunner, *, step_seconds: float = PACE_SECONDS) -> None:
        """Stop all that runs and waits, also what a series goes on asking for, and be as new: what one test leaves
        behind must not meet the next, least of all when it failed.
        """
        self.hold_at = 0
        self.resume.set()
        while going := [job for job in list(runner._jobs.values()) if job.ending is None] or series_threads():
            for one in going:
                if isinstance(one, threading.Thread):
                    one.join(0.01)
                else:
                    one.cancel()
                    one.result(timeout_seconds=60)
        self.resume.clear()
        self.is_held.clear()
        self.seen.clear()
        self.step_seconds = step_seconds

    def _step(self, index: int, should_stop: Callable[[], bool]) -> None:
        time.sleep(self.step_seconds)
        if index == self.hold_at:
            self.is_held.set()
        while index == self.hold_at and not should_stop() and not self.resume.wait(0.02):
            pass
        if index == self.hold_at and should_stop():
            self.resume.wait(self.rest_seconds)  # the rest of the step that Stop came in the middle of


def series_threads() -> list[threading.Thread]:
    """Return the threads that make series, which submit their next job when one has ended."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("series-")]


def previews(request: TextToImage, settled: float) -> Image.Image:
    """Return what a step shows: all pictures of the batch side by side, at an eighth of their size."""
    small = request.model_copy(update={"width": request.width // 8, "height": request.height // 8})
    row = Image.new("RGB", (small.width * request.batch, small.height))
    for i in range(request.batch):
        row.paste(picture(small, i, settled), (i * small.width, 0))
    return row


def picture(request: TextToImage, index: int, settled: float) -> Image.Image:
    """Return soft discs for (seed + index); `settled` in 0..1 takes the noise away."""
    rng = np.random.default_rng(request.seed + index)
    height, width = request.height, request.width
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    canvas = np.zeros((height, width, 3), np.float32) + rng.uniform(60, 200, 3)
    for _ in range(7):
        centre, radius = rng.uniform(0, 1, 2) * (height, width), rng.uniform(0.1, 0.45) * min(height, width)
        edge = (np.hypot(y - centre[0], x - centre[1]) - radius) / (width / 64)
        inside = 1 / (1 + np.exp(edge.clip(-30, 30)))[..., None]
        canvas = canvas * (1 - inside) + rng.uniform(20, 245, 3) * inside
    noise = np.random.default_rng(int(settled * 1000)).normal(128, 70, canvas.shape)
    return Image.fromarray((canvas * settled + noise * (1 - settled)).clip(0, 255).astype(np.uint8))
