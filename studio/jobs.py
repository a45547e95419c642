"""Jobs and the one thread that runs them.

A `Job` is a request with an owner and a log of events; any number of watchers may follow it, come back to
it, or leave it: it runs on. `JobRunner` takes jobs in turn from the sessions that have some waiting
(round-robin), runs them on one thread per device, and records results before it announces them. What
"run" and "record" mean arrives by constructor, so this module knows no torch, no gallery and no page.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Protocol, TypeAlias

from studio.errors import InvalidRequest, QueueFull, StudioError
from studio.events import COALESCING, ENDINGS, Cancelled, Ending, Event, Failed, Finished, Queued, Step
from studio.requests import Request

logger = logging.getLogger(__name__)

Run: TypeAlias = Callable[[Request, Callable[[], bool]], Iterator[Event]]
Record: TypeAlias = Callable[["Job", Finished], Finished]

_KEPT_ENDED_JOBS = 200
_KEPT_TURNS = 10_000


class Queue(Protocol):
    """Takes requests and tells what becomes of them: a JobRunner, or one that holds its callers to a budget."""

    @property
    def waiting(self) -> int: ...

    def submit(self, request: Request, *, owner: str) -> Job: ...

    def find(self, job_id: str, *, owner: str) -> Job: ...

    def active(self, owner: str) -> list[Job]: ...


class Job:
    """A request on its way: `events()` and `stream()` tell its story, `cancel()` ends it."""

    def __init__(self, request: Request, *, owner: str, withdraw: Callable[[Job], bool]) -> None:
        self.id = secrets.token_hex(8)
        self.request = request
        self.owner = owner
        self.created = time.time()
        self._withdraw = withdraw
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


class JobRunner:
    """A bounded, fair queue in front of one engine thread.

    Args:
        run: Runs a request: an iterator of events that ends with Finished or Cancelled; asks its second
            argument before every step whether to stop.
        record: Stores a finished job's pictures and returns Finished with their ids.
        queue_size: Jobs that may wait in all.
        queue_per_session: Jobs that one owner may have waiting.
    """

    def __init__(self, run: Run, record: Record, *, queue_size: int = 64, queue_per_session: int = 16) -> None:
        self._run, self._record = run, record
        self._queue_size, self._queue_per_session = queue_size, queue_per_session
        self._waiting: OrderedDict[str, deque[Job]] = OrderedDict()
        self._last_turn: OrderedDict[str, int] = OrderedDict()  # owner -> when it was last served, oldest first
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._running: Job | None = None
        self._changed = threading.Condition()
        self._closing = False
        self._saver = ThreadPoolExecutor(max_workers=1, thread_name_prefix="saver")
        self._unsaved = threading.Semaphore(4)  # finished jobs whose pictures may wait for the disk
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)

    def __enter__(self) -> JobRunner:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the engine thread."""
        self._thread.start()

    def close(self, *, timeout_seconds: float = 30) -> None:
        """Cancel everything, wait for the engine thread and for pictures still being saved."""
        with self._changed:
            self._closing = True
            jobs = [job for waiting in self._waiting.values() for job in waiting]
            running = self._running
            self._changed.notify_all()
        for job in [*jobs, *([running] if running else [])]:
            job.cancel()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        self._saver.shutdown(wait=True)

    def submit(self, request: Request, *, owner: str) -> Job:
        """Queue `request` for `owner` and return its job at once.

        Raises:
            QueueFull: Too many jobs wait, in all or for this owner.
        """
        job = Job(request, owner=owner, withdraw=self._withdraw)
        with self._changed:
            waiting, own = self.waiting, len(self._waiting.get(owner, ()))
            if self._closing:
                raise QueueFull("The studio is shutting down.", "Start it again, then press Generate.")
            if waiting >= self._queue_size:
                raise QueueFull(f"The studio is busy ({waiting} jobs waiting).", "Try again in a minute.")
            if own >= self._queue_per_session:
                raise QueueFull(f"You already have {own} jobs waiting.", "Wait for one to finish, or stop one.")
            self._waiting.setdefault(owner, deque()).append(job)
            self._jobs[job.id] = job
            self._forget_old()
            self._changed.notify_all()
        self._announce_positions()
        return job

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return sum(len(jobs) for jobs in self._waiting.values())

    def find(self, job_id: str, *, owner: str) -> Job:
        """Return `owner`'s job; a foreign job and a missing one give the same InvalidRequest."""
        with self._changed:
            job = self._jobs.get(job_id)
        if job is None or not secrets.compare_digest(job.owner.encode(), owner.encode()):
            raise InvalidRequest("There is no such job.", "It may have ended long ago: look in the gallery.")
        return job

    def active(self, owner: str) -> list[Job]:
        """Return `owner`'s jobs that have not ended, oldest first, so that a reloaded page can re-attach."""
        with self._changed:
            jobs = [job for job in self._jobs.values() if job.owner == owner]
        return [job for job in jobs if job.ending is None]

    def _withdraw(self, job: Job) -> bool:
        """Take a waiting job out of the queue; False when it does not wait any more."""
        with self._changed:
            waiting = self._waiting.get(job.owner, deque())
            if job not in waiting:
                return False
            waiting.remove(job)
            if not waiting:
                del self._waiting[job.owner]
        self._announce_positions()
        return True

    def _order(self) -> Iterator[Job]:
        """Yield waiting jobs in the order they will run: one of each owner, then the next of each."""
        queues = [list(self._waiting[owner]) for owner in self._owners()]
        for turn in range(max(map(len, queues), default=0)):
            yield from (queue[turn] for queue in queues if turn < len(queue))

    def _owners(self) -> list[str]:
        """Return the owners with waiting jobs, the one that was served longest ago first: a newcomer goes ahead."""
        return sorted(self._waiting, key=lambda owner: self._last_turn.get(owner, -1))

    def _announce_positions(self) -> None:
        with self._changed:
            order = list(self._order())
        for place, job in enumerate(order):
            job.publish(Queued(position=place + 1))

    def _next(self) -> Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing or bool(self._waiting))
            if self._closing:
                return None
            owner = self._owners()[0]
            job = self._waiting[owner].popleft()
            if not self._waiting[owner]:
                del self._waiting[owner]
            self._last_turn[owner] = 1 + next(reversed(self._last_turn.values()), 0)
            self._last_turn.move_to_end(owner)
            if len(self._last_turn) > _KEPT_TURNS:
                self._last_turn.popitem(last=False)
            self._running = job
            return job

    def _work(self) -> None:
        while (job := self._next()) is not None:
            self._announce_positions()
            self._run_one(job)
            with self._changed:
                self._running = None

    def _run_one(self, job: Job) -> None:
        """Run `job` to its ending. The one broad except of the studio: nothing may kill this thread."""
        try:
            for event in self._run(job.request, lambda: job.is_cancelled):
                if isinstance(event, Finished):
                    self._save(job, event)
                    return
                job.publish(event)
            if job.ending is None:
                raise RuntimeError("the run ended without an ending")
        except StudioError as error:
            job.publish(Failed(error.message, error.hint))
        except Exception:
            logger.exception("job %s failed", job.id)
            job.publish(_unexpected(job))

    def _save(self, job: Job, finished: Finished) -> None:
        """Record and announce on the saver thread: encoding a PNG must not hold up the next job."""
        self._unsaved.acquire()
        try:
            self._saver.submit(self._record_and_announce, job, finished)
        except RuntimeError:
            self._unsaved.release()
            raise

    def _record_and_announce(self, job: Job, finished: Finished) -> None:
        try:
            job.publish(self._record(job, finished))
        except StudioError as error:
            job.publish(Failed(error.message, error.hint))
        except Exception:
            logger.exception("job %s could not be saved", job.id)
            job.publish(_unexpected(job))
        finally:
            self._unsaved.release()

    def _forget_old(self) -> None:
        for job_id in [job_id for job_id, job in self._jobs.items() if job.ending][:-_KEPT_ENDED_JOBS]:
            del self._jobs[job_id]


def _unexpected(job: Job) -> Failed:
    return Failed(f"Something went wrong inside the studio (job {job.id}).", "The log has the details. Try again.")
