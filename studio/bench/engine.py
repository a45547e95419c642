"""The engine's promises: streaming costs nothing, the first preview comes at once, Stop stops, turns are fair.

Measured on the default model through the real job runner, with a watcher that encodes every preview as the
page does. The stock pipeline is built from the same loaded parts, so both arms share weights and precision.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.error import URLError
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import torch
from diffusers import LDMTextToImagePipeline

from studio.bench import full_size, joined
from studio.bench.ratio import ratio, time_interleaved
from studio.engine.engine import Engine
from studio.engine.noise import generators_of, seeds_of
from studio.engine.preview_codec import encode_preview
from studio.engine.store import Loaded, ModelStore
from studio.errors import ModelError, StudioError
from studio.events import Cancelled, Failed, Finished, Step
from studio.jobs import Job, JobRunner
from studio.process.host import EngineHost
from studio.requests import Request, TextToImage
from studio.settings import Settings

logger = logging.getLogger(__name__)

STEPS = 10
GOALS = {
    "streaming": 1.01,
    "first_steps": 1.1,
    "first_ms": 30.0,
    "acknowledged_ms": 50.0,
    "idle_steps": 1.0,
    "turn": 1.1,
}
READY_SECONDS = 5.0
_AT_REST = "from studio.collector import collector_at_rest\nrest = collector_at_rest()\nrest.__enter__()"
_GIVE_UP_SECONDS = 120.0
_DESK_CALLS = 200


def run(settings: Settings, rounds: int) -> dict[str, Any]:
    """Measure everything.

    Args:
        settings: Names the models; previews at the configured rate.
        rounds: Interleaved rounds of the ratios, and repetitions of the latencies.

    Raises:
        ModelError: There is no model.
    """
    exact = Engine(settings.model_copy(update={"dtype": "float32"}))
    loaded = _load(exact.store, exact)
    request = _request(loaded)
    result: dict[str, Any] = {"model": loaded.card.id, "steps": STEPS, "threads": torch.get_num_threads()}
    result |= _streaming(exact, loaded, request, rounds)
    result |= _interval(exact, request, rounds)
    result |= _prompt_cache(exact, loaded, request, rounds)
    result |= _pipe(exact, request, rounds)
    result |= _precision(settings, exact, request, max(3, rounds // 4))
    result |= _latencies(exact, request, rounds)
    result |= _fairness(exact, request, max(1, rounds // 10))
    result |= _joined(settings, request, max(3, rounds // 4))
    result |= _start(max(1, rounds // 10))
    return result | full_size.run(settings, max(3, rounds // 4))


def stock_arm(loaded: Loaded, request: TextToImage) -> Callable[[], object]:
    """Return a call that makes the request's picture with the stock pipeline around the loaded parts."""
    model, generators = loaded.model, lambda: generators_of(seeds_of(request.seed, request.batch))
    common = {"num_inference_steps": request.steps, "guidance_scale": request.guidance_scale}
    if loaded.card.family == "ldm":
        pipeline: Any = LDMTextToImagePipeline(
            vqvae=model.autoencoder,
            bert=model.text_encoder,
            tokenizer=model.tokenizer,
            unet=model.unet,
            scheduler=model.new_scheduler(request.scheduler, steps=request.steps),
        )
        size = {"height": request.height // model.factor * 8, "width": request.width // model.factor * 8}
        prompt: Any = [request.prompt]
    else:
        pipeline, prompt = model.pipeline, request.prompt
        pipeline.scheduler = model.new_scheduler(request.scheduler, steps=request.steps)
        size = {"height": request.height, "width": request.width}
    pipeline.set_progress_bar_config(disable=True)
    return lambda: pipeline(prompt, generator=generators(), **common, **size)


def _request(loaded: Loaded) -> TextToImage:
    card = loaded.card
    return TextToImage(
        prompt=card.examples[0] if card.examples else "a red apple",
        model=card.id,
        steps=STEPS,
        scheduler="ddim",
        guidance_scale=card.preset("standard").guidance_scale,
        seed=1,
        width=card.width,
        height=card.height,
    )


def _load(store: ModelStore, engine: Engine) -> Loaded:
    cards = engine.models()
    if not cards:
        raise ModelError("There is no model to measure.", "Put one into the checkpoints folder.")
    loading = store.get(cards[0])
    while True:
        try:
            next(loading)
        except StopIteration as stop:
            return stop.value


def _run(engine: Engine, request: Request) -> Callable[[], object]:
    """Return a call that makes the request's picture in this thread."""
    return lambda: list(engine.run(request, lambda: False))


def _watch(job: Job) -> None:
    """Follow a job as the page does: encode what previews come."""
    for event in job.events(timeout_seconds=_GIVE_UP_SECONDS):
        if isinstance(event, Step) and event.preview is not None:
            encode_preview(event.preview)
        if isinstance(event, Failed):
            raise StudioError(event.message, event.hint)


def _runner(engine: Engine) -> JobRunner:
    return JobRunner(engine.run, _kept)


def _kept(job: Job, finished: Finished) -> Finished:
    return finished


def _streaming(engine: Engine, loaded: Loaded, request: TextToImage, rounds: int) -> dict[str, Any]:
    stock = stock_arm(loaded, request)
    with _runner(engine) as runner:
        seconds = time_interleaved(
            {"stock": stock, "again": stock, "engine": lambda: _watch(runner.submit(request, owner="bench"))},
            rounds=rounds,
        )
    found, noise = ratio(seconds["engine"], seconds["stock"]), ratio(seconds["again"], seconds["stock"])
    return {
        "seconds_stock": statistics.median(seconds["stock"]),
        "streaming engine / stock": found.as_row(goal=GOALS["streaming"], met=found.low <= GOALS["streaming"]),
        "stock / stock (noise)": noise.as_row(),
    }


def _interval(engine: Engine, request: TextToImage, rounds: int) -> dict[str, Any]:
    """What guidance in the middle of the run alone gains; it changes the picture, so it is off by default."""
    shorter = request.with_changes(guidance_start=0.2, guidance_end=0.8)
    seconds = time_interleaved({"all": _run(engine, request), "middle": _run(engine, shorter)}, rounds=rounds)
    return {"guidance all along / in 60 % of the steps": ratio(seconds["all"], seconds["middle"]).as_row()}


def _prompt_cache(engine: Engine, loaded: Loaded, request: TextToImage, rounds: int) -> dict[str, Any]:
    """What a repeated prompt gains from its kept embedding: the same run, and again with the cache emptied before."""
    kept = _run(engine, request)

    def emptied() -> None:
        loaded.model.prompts.clear()
        kept()

    seconds = time_interleaved({"kept": kept, "again": kept, "emptied": emptied}, rounds=rounds)
    return {
        "prompt cache emptied / kept": ratio(seconds["emptied"], seconds["kept"]).as_row(),
        "prompt cache kept / kept (noise)": ratio(seconds["again"], seconds["kept"]).as_row(),
    }


def _pipe(engine: Engine, request: TextToImage, rounds: int) -> dict[str, Any]:
    """What it costs that the studio's engine is in another process: the same job here and there, and a desk call."""
    with EngineHost(engine.settings) as host, _runner(engine) as here, JobRunner(host.run, _kept) as there:
        host.start(warm_up=False)
        _watch(there.submit(request, owner="bench"))  # loads the model
        seconds = time_interleaved(
            {
                "here": lambda: _watch(here.submit(request, owner="bench")),
                "there": lambda: _watch(there.submit(request, owner="bench")),
            },
            rounds=rounds,
        )
        calls = []
        for _ in range(_DESK_CALLS):
            begin = time.perf_counter()
            host.call("examples")
            calls.append(1000 * (time.perf_counter() - begin))
    found = ratio(seconds["there"], seconds["here"])
    return {
        "own process / in process": found.as_row(goal=GOALS["streaming"], met=found.low <= GOALS["streaming"]),
        "desk call": {"ms": statistics.median(calls), "p95_ms": statistics.quantiles(calls, n=20)[-1]},
    }


def _precision(settings: Settings, exact: Engine, request: TextToImage, rounds: int) -> dict[str, Any]:
    """What the precision that the studio chose gains over float32."""
    chosen = Engine(settings)
    dtype = _load(chosen.store, chosen).placement.dtype
    if dtype == "float32":
        return {"precision": "float32"}
    seconds = time_interleaved({"exact": _run(exact, request), "chosen": _run(chosen, request)}, rounds=rounds)
    return {"precision": dtype, f"float32 / {dtype}": ratio(seconds["exact"], seconds["chosen"]).as_row()}


def _latencies(engine: Engine, request: TextToImage, rounds: int) -> dict[str, Any]:
    first, acknowledged, idle, step = [], [], [], []
    with _runner(engine) as runner:
        for number in range(rounds):
            first_seconds, cancel_seconds, idle_seconds, step_seconds = _one_cancelled(runner, request, number)
            first.append(first_seconds)
            acknowledged.append(cancel_seconds * 1000)
            idle.append(idle_seconds / step_seconds)
            step.append(step_seconds)
    beyond_ms = statistics.median(1000 * (f - GOALS["first_steps"] * s) for f, s in zip(first, step, strict=True))
    return {
        "step_ms": 1000 * statistics.median(step),
        "click to first preview": {
            "steps": statistics.median(f / s for f, s in zip(first, step, strict=True)),
            "ms_beyond_1.1_steps": beyond_ms,
            "goal_ms": GOALS["first_ms"],
            "met": beyond_ms <= GOALS["first_ms"],
        },
        "stop to acknowledged": {
            "ms": statistics.median(acknowledged),
            "worst_ms": max(acknowledged),
            "goal_ms": GOALS["acknowledged_ms"],
            "met": max(acknowledged) <= GOALS["acknowledged_ms"],
        },
        "stop to idle": {
            "steps": statistics.median(idle),
            "worst_steps": max(idle),
            "goal_steps": GOALS["idle_steps"],
            "met": statistics.median(idle) <= GOALS["idle_steps"],
        },
    }


def _one_cancelled(runner: JobRunner, request: TextToImage, number: int) -> tuple[float, float, float, float]:
    """Return seconds: click to first preview, stop to acknowledged, stop to idle, and per step."""
    begin = time.perf_counter()
    job = runner.submit(request, owner="bench")
    seen: list[tuple[float, Any]] = []
    third = threading.Event()

    def watch() -> None:
        for event in job.events(timeout_seconds=_GIVE_UP_SECONDS):
            seen.append((time.perf_counter(), event))
            if isinstance(event, Step) and event.index >= 3:
                third.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    third.wait(_GIVE_UP_SECONDS)
    steps = [(at, event) for at, event in seen if isinstance(event, Step)]
    per_step = (steps[-1][1].seconds - steps[0][1].seconds) / max(1, steps[-1][1].index - steps[0][1].index)
    time.sleep(per_step * (number % 8) / 8)  # stop at any moment of a step
    asked = time.perf_counter()
    job.cancel()
    acknowledged = time.perf_counter() - asked
    watcher.join(_GIVE_UP_SECONDS)
    at, ending = seen[-1]
    if not isinstance(ending, Cancelled | Finished):
        raise StudioError(f"The job ended as {type(ending).__name__}.")
    return steps[0][0] - begin, acknowledged, at - asked, per_step


def _fairness(engine: Engine, request: TextToImage, rounds: int) -> dict[str, Any]:
    """One guest queues eight jobs, another one right after: how many jobs does the other wait?"""
    waits = []
    with _runner(engine) as runner:
        for _ in range(rounds):
            greedy = [runner.submit(request, owner="greedy") for _ in range(8)]
            begin = time.perf_counter()
            modest = runner.submit(request, owner="modest")
            next(event for event in modest.events(timeout_seconds=_GIVE_UP_SECONDS) if isinstance(event, Step))
            waited = time.perf_counter() - begin
            _watch(modest)
            seconds = []
            for job in greedy[:2]:
                ending = job.result(timeout_seconds=_GIVE_UP_SECONDS)
                seconds.append(ending.seconds if isinstance(ending, Finished) else 0.0)
            for job in greedy:
                job.cancel()
            greedy[-1].result(timeout_seconds=_GIVE_UP_SECONDS)
            job_seconds = statistics.mean(seconds)
            waits.append((waited - job_seconds / request.steps) / job_seconds)
    wait = statistics.median(waits)
    return {"one job behind eight": {"waits_jobs": wait, "goal_jobs": GOALS["turn"], "met": wait <= GOALS["turn"]}}


def _joined(settings: Settings, request: TextToImage, rounds: int) -> dict[str, Any]:
    """Eight users one after another, against joined; in the precision that the studio chose, which users have."""
    one_by_one = Engine(settings)
    joining = Engine(settings.model_copy(update={"joined_jobs": joined.USERS}), store=one_by_one.store)
    return joined.measure(
        request.with_changes(steps=joined.STEPS),  # type: ignore[arg-type]
        rounds,
        alone=lambda asked: one_by_one.run(asked, lambda: False),
        joined=lambda asked: joining.run(asked, lambda: False),
    )


def _start(rounds: int) -> dict[str, Any]:
    """From starting the studio to the first page it serves, with warm file caches."""
    seconds = [_start_once() for _ in range(rounds + 1)][1:]
    best = statistics.median(seconds)
    return {
        "engine's libraries, collector at rest / awake": _imports(rounds),
        "start to page ready": {"seconds": best, "goal_seconds": READY_SECONDS, "met": best <= READY_SECONDS},
    }


def _imports(rounds: int) -> dict[str, Any]:
    arms = {name: partial(_import_once, before) for name, before in (("rest", _AT_REST), ("awake", ""))}
    seconds = time_interleaved(arms, rounds=2 * rounds + 1)
    return ratio(seconds["rest"], seconds["awake"]).as_row()


def _import_once(before: str) -> None:
    code = f"{before}\nimport studio.engine.engine"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _start_once() -> float:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="tessera-bench-") as data_dir:
        command = [
            sys.executable,
            "-m",
            "studio.cli",
            "serve",
            "--port",
            str(port),
            "--no-browser",
            "--data-dir",
            data_dir,
        ]
        begin = time.perf_counter()
        token = secrets.token_urlsafe(32)
        environment = {**os.environ, "STUDIO_TOKEN": token}
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        try:
            while time.perf_counter() - begin < _GIVE_UP_SECONDS:
                if server.poll() is not None:
                    raise StudioError(f"The studio ended with status {server.returncode} while starting.")
                if _answers(f"http://127.0.0.1:{port}/", token):
                    return time.perf_counter() - begin
                time.sleep(0.02)
            raise StudioError(f"The page was not there after {_GIVE_UP_SECONDS:.0f} s.")
        finally:
            server.terminate()
            server.wait(_GIVE_UP_SECONDS)


def _answers(address: str, token: str) -> bool:
    try:
        with urlopen(HttpRequest(address, headers={"Authorization": f"Bearer {token}"}), timeout=5) as page:
            return bool(page.status == 200)
    except (URLError, OSError):
        return False
