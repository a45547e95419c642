"""Eight users at once: their steps predicted in one call, against one user after another."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from studio.bench.ratio import ratio, time_interleaved
from studio.events import Event, Step
from studio.requests import Request, TextToImage

USERS, STEPS = 8, 20
GOAL = 2.0

Run = Callable[[Request], Iterator[Event]]


def measure(request: TextToImage, rounds: int, *, alone: Run, joined: Run) -> dict[str, Any]:
    """Return the gain of joining, and what the last of the users waits for the first preview.

    Args:
        request: What each user asks, each with a seed of their own.
        rounds: Interleaved rounds.
        alone: Runs a request with an engine that joins nothing.
        joined: The same with one that joins.
    """
    requests = [request.with_changes(seed=seed) for seed in range(USERS)]
    waits: dict[str, list[float]] = {"alone": [], "joined": []}
    seconds = time_interleaved(
        {
            "alone": lambda: waits["alone"].append(_last_first_step([alone(one)] for one in requests)),
            "joined": lambda: waits["joined"].append(_last_first_step([[joined(one) for one in requests]])),
        },
        rounds=rounds,
    )
    gain, sooner = ratio(seconds["alone"], seconds["joined"]), ratio(waits["alone"][1:], waits["joined"][1:])
    return {
        "eight users one by one / joined": gain.as_row(goal=GOAL, met=gain.low >= GOAL),
        "last user's first preview one by one / joined": sooner.as_row(seconds=statistics.median(waits["joined"][1:])),
    }


def _last_first_step(groups: Any) -> float:
    """Run groups one after another, the runs of one in turns of a step; return when the last had its first step."""
    begin, last = time.perf_counter(), 0.0
    for group in groups:
        runs: Sequence[Iterator[Event]] = group
        while runs:
            going_on = []
            for run in runs:
                step = next((event for event in run if isinstance(event, Step)), None)
                if step is not None:
                    going_on.append(run)
                    last = time.perf_counter() - begin if step.index == 1 else last
            runs = going_on
    return last
