"""The engine after it ran out of memory, met NaN, was stopped: as good as new, pixel for pixel."""

from __future__ import annotations

import gc
import hashlib
import itertools
import os
import random
import signal
import sys
import time
import weakref
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
import torch
from PIL import Image

from studio.engine.engine import Engine
from studio.errors import InvalidResult, OutOfMemory
from studio.events import Cancelled, Finished, Step
from studio.pictures import PictureStore
from studio.process.host import EngineHost, EngineLost
from studio.requests import Inpaint, Request, TextToImage
from tests.engine.run import finish, finished, loaded, small
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
        self.held: list[weakref.ref[torch.Tensor]] = []  # what the failed call was given and returned

    def __enter__(self) -> Fault:
        original = getattr(self._model, self._part)

        def call(*args: Any, **named: Any) -> Any:
            self.calls += 1
            result = original(*args, **named)
            if self.calls != self._at:
                return result
            self.held = [weakref.ref(it) for it in (*args, result) if isinstance(it, torch.Tensor)]
            return self._instead(result)

        setattr(self._model, self._part, call)
        return self

    def __exit__(self, *_: object) -> None:
        delattr(self._model, self._part)


def raising(error: Callable[[], Exception]) -> Callable[[Any], Any]:
    def raise_it(result: Any) -> Any:
        raise error()

    return raise_it


@pytest.mark.thorough
def test_running_out_of_memory_at_any_point_leaves_the_engine_as_good_as_new(
    engine: Engine, figure: Callable[..., None]
) -> None:
    """R1: at every call of every part of two models, in three ways; the next job equals the one before, bit for bit."""
    steps, points, recovered, held = count(3, 5), 0, 0, list[weakref.ref[torch.Tensor]]()
    places = [("predict", at) for at in range(1, steps + 1)] + [("decode", 1), ("condition", 1)]
    for name, more in itertools.product(("ldm", "sd1"), SETTINGS[: count(1, len(SETTINGS))]):
        asked = {"model": name, "steps": steps, **more}
        expected = shas(finish(engine, **asked))
        for (part, at), error in itertools.product(places, ERRORS[: count(1, len(ERRORS))]):
            with Fault(loaded(engine, name).model, part, at, raising(error)) as fault:
                said = refusal(engine, small(**asked, prompt=f"{part} {at}"))
            assert fault.calls == at and "Try " in said
            points, held = points + 1, held + fault.held
            recovered += shas(finish(engine, **asked)) == expected
    gc.collect()
    leaked = sum(it() is not None for it in held)
    figure(points=points, engines_harmed=points - recovered, tensors_leaked=leaked)
    assert recovered == points
    assert len(held) > points and leaked == 0


@pytest.mark.parametrize("part", ["encode", "predict", "decode"])
def test_repainting_that_runs_out_of_memory_is_told_and_forgotten(
    engine: Engine, part: str, figure: Callable[..., None]
) -> None:
    """R1, where a picture comes in: the same, for inpainting."""
    pictures = PictureStore(engine.settings.data_dir / "pictures")
    source, mask = Image.new("RGB", (64, 64), "teal"), Image.new("L", (64, 64))
    mask.paste(255, (16, 16, 40, 40))
    request = Inpaint(
        prompt="a hat", source=pictures.put(source), mask=pictures.put(mask), seed=1, steps=3, size=64, model="sd1"
    )
    expected = shas(finished(engine, request))
    for error in ERRORS[: count(1, len(ERRORS))]:
        with Fault(loaded(engine, "sd1").model, part, 1, raising(error)):
            assert "not enough memory" in refusal(engine, request)
        assert shas(finished(engine, request)) == expected
    figure(inpainting_stage=part, engines_harmed=0)


def refusal(engine: Engine, request: Request) -> str:
    """Run a request that runs out of memory and return what is said."""
    with pytest.raises(OutOfMemory) as said:
        list(engine.run(request, lambda: False))
    return str(said.value)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space: run on Linux")
def test_a_real_shortage_of_memory_costs_one_job_and_not_the_engine(
    host: EngineHost, figure: Callable[..., None]
) -> None:
    """R1 without make-believe: the process may not have more than a few megabytes; then it may again."""
    ask = small(model="ldm", steps=2)
    expected, pid, short = hosted(host, ask), host.pid, 0
    for number in range(count(2, 24)):
        room = f"with {8 + 37 * number % 290} MB"  # beside what its allocator keeps, 100 MB and more
        large = ask.with_changes(prompt=room, width=2048, height=1024, seed=number)
        with pytest.raises(OutOfMemory, match="not enough memory for 2048×1024"):
            list(host.run(large, lambda: False))
        short += 1
        assert hosted(host, ask) == expected
        assert hosted(host, ask.with_changes(width=64 * (2 + number % 7)))  # shapes that are new to the libraries
    figure(real_shortages=short, engines_lost=0)
    assert host.pid == pid


def hosted(host: EngineHost, request: Request) -> list[str]:
    """Run a request in the engine's process and return its pictures' digests."""
    *_, ending = host.run(request, lambda: False)
    assert isinstance(ending, Finished)
    return shas(ending)


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


def test_the_same_seed_gives_the_same_pixels_whatever_happened_in_between(
    engine: Engine, host: EngineHost, figure: Callable[..., None]
) -> None:
    """R17: settings drawn at random, again after out-of-memory, a stop, another model, and in a new process."""
    dice = random.Random(17)
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
    for request, before in zip(asked, expected, strict=True):
        same["in a new process"] += hosted(host, request) == before
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


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals: run on Linux or macOS")
def test_a_new_engine_takes_over_in_mid_job_and_paints_the_same(host: EngineHost, figure: Callable[..., None]) -> None:
    """R16 and R17, with the real engine: killed under a job; the next one, which has to load again, paints the same."""
    ask, ready = small(model="ldm"), []
    expected = hosted(host, ask)
    for number in range(count(1, 6)):
        while not host.has_spare:
            time.sleep(0.1)
        assert host.pid
        run = host.run(small(model="ldm", steps=150, prompt="killed", seed=number), lambda: False)
        while not isinstance(next(run), Step):
            pass
        os.kill(host.pid, signal.SIGKILL)
        killed = time.monotonic()
        with pytest.raises(EngineLost, match="most likely because memory ran out"):
            list(run)
        assert host.wait_until_ready(120)
        ready.append(time.monotonic() - killed)
        assert hosted(host, ask) == expected
    figure(real_engines_killed=len(ready), slowest_new_engine_s=max(ready))
    if host._spare.process is not None:  # it dies first where memory runs out
        host._spare.process.kill()
    assert host.pid
    os.kill(host.pid, signal.SIGKILL)
    while host.wait_until_ready(0):
        time.sleep(0.01)
    killed = time.monotonic()
    assert host.wait_until_ready(120)
    figure(new_engine_where_there_is_no_spare_s=time.monotonic() - killed)
    assert hosted(host, ask) == expected
