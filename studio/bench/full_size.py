"""The engine beside stock diffusers at full SD 1.5 and SDXL size, on a GPU; on a CPU it says that it was skipped.

Arms: the engine; the engine with a compiled U-Net (the setting `compile_models`); stock at its defaults (float32, as
`from_pretrained` gives it); stock at its best (bfloat16, channels_last) and that compiled; the engine with its U-Net in
the contiguous format instead of channels_last. All share seed, scheduler and steps, and are timed in turn.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from studio.bench import joined
from studio.bench.random_models import SIDES, random_loaded
from studio.bench.ratio import ratio, time_interleaved
from studio.engine.compiled import Compiled
from studio.engine.engine import Engine
from studio.engine.noise import generators_of
from studio.engine.store import Loaded
from studio.events import Event, Step
from studio.jobs import JobRunner
from studio.requests import TextToImage
from studio.settings import Settings

STEPS = 20
_FORMATS = (torch.channels_last, torch.contiguous_format)
GOALS = {"sd15": 2.0, "sdxl": 1.4, "streaming": 1.01, "batch": 2.0, "memory": 1.5, "first": 1.1, "idle": 1.0}


def run(settings: Settings, rounds: int) -> dict[str, Any]:
    """Measure both sizes, or say why not."""
    if not torch.cuda.is_available():
        return {"full size": "skipped: SD 1.5 and SDXL at full size need an NVIDIA GPU, and there is none here"}
    names = ("sd15", "sdxl")
    return {f"full size {name}": measure(settings, name, rounds, device="cuda:0", dtype="bfloat16") for name in names}


def measure(
    settings: Settings, name: str, rounds: int, *, device: str, dtype: str, backend: str = "inductor"
) -> dict[str, Any]:
    """Return the figures of one size.

    Args:
        name: "sd15", "sdxl", or "small".
        rounds: Interleaved rounds.
        device, dtype: Of the engine and of stock at its best; stock at its defaults is float32.
        backend: Of torch.compile.
    """
    loaded = random_loaded(name, device=device, dtype=dtype)
    engine = Engine(settings)
    request = TextToImage(
        prompt="a red apple on a white table", steps=STEPS if name != "small" else 3, seed=1, scheduler="euler",
        guidance_scale=7, width=SIDES[name], height=SIDES[name],
    )  # fmt: skip
    result: dict[str, Any] = {"steps": request.steps, "dtype": dtype, **_first(engine, loaded, request)}
    best = stock(loaded.model.pipeline, loaded, request)
    default = stock(_as_float32(loaded), loaded, request)
    ours = watched(engine, loaded, request)
    seconds = time_interleaved({"engine": ours, "best": best, "again": best, "default": default}, rounds=rounds)
    gain, tax = ratio(seconds["default"], seconds["engine"]), ratio(seconds["engine"], seconds["best"])
    goal = GOALS.get(name, 1.0)
    result |= {
        "seconds_engine": statistics.median(seconds["engine"]),
        "stock at its defaults / engine": gain.as_row(goal=goal, met=gain.low >= goal),
        "engine with previews / stock at its best": tax.as_row(
            goal=GOALS["streaming"], met=tax.low <= GOALS["streaming"]
        ),
        "stock / stock (noise)": ratio(seconds["again"], seconds["best"]).as_row(),
        "engine against float32 stock": {"mean_levels_apart": _apart(ours(), default())},
    }
    result |= _memory(engine, loaded, request) if device.startswith("cuda") else {}
    few = max(2, rounds // 4)
    result |= channels_last(engine, loaded, request, rounds) if device.startswith("cuda") else {}
    result |= _compiled(engine, loaded, request, few, default=default, backend=backend, goal=goal)
    result |= _batch(engine, loaded, request, few) | _joined(settings, loaded, request, few)
    return result | _idle(engine, loaded, request, rounds)


def stock(pipeline: Any, loaded: Loaded, request: TextToImage) -> Callable[[], Any]:
    """Return a call that makes the request's picture with the stock pipeline."""

    def make() -> Any:
        pipeline.scheduler = loaded.model.new_scheduler(request.scheduler, steps=request.steps)
        return pipeline(
            request.prompt,
            width=request.width,
            height=request.height,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance_scale,
            generator=generators_of([request.seed])[0],
        ).images

    return make


def watched(engine: Engine, loaded: Loaded, request: TextToImage) -> Callable[[], Any]:
    """Return a call that makes the request's pictures with the engine, through the job runner, previews and all."""

    def work(asked: Any, should_stop: Callable[[], bool]) -> Any:
        with torch.inference_mode():
            result = yield from engine.sample(loaded, asked, asked.width, asked.height, should_stop=should_stop)
        if result is not None:
            yield result.finished()

    def make() -> Any:
        with JobRunner(work, lambda job, finished: finished) as runner:
            events: list[Event] = list(runner.submit(request, owner="bench").events(timeout_seconds=600))
        return events[-1].images  # type: ignore[union-attr]

    return make


def _first(engine: Engine, loaded: Loaded, request: TextToImage) -> dict[str, Any]:
    """The first job after a warm-up of one step, against a later one."""
    watched(engine, loaded, request.with_changes(steps=1))()  # type: ignore[arg-type]
    seconds = []
    for _ in range(4):
        begin = time.perf_counter()
        watched(engine, loaded, request)()
        seconds.append(time.perf_counter() - begin)
    found = seconds[0] / statistics.median(seconds[1:])
    return {"first job / steady job": {"ratio": found, "goal": GOALS["first"], "met": found <= GOALS["first"]}}


def channels_last(engine: Engine, loaded: Loaded, request: TextToImage, rounds: int) -> dict[str, Any]:
    """The U-Net in the contiguous format, beside channels_last, in which the engine has it on a GPU."""
    model, make = loaded.model, watched(engine, loaded, request)
    own = model.unet
    twins = {format: copy.deepcopy(own).to(memory_format=format) for format in _FORMATS}

    def in_format(format: torch.memory_format) -> Any:
        model.unet = twins[format]
        try:
            return make()
        finally:
            model.unet = own

    last, contiguous = (partial(in_format, format) for format in _FORMATS)
    seconds = time_interleaved({"last": last, "again": last, "contiguous": contiguous}, rounds=rounds)
    return {
        "contiguous / channels_last": ratio(seconds["contiguous"], seconds["last"]).as_row(
            mean_levels_apart=_apart(contiguous(), last())
        ),
        "channels_last / channels_last (noise)": ratio(seconds["again"], seconds["last"]).as_row(),
    }


def _compiled(
    engine: Engine,
    loaded: Loaded,
    request: TextToImage,
    rounds: int,
    *,
    default: Callable[[], Any],
    backend: str,
    goal: float,
) -> dict[str, Any]:
    """The engine with a compiled U-Net beside itself without, and beside stock, also compiled; with the wait for it."""
    model, plain = loaded.model, watched(engine, loaded, request)
    pipeline = copy.copy(model.pipeline)
    pipeline.unet = torch.compile(model.unet, dynamic=False, backend=backend)
    model.compiled = Compiled(model.unet, backend=backend)
    fast, best = watched(engine, loaded, request), stock(pipeline, loaded, request)
    begin = time.perf_counter()
    fast()
    wait = time.perf_counter() - begin
    problem, found = model.compiled.problem, model.compiled

    def without() -> Any:
        model.compiled = None
        try:
            return plain()
        finally:
            model.compiled = found

    arms = {"compiled": fast, "plain": without, "best": best, "default": default}
    seconds = time_interleaved(arms, rounds=rounds)
    apart = _apart(fast(), without())
    model.compiled = None
    if problem:
        return {"compiled": f"skipped: {problem}"}
    gain = ratio(seconds["default"], seconds["compiled"])
    tax = ratio(seconds["compiled"], seconds["best"])
    return {
        "engine / engine compiled": ratio(seconds["plain"], seconds["compiled"]).as_row(),
        "stock at its defaults / engine compiled": gain.as_row(goal=goal, met=gain.low >= goal),
        "engine compiled with previews / stock at its best, compiled": tax.as_row(
            goal=GOALS["streaming"], met=tax.low <= GOALS["streaming"]
        ),
        "compiling": {"seconds": wait, "mean_levels_apart": apart},
    }


def _memory(engine: Engine, loaded: Loaded, request: TextToImage) -> dict[str, Any]:
    torch.cuda.reset_peak_memory_stats()
    watched(engine, loaded, request)()
    peak = torch.cuda.max_memory_allocated() / loaded.model.nbytes
    return {"peak memory / weights": {"ratio": peak, "goal": GOALS["memory"], "met": peak <= GOALS["memory"]}}


def _batch(engine: Engine, loaded: Loaded, request: TextToImage, rounds: int) -> dict[str, Any]:
    """Eight pictures in one run, against eight runs."""
    together = watched(engine, loaded, request.with_changes(batch=8))  # type: ignore[arg-type]
    alone = watched(engine, loaded, request)
    seconds = time_interleaved({"together": together, "alone": lambda: [alone() for _ in range(8)]}, rounds=rounds)
    gain = ratio(seconds["alone"], seconds["together"])
    return {"eight one by one / eight at once": gain.as_row(goal=GOALS["batch"], met=gain.low >= GOALS["batch"])}


def _joined(settings: Settings, loaded: Loaded, request: TextToImage, rounds: int) -> dict[str, Any]:
    """Eight users joined at step boundaries, against one after another."""

    def run_of(engine: Engine) -> joined.Run:
        @torch.inference_mode()
        def run(asked: Any) -> Any:
            yield from engine.sample(loaded, asked, asked.width, asked.height, should_stop=lambda: False)

        return run

    joining = Engine(settings.model_copy(update={"joined_jobs": joined.USERS}))
    return joined.measure(request, rounds, alone=run_of(Engine(settings)), joined=run_of(joining))


def _idle(engine: Engine, loaded: Loaded, request: TextToImage, rounds: int) -> dict[str, Any]:
    """From asking to stop until the engine is idle, in steps."""
    waits = []
    for number in range(rounds):
        asked, times = [0.0], list[float]()

        def should_stop(at: int = 2 + number % max(1, request.steps - 2), asked: list[float] = asked) -> bool:
            if len(times) >= at and not asked[0]:  # noqa: B023
                asked[0] = time.perf_counter()
            return bool(asked[0])

        with torch.inference_mode():
            run = engine.sample(loaded, request, request.width, request.height, should_stop=should_stop)
            for event in run:
                if isinstance(event, Step):
                    times.append(time.perf_counter())
        _synchronise(loaded)
        ended = time.perf_counter()
        step = (times[-1] - times[0]) / max(1, len(times) - 1)
        waits.append((ended - asked[0]) / step if asked[0] and step else 0.0)
    worst = max(waits)
    return {
        "stop to idle": {"steps": statistics.median(waits), "worst": worst, "goal": GOALS["idle"], "met": worst <= 1}
    }


def _as_float32(loaded: Loaded) -> Any:
    """Return the same pipeline as `from_pretrained` gives it by default."""
    pipeline = copy.copy(loaded.model.pipeline)
    for name, part in loaded.model.pipeline.components.items():
        if isinstance(part, torch.nn.Module):
            setattr(pipeline, name, _contiguous(copy.deepcopy(part).float()))
    return pipeline


def _contiguous(part: Any) -> Any:
    return part.to(memory_format=torch.contiguous_format)


def _apart(ours: Any, theirs: Any) -> float:
    pairs = zip(ours, theirs, strict=True)
    return float(np.mean([np.abs(np.asarray(a, float) - np.asarray(b, float)).mean() for a, b in pairs]))


def _synchronise(loaded: Loaded) -> None:
    if loaded.model.device.type == "cuda":
        torch.cuda.synchronize()
