"""What is kept of earlier runs stays within its bounds, the latest first."""

from __future__ import annotations

import numpy as np

from studio.engine.trajectories import _MOST_KEPT, Trajectories, Trajectory
from tests.engine.run import small


def run_of(bytes_: int) -> Trajectory:
    """Return a run of one step that takes `bytes_`."""
    return Trajectory((np.zeros((1, 1, 1, bytes_ // 4), np.float32),))


def test_the_oldest_go_when_their_bytes_are_too_many() -> None:
    kept = Trajectories(budget_bytes=1000)
    for seed in range(4):
        kept.keep(small(seed=seed), "sum", run_of(400))
    assert [kept.of(small(seed=seed), "sum") is not None for seed in range(4)] == [False, False, True, True]


def test_the_oldest_go_when_they_are_too_many_however_small() -> None:
    """R11: ten thousand tiny runs hold a few kilobytes of numbers, and many megabytes of objects around them."""
    kept = Trajectories()
    for seed in range(_MOST_KEPT + 50):
        kept.keep(small(seed=seed), "sum", run_of(4))
    assert kept.of(small(seed=49), "sum") is None
    assert kept.of(small(seed=50), "sum") is not None
