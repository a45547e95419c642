"""A job: a request with an owner and a log of events that any number of watchers may follow, leave and come back to."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import replace

from PIL import Image

from studio.events import COALESCING, ENDINGS, Cancelled, Ending, Event, Finished, Step
from studio.requests import Request
from studio.state.journal import Pending


class Job:
    """A request on its way: `events()` and `stream()` tell its story, `cancel()` ends it.

    Args:
        request: What to run.
        owner: Whose it is.
        withdraw: Takes it out of the queue; tells whether it still waited.
        ending: Is told how it ends, just before its watchers are.
        earlier: What the journal knows of it, for a job from before a restart.
    """

    def __init__(
        self,
        request: Request,
        *,
        owner: str,
        withdraw: Callable[[Job], bool],
        ending: Callable[[Job, Ending], None] = lambda job, ending: None,
        earlier: Pending | None = None,
    ) -> None:
        self.id = earlier.id if earlier else secrets.token_hex(8)
        self.request = request
        self.owner = owner
        self.created = earlier.created if earlier else time.time()
        self.attempt = 1 + (earlier.attempts if earlier else 0)
        self.is_put_back = False  # stopped by the studio's own end: it goes on at the next start
        self._withdraw, self._ending = withdraw, ending
        self._cancelled = threading.Event()
        self._changed = threading.Condition()
        self._log: list[tuple[int, Event]] = []
        self._sequence = 0
        self._wakers: set[Callable[[], None]] = set()

    @property
    def ending(self) -> Ending | None:
        """How the job ended, or None while it goes on."""
        with self._changed:
            last = self._log[-1][1] if self._log else None
        return last if isinstance(last, ENDINGS) else None

    @property
    def latest(self) -> Event | None:
        """What the job said last, or None before it was queued."""
        with self._changed:
            return self._log[-1][1] if self._log else None

    @property
    def held_pixels(self) -> int:
        """Pixels of all pictures that the job's log holds in memory: results, films, the last preview."""
        with self._changed:
            events = [event for _, event in self._log]
        return sum(picture.width * picture.height for event in events for picture in _pictures(event))

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody asked the job to stop; polled by the engine before every step."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Ask the job to stop: at once while it waits, within one step while it runs. Returns immediately."""
        self._cancelled.set()
        if self._withdraw(self):
            self.publish(Cancelled(at_step=0))

    def publish(self, event: Event) -> None:
        """Append `event`; a Queued, Loading or Step right after one of its kind replaces it."""
        if isinstance(event, ENDINGS) and self.ending is None:
            self._ending(self, event)
        with self._changed:
            last = self._log[-1][1] if self._log else None
            if isinstance(last, ENDINGS):
                return
            self._sequence += 1
            if isinstance(event, COALESCING) and type(last) is type(event):
                if isinstance(event, Step) and isinstance(last, Step) and event.preview is None:
                    event = replace(event, preview=last.preview)
                self._log.pop()
            self._log.append((self._sequence, event))
            self._changed.notify_all()
            wakers = tuple(self._wakers)
        for wake in wakers:
            wake()

    def events(self, *, timeout_seconds: float | None = None) -> Iterator[Event]:
        """Yield the lasting events so far, the last Step, then what comes, up to and including the ending.

        Raises:
            TimeoutError: Nothing happened for `timeout_seconds`.
        """
        seen = 0
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._sequence > seen, timeout=timeout_seconds):  # noqa: B023
                    raise TimeoutError(f"job {self.id} said nothing for {timeout_seconds} s")
                fresh, seen = self._after(seen)
            for event in fresh:
                yield event
                if isinstance(event, ENDINGS):
                    return

    async def stream(self) -> AsyncGenerator[Event, None]:
        """Yield as `events()` does, without holding a thread while waiting."""
        loop, changed, seen = asyncio.get_running_loop(), asyncio.Event(), 0

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(changed.set)

        with self._changed:
            self._wakers.add(wake)
        try:
            while True:
                changed.clear()
                with self._changed:
                    fresh, seen = self._after(seen)
                for event in fresh:
                    yield event
                    if isinstance(event, ENDINGS):
                        return
                if not fresh:
                    await changed.wait()
        finally:
            with self._changed:
                self._wakers.discard(wake)

    def result(self, *, timeout_seconds: float | None = None) -> Ending:
        """Wait for the ending and return it."""
        *_, ending = self.events(timeout_seconds=timeout_seconds)
        assert isinstance(ending, ENDINGS)
        return ending

    def _after(self, seen: int) -> tuple[list[Event], int]:
        return [event for number, event in self._log if number > seen], self._sequence


def _pictures(event: Event) -> tuple[Image.Image, ...]:
    if isinstance(event, Step):
        return (event.preview,) if event.preview else ()
    if isinstance(event, Finished):
        return *event.images, *(film.frames for film in event.extras.get("films", ()))
    return ()
