"""Shortcuts of all tests with a real engine: settings, a request run to its end, a loaded model, arrays of pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from studio.engine.engine import Engine
from studio.engine.store import Loaded
from studio.events import Event, Finished, Step
from studio.requests import Request, TextToImage
from studio.settings import Settings


def settings_for(data: Path, models: Path, **more: Any) -> Settings:
    """Return settings for tiny models in the folder `models`: float32 on the CPU, a preview at every step."""
    return Settings(data_dir=data, model_folders=(models,), device="cpu", dtype="float32", preview_seconds=0, **more)


def never() -> bool:
    """Do not stop."""
    return False


def events_of(engine: Engine, request: Request, should_stop: Callable[[], bool] = never) -> list[Event]:
    """Return everything the engine says about `request`."""
    return list(engine.run(request, should_stop))


def events_until(engine: Engine, request: Request, steps: int) -> list[Event]:
    """Return what the engine says about `request` when it is stopped after so many steps."""
    said: list[Event] = []
    for event in engine.run(request, lambda: sum(isinstance(one, Step) for one in said) >= steps):
        said.append(event)
    return said


def finished(engine: Engine, request: Request) -> Finished:
    """Run `request` to its end."""
    ending = events_of(engine, request)[-1]
    assert isinstance(ending, Finished)
    return ending


def finish(engine: Engine, **values: Any) -> Finished:
    """Run a small text-to-image request to its end."""
    return finished(engine, small(**values))


def small(**values: Any) -> TextToImage:
    """Return a request of 64 x 64 pixels and 3 steps, changed by `values`."""
    return TextToImage(**{"prompt": "a red apple", "width": 64, "height": 64, "steps": 3, "seed": 7, **values})


def loaded(engine: Engine, model_id: str) -> Loaded:
    """Load a model and return it."""
    loading = engine.load(model_id)
    while True:
        try:
            next(loading)
        except StopIteration as stop:
            return stop.value


def arrays(pictures: Iterable[Image.Image]) -> np.ndarray:
    """Return pictures as one array, (b, h, w, 3)."""
    return np.stack([np.asarray(picture) for picture in pictures])
