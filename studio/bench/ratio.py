"""Figures that survive a busy machine: arms in random order within every round, medians with their intervals.

Blocks of one arm after another differ by a factor of two on a machine that does something else; neighbours in
time do not. Every measurement carries an A/A arm (the same work twice): what that shows is the noise.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Ratio:
    """Median of paired ratios, and its 90 % bootstrap interval."""

    median: float
    low: float
    high: float

    def as_row(self, **more: float | bool) -> dict[str, float | list[float] | bool]:
        """Return it for a table, with `more` columns."""
        return {"ratio": self.median, "interval": [self.low, self.high], **more}


def time_interleaved(arms: Mapping[str, Callable[[], object]], *, rounds: int, seed: int = 0) -> dict[str, list[float]]:
    """Return each arm's seconds per round; the order within a round is shuffled, a first round is thrown away."""
    dice, names = random.Random(seed), list(arms)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        dice.shuffle(names)
        for name in names:
            begin = time.perf_counter()
            arms[name]()
            if number:
                seconds[name].append(time.perf_counter() - begin)
    return seconds


def ratio(above: Sequence[float], below: Sequence[float], *, seed: int = 0) -> Ratio:
    """Return the median of above[i] / below[i] with its interval, from resampling the rounds."""
    paired = [a / b for a, b in zip(above, below, strict=True)]
    return Ratio(statistics.median(paired), *_interval([[one] for one in paired], seed))


def latency(seconds: Sequence[float], *, together: int = 1, seed: int = 0) -> dict[str, Any]:
    """Return "p50_ms" with its 90 % bootstrap interval "interval_ms", "p95_ms", and "rounds": how many there are.

    Args:
        seconds: What each call took.
        together: Calls in a row that hang together, as the dabs of a stroke: they are resampled as one.
        seed: Of the resampling.
    """
    taken = [1000 * one for one in seconds]
    low, high = _interval([taken[at : at + together] for at in range(0, len(taken), together)], seed)
    p95 = statistics.quantiles(taken, n=20, method="inclusive")[-1] if len(taken) > 1 else taken[0]
    return {
        "p50_ms": round(statistics.median(taken), 2),
        "interval_ms": [round(low, 2), round(high, 2)],
        "p95_ms": round(p95, 2),
        "rounds": len(taken),
    }


def _interval(groups: Sequence[Sequence[float]], seed: int) -> tuple[float, float]:
    """Return the 5th and 95th percentile of the median of all values, from resampling the groups."""
    dice = random.Random(seed)
    resampled = (chain.from_iterable(dice.choices(groups, k=len(groups))) for _ in range(_RESAMPLES))
    medians = sorted(map(statistics.median, resampled))
    return medians[_RESAMPLES // 20], medians[-_RESAMPLES // 20]
