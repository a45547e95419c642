"""Shortcuts of the engine's tests: run a request to its end, load a model, make arrays of pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from PIL import Image

from studio.engine.engine import Engine
from studio.engine.store import Loaded
from studio.events import Event, Finished
from studio.requests import Request, TextToImage


def never() -> bool:
    """Do not stop."""
    return False


def events_of(engine: Engine, request: Request, should_stop: Callable[[], bool] = never) -> list[Event]:
    """Return everything the engine says about `request`."""
    return list(engine.run(request, should_stop))


def finish(engine: Engine, **values: Any) -> Finished:
    """Run a small text-to-image request to its end."""
    ending = events_of(engine, small(**values))[-1]
    assert isinstance(ending, Finished)
    return ending


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
