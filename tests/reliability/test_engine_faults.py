"""The engine after it ran out of memory, met NaN, was stopped: as good as new, pixel for pixel."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from studio.engine.engine import Engine
from studio.errors import InvalidResult, OutOfMemory
from studio.events import Cancelled, Event, Finished
from studio.jobs import JobRunner
from studio.process.host import EngineHost
from studio.requests import Request, TextToImage
from studio.settings import Settings
from tests.engine.run import finish, loaded, small
from tests.promises import count

ERRORS: tuple[Callable[[], Exception], ...] = (
    lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    lambda: RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
    MemoryError,
)

SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"guidance_scale": 1.0},
    {"batch": 2},
    {"scheduler": "euler_a"},
    {"width": 128},
)


def shas(finished: Finished) -> list[str]:
    """Return a digest of each picture's pixels."""
    return [hashlib.sha256(image.tobytes()).hexdigest() for image in finished.images]


class Fault:
    """Makes the `at`-th call of a model's `part` raise, or return what `instead` makes of its result."""

    def __init__(self, model: Any, part: str, at: int, instead: Callable[[Any], Any]) -> None:
        self._model, self._part, self._at, self._instead = model, part, at, instead
        self.calls = 0

    def __enter__(self) -> Fault:
        original = getattr(self._model, self._part)

        def call(*args: Any, **named: Any) -> Any:
            self.calls += 1
            result = original(*args, **named)
            return self._instead(result) if self.calls == self._at else result

        setattr(self._model, self._part, call)
        return self

    def __exit__(self, *_: object) -> None:
        delattr(self._model, self._part)


def raising(error: Callable[[], Exception]) -> Callable[[Any], Any]:
    def raise_it(result: Any) -> Any:
        raise error()

    return raise_it


def test_running_out_of_memory_at_any_point_leaves_the_engine_as_good_as_new(
    engine: Engine, figure: Callable[..., None]
) -> None:
    """R1: at every call of every part of two models, in three ways; the next job equals the one before, bit for bit."""
    steps, points, recovered = count(3, 5), 0, 0
    places = [("predict", at) for at in range(1, steps + 1)] + [("decode", 1), ("condition", 1)]
    for name, more in itertools.product(("ldm", "sd1"), SETTINGS[: count(1, len(SETTINGS))]):
        asked = {"model": name, "steps": steps, **more}
        expected = shas(finish(engine, **asked))
        for (part, at), error in itertools.product(places, ERRORS[: count(1, len(ERRORS))]):
            with (
                Fault(loaded(engine, name).model, part, at, raising(error)) as fault,
                pytest.raises(OutOfMemory) as said,
            ):
                list(engine.run(small(**asked, prompt=f"{part} {at}"), lambda: False))
            assert fault.calls == at and said.value.hint.startswith("Try ")
            points += 1
            recovered += shas(finish(engine, **asked)) == expected
    figure(points=points, engines_harmed=points - recovered)
    assert recovered == points


@pytest.mark.parametrize("part", ["predict", "decode", "condition"])
def test_nan_at_any_stage_is_an_error_and_never_a_picture(
    engine: Engine, part: str, figure: Callable[..., None]
) -> None:
    """R2: 100 seeds at each of three stages in the full run; a flat black picture of finite numbers passes."""

    model, saved = loaded(engine, "sd1").model, 0
    for seed in range(count(4, 100)):
        dice = random.Random(seed)
        at = dice.randint(1, 3) if part == "predict" else 1
        with Fault(model, part, at, nan), pytest.raises(InvalidResult, match="NaN"):
            saved += len(finish(engine, model="sd1", seed=seed, prompt=f"{part} {seed}").images)
    figure(stage=part, seeds=count(4, 100), black_pictures=saved)
    with Fault(model, "decode", 1, lambda result: torch.full_like(result, -1.0)):
        assert finish(engine, model="sd1", prompt="truly black").images[0].getextrema() == ((0, 0),) * 3


def nan(value: Any) -> Any:
    """Return `value` with every number in it NaN."""
    if isinstance(value, torch.Tensor):
        return torch.full_like(value, float("nan")) if value.is_floating_point() else value
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{it.name: nan(getattr(value, it.name)) for it in fields(value)})
    return value


def test_a_job_stopped_at_any_step_leaves_nothing_and_never_overlaps_the_next(
    engine: Engine, figure: Callable[..., None]
) -> None:
    """R3: stopped before, at and after every step; one job at a time is in the engine, and no picture comes of it."""
    inside, most, pictures = 0, 0, 0

    def run(request: Request, should_stop: Callable[[], bool]) -> Any:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        try:
            yield from engine.run(request, should_stop)
        finally:
            inside -= 1

    steps = 6
    with JobRunner(run, lambda job, finished: finished, queue_size=1000) as runner:
        for number in range(count(14, 500)):
            job = runner.submit(small(model="ldm", steps=steps, seed=number), owner="A")
            for event in job.events(timeout_seconds=60):
                if number % (steps + 1) == 0 or getattr(event, "index", 0) == number % (steps + 1):
                    job.cancel()
                    break
            after = runner.submit(small(model="ldm", steps=1, seed=number), owner="A")
            ending = job.result(timeout_seconds=60)
            pictures += len(ending.images) if isinstance(ending, Finished) and number % (steps + 1) < steps else 0
            assert isinstance(after.result(timeout_seconds=60), Finished)
    figure(stopped=count(14, 500), overlaps=most - 1)
    assert most == 1


def test_the_same_seed_gives_the_same_pixels_whatever_happened_in_between(
    tiny_settings: Settings, figure: Callable[..., None]
) -> None:
    """R17: settings drawn at random, again after out-of-memory, a stop, another model, and in a new process."""
    dice, engine = random.Random(17), Engine(tiny_settings)
    asked = [drawn(dice) for _ in range(count(4, 50))]
    expected = [shas(finished(engine, request)) for request in asked]
    same = {"after out of memory": 0, "after a stop": 0, "after another model": 0, "in a new process": 0}
    for request, before in zip(asked, expected, strict=True):
        model = loaded(engine, request.model).model
        with Fault(model, "predict", 1, raising(MemoryError)), pytest.raises(OutOfMemory):
            list(engine.run(request.with_changes(prompt="too much"), lambda: False))
        same["after out of memory"] += shas(finished(engine, request)) == before
        assert isinstance(list(engine.run(request.with_changes(prompt="stop"), lambda: True))[-1], Cancelled)
        same["after a stop"] += shas(finished(engine, request)) == before
        finish(engine, model="sd1" if request.model == "ldm" else "ldm", steps=1)
        same["after another model"] += shas(finished(engine, request)) == before
    with EngineHost(tiny_settings) as host:
        host.start(warm_up=False)
        for request, before in zip(asked, expected, strict=True):
            *_, ending = host.run(request, lambda: False)
            assert isinstance(ending, Finished)
            same["in a new process"] += shas(ending) == before
    figure(settings=len(asked), **{f"same_{key}".replace(" ", "_"): value for key, value in same.items()})
    assert set(same.values()) == {len(asked)}


def drawn(dice: random.Random) -> TextToImage:
    """Draw a request."""
    model = dice.choice(["ldm", "sd1"])
    return small(
        model=model,
        steps=dice.randint(1, 5),
        seed=dice.randrange(2**32 - 4),
        batch=dice.randint(1, 2),
        guidance_scale=dice.choice([1.0, 3.5, 7.0]),
        scheduler=dice.choice(["ddim", "euler", "euler_a", "dpmpp_2m"]),
        prompt=dice.choice(["a red apple", "two green bottles", "ink"]),
    )


def finished(engine: Engine, request: TextToImage) -> Finished:
    """Run a request to its end."""
    events: list[Event] = list(engine.run(request, lambda: False))
    ending = events[-1]
    assert isinstance(ending, Finished)
    return ending


def test_a_new_engine_process_is_ready_soon_and_loads_what_it_is_asked_for(
    tiny_settings: Settings, tmp_path: Path, figure: Callable[..., None]
) -> None:
    """R16, with the real engine: killed under a job; the next job is made, by an engine that had to load again."""
    with EngineHost(tiny_settings) as host:
        host.start(warm_up=False)
        assert host.wait_until_ready(120) and host.pid
        os.kill(host.pid, signal.SIGKILL)
        killed = time.monotonic()
        while host.wait_until_ready(0) and time.monotonic() - killed < 5:
            time.sleep(0.01)  # until the loss is noticed
        assert host.wait_until_ready(120)
        ready = time.monotonic() - killed
        *_, ending = host.run(small(model="ldm"), lambda: False)
    assert isinstance(ending, Finished)
    figure(real_engine_ready_after_s=ready)
