"""What earlier runs' models said at each step, so that a later run can go on from any of them.

Kept are the guided outputs (one small array per step): replaying them through a fresh scheduler restores its
state and the generators', whatever they are, and so the continuation is the original run's, bit for bit.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from studio.requests import Request


@dataclass(frozen=True, slots=True)
class Trajectory:
    """The outputs of one run: `outputs[i]` is what the scheduler was given at step i, (b, c, h, w) float32."""

    outputs: tuple[np.ndarray, ...]

    @property
    def nbytes(self) -> int:
        """Bytes it takes."""
        return sum(output.nbytes for output in self.outputs)


class Trajectories:
    """The latest trajectories by recipe and model, within a budget; one that is gone can be run again."""

    def __init__(self, budget_bytes: int = 256 * 2**20) -> None:
        self._budget = budget_bytes
        self._kept: OrderedDict[tuple[str, str], Trajectory] = OrderedDict()

    def keep(self, request: Request, checksum: str, trajectory: Trajectory) -> None:
        """Keep `trajectory`, dropping the oldest beyond the budget."""
        self._kept[_key(request, checksum)] = trajectory
        while self._kept and sum(kept.nbytes for kept in self._kept.values()) > self._budget:
            self._kept.popitem(last=False)

    def of(self, request: Request, checksum: str) -> Trajectory | None:
        """Return the trajectory of `request` with the model that has `checksum`, if it is still kept."""
        return self._kept.get(_key(request, checksum))

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()


def _key(request: Request, checksum: str) -> tuple[str, str]:
    return request.model_dump_json(), checksum
