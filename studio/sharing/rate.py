"""Token buckets: how often one visitor may do a thing (Turner 1986, "New Directions in Communications")."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

_MOST_KEYS = 10_000


class RateLimit:
    """Allows `burst` at once and `per_minute` in the long run, for each key.

    Args:
        per_minute: Sustained rate.
        burst: Bucket size.
        clock: Seconds, monotonic.
    """

    def __init__(self, *, per_minute: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = per_minute / 60, float(burst), clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> (tokens, when)
        self._guard = threading.Lock()

    def allow(self, key: str) -> bool:
        """Take a token from `key`'s bucket; False when it is empty."""
        now = self._clock()
        with self._guard:
            tokens, then = self._buckets.pop(key, (self._burst, now))
            tokens = min(self._burst, tokens + (now - then) * self._rate)
            allowed = tokens >= 1
            self._buckets[key] = (tokens - 1 if allowed else tokens, now)
            while len(self._buckets) > _MOST_KEYS:
                self._buckets.popitem(last=False)
        return allowed
