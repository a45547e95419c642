"""Ratios that survive a busy machine: arms in random order within every round, median of paired ratios.

Blocks of one arm after another differ by a factor of two on a machine that does something else; neighbours in
time do not. Every measurement carries an A/A arm (the same work twice): what that shows is the noise.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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
    dice = random.Random(seed)
    medians = sorted(statistics.median(dice.choices(paired, k=len(paired))) for _ in range(_RESAMPLES))
    return Ratio(statistics.median(paired), medians[_RESAMPLES // 20], medians[-_RESAMPLES // 20])
