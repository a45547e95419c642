"""What earlier runs went through at each step, so that a later run can go on from any of them.

Kept are the guided outputs and the latents (two small arrays per step and picture): replaying the outputs through a
fresh scheduler restores its state and the generators', whatever they are, and so the continuation is the original
run's, bit for bit. The latest stay in memory; one that an artist wants to keep becomes a file
(`studio.engine.film_files`).
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from studio.requests import Request, parse

if TYPE_CHECKING:
    from studio.engine.film_files import FilmFiles


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One picture's run. Arrays are (1, c, h, w) float32.

    Attributes:
        outputs: `outputs[i]` is what the scheduler was given at step i.
        latents: `latents[i]` is the sampler's state after step i; empty where only the outputs are known.
        clean: `clean[i]` is the clean picture's latents as predicted at step i.
    """

    outputs: tuple[np.ndarray, ...]
    latents: tuple[np.ndarray, ...] = ()
    clean: tuple[np.ndarray, ...] = ()

    def __len__(self) -> int:
        return len(self.outputs)

    @property
    def nbytes(self) -> int:
        """Bytes it takes."""
        return sum(array.nbytes for arrays in (self.outputs, self.latents, self.clean) for array in arrays)

    def until(self, step: int) -> Trajectory:
        """Return the first `step` steps."""
        return Trajectory(self.outputs[:step], self.latents[:step], self.clean[:step])

    def picture(self, place: int) -> Trajectory:
        """Return the run of the picture at `place` of a batch."""
        rows = slice(place, place + 1)
        parts = (self.outputs, self.latents, self.clean)
        return Trajectory(*(tuple(array[rows].copy() for array in arrays) for arrays in parts))


_MOST_KEPT = 200  # as many as the page knows ended jobs; small ones take more for what is around their numbers


class Trajectories:
    """The latest trajectories by recipe and model, within a budget; one that is gone can be run again.

    Args:
        budget_bytes: In memory.
        files: Where those stay that an artist asked to keep; None: nowhere.
    """

    def __init__(self, budget_bytes: int = 256 * 2**20, *, files: FilmFiles | None = None) -> None:
        self._budget, self._files = budget_bytes, files
        self._kept: OrderedDict[str, Trajectory] = OrderedDict()

    def keep(self, request: Request, checksum: str, trajectory: Trajectory) -> None:
        """Keep `trajectory` in memory, dropping the oldest beyond the budget."""
        name = film_name(request, checksum)
        self._kept[name] = trajectory
        self._kept.move_to_end(name)
        while len(self._kept) > _MOST_KEPT or sum(kept.nbytes for kept in self._kept.values()) > self._budget:
            self._kept.popitem(last=False)

    def of(self, request: Request, checksum: str) -> Trajectory | None:
        """Return the trajectory of `request` with the model that has `checksum`, from memory or disk, or None."""
        name = film_name(request, checksum)
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        return self._files.trajectory(request, checksum) if self._files else None

    def clear(self) -> None:
        """Forget what is in memory."""
        self._kept.clear()


def film_name(request: Request, checksum: str) -> str:
    """Return the file name of the film of `request` with the model that has `checksum`."""
    return hashlib.sha256(f"{_described(request)} {checksum}".encode()).hexdigest()[:40] + ".safetensors"


def _described(request: Request) -> str:
    """Return the request as JSON with all of today's settings, also those of the runs it is a fork of."""
    parent = getattr(request, "parent", None)
    if parent is None:
        return request.model_dump_json()
    whole = json.loads(_described(parse(parent)))
    return request.model_copy(update={"parent": whole}).model_dump_json()
