"""Does bfloat16 pay for this model on this CPU, and does it look the same? Measured once, remembered.

Both precisions predict the same noisy latents in turn (interleaved, so that a busy machine slows both alike).
bfloat16 is taken when its median is faster by MIN_GAIN and its predictions are off by at most MAX_ERROR of
their size: on trained models that is below what one can see (see the benchmark "precision").
"""

from __future__ import annotations

import json
import logging
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from studio.atomic import write_atomically
from studio.engine.noise import draw, generators_of
from studio.errors import GalleryError

logger = logging.getLogger(__name__)

MIN_GAIN, MAX_ERROR = 1.15, 0.03
_ROUNDS, _TIMESTEPS = 5, (900, 500, 100)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found: `gain` = seconds in float32 / in bfloat16; `error` = largest relative RMS difference."""

    gain: float
    error: float

    @property
    def dtype(self) -> str:
        """The dtype to use."""
        return "bfloat16" if self.gain >= MIN_GAIN and self.error <= MAX_ERROR else "float32"


class Precisions:
    """Decisions by model, kept in `path` (a JSON file that may be deleted at any time)."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def known(self, checksum: str) -> Measured | None:
        """Return what was measured for a model on this machine and torch, if it was."""
        entry = self._read().get(_key(checksum))
        return Measured(**entry) if isinstance(entry, dict) and set(entry) == {"gain", "error"} else None

    def remember(self, checksum: str, measured: Measured) -> None:
        """Keep `measured`; a disk that refuses costs only the next measurement."""
        kept = {**self._read(), _key(checksum): {"gain": measured.gain, "error": measured.error}}
        try:
            write_atomically(self._path, json.dumps(kept, indent=1).encode(), durable=False)
        except GalleryError as error:
            logger.warning("the precision decision could not be kept: %s", error)

    def _read(self) -> dict[str, Any]:
        try:
            value = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}


@torch.inference_mode()
def measure(exact: Any, rounded: Any) -> Measured:
    """Compare two copies of one model (Denoisers), `exact` in float32 and `rounded` in bfloat16."""
    side = exact.card.width // 2 // exact.card.grid * exact.card.grid or exact.card.grid
    latents = draw((1, *exact.latent_shape(side, side)), generators_of([0]), exact.device)
    if exact.card.is_inpainting:
        latents = torch.cat([latents, latents, latents[:, :1]], dim=1)
    arms = {}
    for name, model in (("exact", exact), ("rounded", rounded)):
        positive = model.condition("a red apple", "", guidance_scale=1, width=side, height=side).positive
        arms[name] = (model, latents.to(model.dtype), positive)
    seconds: dict[str, list[float]] = {"exact": [], "rounded": []}
    errors = []
    for step in range(_ROUNDS):
        timestep = torch.tensor(_TIMESTEPS[step % len(_TIMESTEPS)])
        outputs = {}
        for name, (model, rows, embedding) in arms.items():
            begin = time.perf_counter()
            outputs[name] = model.predict(rows, timestep, embedding).float()
            seconds[name].append(time.perf_counter() - begin)
        difference = (outputs["exact"] - outputs["rounded"]).pow(2).mean().sqrt()
        errors.append(float(difference / outputs["exact"].pow(2).mean().sqrt()))
    gain = statistics.median(a / b for a, b in zip(seconds["exact"][1:], seconds["rounded"][1:], strict=True))
    return Measured(gain, max(errors))


def _key(checksum: str) -> str:
    return f"{checksum[:32]} torch {torch.__version__} {torch.backends.cpu.get_cpu_capability()}"
