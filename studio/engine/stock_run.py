"""A stock pipeline's call as a stream of steps: it runs on a thread of its own and is listened to.

`callback_on_step_end` says that a step is done and may stop the run by raising, so that nothing is decoded;
older pipelines without it are listened to at their scheduler. What the scheduler is given there gives the
predicted clean latents, which pipelines do not show.

Source: x0 from a rectified flow, x - sigma v (Liu 2022); from epsilon and v, as in diffusers' DDIM scheduler.
"""

from __future__ import annotations

import functools
import inspect
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class StockStep:
    """Step `index` (from 1) is done; `clean` are the predicted clean latents as the pipeline holds them, or None."""

    index: int
    clean: torch.Tensor | None


class _Stopped(Exception):
    """Unwinds the pipeline's call; never leaves this module."""


def run_stock(
    pipeline: Any, call: dict[str, Any], *, should_stop: Callable[[], bool]
) -> Iterator[StockStep | list[Any] | None]:
    """Call `pipeline` with `call`; yield a StockStep after every step, then the list of its pictures (PIL).

    Ends after the step within which `should_stop()` became true, with None instead of pictures.

    Raises:
        Whatever the pipeline raises.
    """
    said: queue.SimpleQueue[Any] = queue.SimpleQueue()
    ends = threading.Event()

    def stopping() -> bool:
        return ends.is_set() or should_stop()

    def work() -> None:
        try:
            with torch.inference_mode(), _listening(pipeline, call, said.put, stopping) as prepared:
                said.put(list(pipeline(**prepared).images))
        except _Stopped:
            said.put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised again where the run is watched
            said.put(error)

    thread = threading.Thread(target=work, name="stock-pipeline", daemon=True)
    thread.start()
    try:
        while True:
            message = said.get()
            if isinstance(message, BaseException):
                raise message
            yield message
            if not isinstance(message, StockStep):
                return
    finally:
        ends.set()
        thread.join()


@contextmanager
def _listening(
    pipeline: Any, call: dict[str, Any], say: Callable[[StockStep], None], stopping: Callable[[], bool]
) -> Iterator[dict[str, Any]]:
    """Yield `call` with a callback in it; meanwhile the scheduler's steps are seen."""
    scheduler, original = pipeline.scheduler, pipeline.scheduler.step
    has_callback = "callback_on_step_end" in inspect.signature(pipeline.__call__).parameters
    seen: dict[str, Any] = {"index": 0, "clean": None}

    def told() -> None:
        seen["index"] += 1
        say(StockStep(seen["index"], seen["clean"]))
        if stopping():
            raise _Stopped

    @functools.wraps(original)
    def step(model_output: Any, timestep: Any, sample: Any, *args: Any, **options: Any) -> Any:
        result = original(model_output, timestep, sample, *args, **options)
        seen["clean"] = clean_of(scheduler, result, model_output, timestep, sample)
        if not has_callback:
            told()
        return result

    def at_step_end(_: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        told()
        return tensors

    if stopping():
        raise _Stopped
    scheduler.step = step
    try:
        yield {**call, **({"callback_on_step_end": at_step_end} if has_callback else {})}
    finally:
        del scheduler.step


def clean_of(scheduler: Any, result: Any, output: Any, timestep: Any, sample: Any) -> torch.Tensor | None:
    """Return the predicted clean latents of a scheduler's step, or None where its kind is not known."""
    clean = getattr(result, "pred_original_sample", None)
    if clean is not None:
        return clean
    if hasattr(scheduler, "sigmas") and "FlowMatch" in type(scheduler).__name__:
        sigma = scheduler.sigmas[max(0, scheduler.step_index - 1)]  # the step has been counted already
        return sample.float() - sigma.to(sample.device) * output.float()
    if getattr(scheduler, "model_outputs", None) and scheduler.model_outputs[-1] is not None:
        return scheduler.model_outputs[-1]  # multistep solvers keep their x0 predictions
    if isinstance(result, tuple) and len(result) > 1 and torch.is_tensor(result[1]):
        return result[1]  # LCM's second value
    alphas = getattr(scheduler, "alphas_cumprod", None)
    if alphas is None:
        return None
    alpha = alphas[int(timestep)].to(sample.device)
    if scheduler.config.prediction_type == "v_prediction":
        return alpha.sqrt() * sample - (1 - alpha).sqrt() * output
    if scheduler.config.prediction_type == "epsilon":
        return (sample - (1 - alpha).sqrt() * output) / alpha.sqrt()
    return output
