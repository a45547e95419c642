"""Telling an engine that hangs from one that works: by its events, and by whether it computes at all."""

from __future__ import annotations

import time
from collections.abc import Callable

_LOOKS = 8  # at the processor time, within `patience_seconds`
_WORKING_SHARE = 0.01  # of one core; an idle interpreter takes less
_LONGEST = 10  # times the patience, for an engine that computes and never says anything


class Watch:
    """Decides when a busy engine has hung.

    It hangs when it has neither said anything nor computed for `patience_seconds` (loading a large model, or one
    step of a large picture, computes), or when it has computed for ten times as long without a word.

    Args:
        patience_seconds: How long it may be still.
        processor_seconds: Returns the processor time that the engine has used so far.
        clock: Returns seconds; stands in for the machine's clock in tests.
    """

    def __init__(
        self,
        patience_seconds: float,
        *,
        processor_seconds: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience, self._processor, self._clock = patience_seconds, processor_seconds, clock
        self._used = 0.0
        self._looked = clock()
        self.heard()

    def heard(self) -> None:
        """Note that the engine said something, or was given something to do."""
        self._said = self._moved = self._clock()

    def has_hung(self) -> bool:
        """Look at the engine; to be asked every now and then while it is busy."""
        now = self._clock()
        if now - self._looked >= self._patience / _LOOKS:
            used = self._processor()
            if used - self._used >= _WORKING_SHARE * (now - self._looked):
                self._moved = now
            self._looked, self._used = now, used
        return now - self._moved >= self._patience or now - self._said >= _LONGEST * self._patience
