"""A deterministic engine for tests of the page alone: colours that settle step by step, at a set pace."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from studio.errors import OutOfMemory
from studio.events import Cancelled, Decoding, Event, Finished, Loading, Step
from studio.requests import Request, TextToImage


@dataclass
class FakeEngine:
    """Runs text_to_image requests without a model.

    Attributes:
        step_seconds: Time each step takes.
        seen: The requests it ran.
    """

    step_seconds: float = 0.02
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
            time.sleep(self.step_seconds)
            settled = index / request.steps
            small = request.model_copy(update={"width": request.width // 8, "height": request.height // 8})
            previews = [picture(small, i, settled) for i in range(request.batch)]
            yield Step(index, request.steps, beside(previews), time.perf_counter() - began)
        yield Decoding()
        pictures = tuple(picture(request, i, 1.0) for i in range(request.batch))
        yield Finished(pictures, tuple(request.seed + i for i in range(request.batch)), time.perf_counter() - began)


def picture(request: TextToImage, index: int, settled: float) -> Image.Image:
    """Return a landscape of soft discs for (seed + index); `settled` in 0..1 takes the noise away."""
    rng = np.random.default_rng(request.seed + index)
    height, width = request.height, request.width
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    canvas = np.zeros((height, width, 3), np.float32) + rng.uniform(60, 200, 3)
    for _ in range(7):
        centre, radius = rng.uniform((0, 0), (height, width)), rng.uniform(0.1, 0.45) * min(height, width)
        inside = 1 / (1 + np.exp((np.hypot(y - centre[0], x - centre[1]) - radius) / (width / 64)))[..., None]
        canvas = canvas * (1 - inside) + rng.uniform(20, 245, 3) * inside
    noise = np.random.default_rng(int(settled * 1000)).normal(128, 70, canvas.shape)
    return Image.fromarray((canvas * settled + noise * (1 - settled)).clip(0, 255).astype(np.uint8))


def beside(pictures: list[Image.Image]) -> Image.Image:
    """Return pictures of one size side by side."""
    row = Image.new("RGB", (sum(p.width for p in pictures), pictures[0].height))
    for i, one in enumerate(pictures):
        row.paste(one, (i * one.width, 0))
    return row
