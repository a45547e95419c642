"""Times of methods that take turns, so that a busy moment hits them alike; what is slow is timed fewer times."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from studio.errors import StudioError
from studio.evaluate.report import reason

Say = Callable[[str], None]
BUDGET_SECONDS = 3.0


def silent(line: str) -> None:
    """Say nothing: where nobody reads the progress."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One thing to time.

    Attributes:
        run: What is timed.
        warm: Runs once before and is not timed: it loads what `run` needs, at less cost.
    """

    run: Callable[[], object]
    warm: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Timings:
    """What came of it: figures by arm, and the reasons of those that could not run."""

    figures: dict[str, dict[str, float | int]]
    reasons: dict[str, str]


def in_turns(
    arms: Mapping[str, Arm],
    *,
    rounds: int,
    where: str,
    budget_seconds: float = BUDGET_SECONDS,
    say: Say = silent,
) -> Timings:
    """Time every arm up to `rounds` times, each until its own timings fill `budget_seconds`, at least once.

    Args:
        arms: By name, in the order of a round.
        rounds: The most timings of an arm.
        where: What stands before the arm's name in what is said, such as "256 px".
        budget_seconds: What an arm may take in all before it drops out of the rounds.
        say: Is told each arm's first time, or why it cannot run.
    """
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    reasons: dict[str, str] = {}
    for number in range(rounds):
        for name, values in seconds.items():
            if name in reasons or (values and sum(values) >= budget_seconds):
                continue
            try:
                if number == 0:
                    arms[name].warm()
                values.append(_timed(arms[name].run))
            except StudioError as error:
                reasons[name] = reason(error)
            if number == 0:
                say(f"{where} {name}: {reasons.get(name) or _shown(values[0])}")
    figures = {name: _summary(values) for name, values in seconds.items() if values and name not in reasons}
    return Timings(figures, reasons)


def by_side(timings: Mapping[str, Timings]) -> dict[str, Any]:
    """Return {side: {arm: figures}} and, for every arm that could not run, {"without ARM": why}."""
    result: dict[str, Any] = {side: found.figures for side, found in timings.items()}
    for found in timings.values():
        result |= {f"without {name}": why for name, why in found.reasons.items()}
    return result


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _shown(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _summary(values: list[float]) -> dict[str, float | int]:
    return {
        "median_seconds": round(median(values), 4),
        "spread_seconds": round(max(values) - min(values), 4),
        "rounds": len(values),
    }
