"""An engine that stands by: a process that has loaded its libraries, which takes seconds, while the engine was idle."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TypeAlias

import psutil

from studio.process.messages import Begin, Prepared

AFTER_SECONDS = 20.0
ROOM_BYTES = 4 * 2**30

Spawned: TypeAlias = tuple[Connection, BaseProcess]


class Spare:
    """At most one engine that has not begun. One thread looks after it and takes it; any may ask and close.

    Args:
        spawn: Starts a process that prepares, says Prepared, and waits for Begin.
        is_wanted: Whether there may ever be one.
        after_seconds: How long the engine is idle before one is made.
    """

    def __init__(self, spawn: Callable[[], Spawned], *, is_wanted: bool, after_seconds: float = AFTER_SECONDS) -> None:
        self._spawn, self._is_wanted, self._after = spawn, is_wanted, after_seconds
        self._guard = threading.Lock()  # of the one there is, and of closing
        self._one: _Standby | None = None
        self._quiet_since = time.monotonic()

    @property
    def process(self) -> BaseProcess | None:
        """The process that stands by or prepares for it, if there is one."""
        one = self._one
        return one.process if one else None

    @property
    def is_ready(self) -> bool:
        """Whether one stands by with its libraries loaded."""
        one = self._one
        return one is not None and one.is_prepared and one.process.is_alive()

    def engine_worked(self) -> None:
        """Count the idle time from now on."""
        self._quiet_since = time.monotonic()

    def take(self) -> Spawned | None:
        """Return the one there is, told to be the engine now, or None if there is none that lives."""
        one = self._gone()
        if one is None:
            return None
        try:
            one.connection.send_bytes(pickle.dumps(Begin()))
        except OSError:
            one.end()
            return None
        return one.connection, one.process

    def look_after(self) -> None:
        """Make one when the engine has been idle for long enough and there is memory for it; called now and then."""
        one = self._one
        if one is not None and not one.process.is_alive():
            self._gone()
            one.end()
            self._quiet_since = time.monotonic()  # not at once: memory may be short
        elif one is not None and not one.is_prepared and one.connection.poll():
            one.is_prepared = isinstance(pickle.loads(one.connection.recv_bytes()), Prepared)
        if self._one is not None or not self._is_wanted or time.monotonic() - self._quiet_since < self._after:
            return
        if psutil.virtual_memory().available < ROOM_BYTES:
            return
        made = _Standby(*self._spawn())
        with self._guard:
            self._one = made
            if not self._is_wanted:  # closed meanwhile
                made.process.kill()

    def close(self) -> None:
        """Stop the process; there will be no other."""
        with self._guard:
            self._is_wanted = False
            if self._one is not None:
                self._one.process.kill()

    def end(self) -> None:
        """Let everything go, after the last `take`."""
        one = self._gone()
        if one is not None:
            one.end()

    def _gone(self) -> _Standby | None:
        with self._guard:
            one, self._one = self._one, None
        return one


@dataclass(slots=True)
class _Standby:
    connection: Connection
    process: BaseProcess
    is_prepared: bool = False

    def end(self) -> None:
        """Let the process go."""
        self.process.kill()
        self.connection.close()
        self.process.join()
