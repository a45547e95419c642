"""What a run gives: its pictures and what makes them repeatable; and which of its steps get a preview."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from PIL import Image

from studio.engine import offload
from studio.engine.denoise import LoopStep
from studio.engine.store import Loaded
from studio.events import Film, Finished

LIBRARIES = ("torch", "diffusers", "transformers")


@dataclass(frozen=True, slots=True)
class Result:
    """What a denoising run made; `seconds` leaves loading out, `facts` and `notes` go into Finished.

    `latents` are the final ones, (b, c, h, w) float32; `films` has one film per picture; `memory` says what the run
    needed: rows at once, activation_bytes, and free_bytes before it.
    """

    images: tuple[Image.Image, ...]
    seeds: tuple[int, ...]
    seconds: float
    facts: dict[str, Any]
    notes: tuple[str, ...]
    latents: np.ndarray
    films: tuple[Film, ...]
    memory: dict[str, int]

    def finished(self, **changes: Any) -> Finished:
        """Return the ending event, with `changes`; the films are among its extras."""
        values = {name: getattr(self, name) for name in ("images", "seeds", "seconds", "facts", "notes")}
        extras = {"films": self.films, "memory": self.memory, **changes.pop("extras", {})}
        return Finished(**{**values, **changes, "extras": extras})


def facts_of(loaded: Loaded) -> dict[str, Any]:
    """Return what makes a run with `loaded` repeatable: model, checksum, device, dtype, versions."""
    placed = {"offload": loaded.placement.offload, "quantization": loaded.placement.quantization}
    return {
        "model": loaded.card.id,
        "checksum": loaded.checksum,
        "device": loaded.placement.device,
        "dtype": loaded.placement.dtype,
        **{name: value for name, value in placed.items() if value not in ("", "none")},
        **({"vae": loaded.vae} if loaded.vae else {}),
        "preview_r2": round(loaded.preview.r2, 4),
        "versions": {name: version(name) for name in LIBRARIES},
    }


def offload_note(loaded: Loaded) -> tuple[str, ...]:
    """Return what to tell the artist of a model that does not fit into the GPU's memory whole."""
    return offload.note(loaded.card.name, loaded.placement.offload)


class Previews:
    """Which steps get a preview: the first, the last, and between them one per period.

    Args:
        loaded: Whose preview turns latents into pictures.
        period_seconds: Least time between two.
    """

    def __init__(self, loaded: Loaded, period_seconds: float) -> None:
        self._map, self._period = loaded.sharp or loaded.preview, period_seconds
        self._next = 0.0

    def of(self, step: LoopStep) -> Image.Image | None:
        """Return the preview of a step of the loop, if it is time for one."""
        return self.at(step.index, step.total, lambda: step.clean)

    def at(self, index: int, total: int, clean: Callable[[], torch.Tensor | None]) -> Image.Image | None:
        """Return the preview of `clean()` at step `index` of `total`, if it is time for one and there is any."""
        now = time.perf_counter()
        if 1 < index < total and now < self._next:
            return None
        latents = clean()
        picture = None if latents is None else self._map(latents)
        self._next = now + max(self._period, getattr(self._map, "period", 0.0))
        return picture
