"""The queue and what runs it.

`JobRunner` takes jobs in turn from the sessions that have some waiting (round-robin), runs them one after another, or
several sessions' at once where they fit together, and records results before it announces them. What "run" and
"record" mean arrives by constructor, so this module knows no torch, no gallery and no page.

With a journal the queue outlives the process: what waits goes on waiting at the next start, what ran is offered
once more, and both keep their ids, owners and seeds.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Protocol, TypeAlias

from studio.errors import InvalidRequest, QueueFull, StudioError
from studio.events import Cancelled, Ending, Event, Failed, Finished, Queued, Step
from studio.job import Job
from studio.requests import Request, parse
from studio.state.journal import Journal, Pending, State

logger = logging.getLogger(__name__)

Run: TypeAlias = Callable[[Request, Callable[[], bool]], Iterator[Event]]
Record: TypeAlias = Callable[[Job, Finished], Finished]

_KEPT_ENDED_JOBS = 200
_KEPT_PIXELS = 64 * 2**20  # of the pictures in ended jobs: 192 MB
_STATES: dict[type[Event], State] = {Finished: "finished", Failed: "failed", Cancelled: "cancelled"}
_KEPT_TURNS = 10_000


class Queue(Protocol):
    """Takes requests and tells what becomes of them: a JobRunner, or one that holds its callers to a budget."""

    @property
    def waiting(self) -> int: ...

    def submit(self, request: Request, *, owner: str) -> Job: ...

    def find(self, job_id: str, *, owner: str) -> Job: ...

    def active(self, owner: str) -> list[Job]: ...

    def ended(self, owner: str) -> list[Job]: ...


class JobRunner:
    """A bounded, fair queue in front of the engine.

    With `at_once` above 1, the job whose turn it is begins beside those that run if all have the same form. Nobody has
    two jobs running, and nobody is overtaken: while the next job does not fit, none behind it begins.

    Args:
        run: Runs a request: an iterator of events that ends with Finished or Cancelled; asks its second
            argument before every step whether to stop. Called by `at_once` threads.
        record: Stores a finished job's pictures and returns Finished with their ids.
        queue_size: Jobs that may wait in all.
        queue_per_session: Jobs that one owner may have waiting.
        journal: Where the queue outlives the process; None: it does not.
        returns: Whether the owner of a job from before a restart can come back for it.
        at_once: Jobs that may run at the same time.
        form: What requests must have in common to run at the same time; None for one that runs alone.
    """

    def __init__(
        self,
        run: Run,
        record: Record,
        *,
        queue_size: int = 64,
        queue_per_session: int = 16,
        journal: Journal | None = None,
        returns: Callable[[str], bool] = lambda owner: True,
        at_once: int = 1,
        form: Callable[[Request], Hashable | None] = lambda request: None,
    ) -> None:
        self._run, self._record = run, record
        self._journal, self._returns = journal, returns
        self._queue_size, self._queue_per_session = queue_size, queue_per_session
        self._waiting: OrderedDict[str, deque[Job]] = OrderedDict()
        self._last_turn: OrderedDict[str, int] = OrderedDict()  # owner -> when it was last served, oldest first
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._running: list[Job] = []
        self._form = form if at_once > 1 else lambda request: None
        self._forms: dict[str, Hashable] = {}  # of waiting and running jobs, by id; None is not kept
        self._changed = threading.Condition()
        self._closing = False
        self._saver = ThreadPoolExecutor(max_workers=1, thread_name_prefix="saver")
        self._unsaved = threading.Semaphore(4)  # finished jobs whose pictures may wait for the disk
        self._threads = [threading.Thread(target=self._work, name="engine", daemon=True) for _ in range(at_once)]

    def __enter__(self) -> JobRunner:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Take up what the journal holds, and begin to run it."""
        if self._journal is not None:
            for pending in self._journal.pending():
                self._take_up(pending, self._journal)
            self._announce_positions()
        for thread in self._threads:
            thread.start()

    def close(self, *, timeout_seconds: float = 30) -> None:
        """Stop everything, wait for what runs and for pictures still being saved.

        Without a journal what runs and what waits is cancelled; with one it goes on at the next start.
        """
        with self._changed:
            self._closing = True
            jobs = [job for waiting in self._waiting.values() for job in waiting]
            jobs += self._running
            self._changed.notify_all()
        for job in jobs:
            job.is_put_back = self._journal is not None and not job.is_cancelled
            job.cancel()
        deadline = time.monotonic() + timeout_seconds
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0, deadline - time.monotonic()))
        self._saver.shutdown(wait=True)
        if self._journal is not None:
            self._journal.put_back()

    def submit(self, request: Request, *, owner: str) -> Job:
        """Queue `request` for `owner` and return its job at once.

        Raises:
            QueueFull: Too many jobs wait, in all or for this owner.
            NotRemembered: The disk is full.
        """
        job = Job(request, owner=owner, withdraw=self._withdraw, ending=self._note_ending)
        form = self._form(request)
        with self._changed:
            waiting, own = self.waiting, len(self._waiting.get(owner, ()))
            if self._closing:
                raise QueueFull("The studio is shutting down.", "Start it again, then press Generate.")
            if waiting >= self._queue_size:
                raise QueueFull(f"The studio is busy ({waiting} jobs waiting).", "Try again in a minute.")
            if own >= self._queue_per_session:
                raise QueueFull(f"You already have {own} jobs waiting.", "Wait for one to finish, or stop one.")
            if self._journal is not None:
                self._journal.queued(job.id, owner, request=request.model_dump_json(), created=job.created)
            self._waiting.setdefault(owner, deque()).append(job)
            self._jobs[job.id] = job
            self._note_form(job, form)
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

    def ended(self, owner: str) -> list[Job]:
        """Return `owner`'s jobs that have ended and are still known, oldest first."""
        with self._changed:
            jobs = [job for job in self._jobs.values() if job.owner == owner]
        return [job for job in jobs if job.ending is not None]

    def _take_up(self, pending: Pending, journal: Journal) -> None:
        """Queue a job from before a restart, or say why not."""
        if not self._returns(pending.owner):
            journal.ended(pending.id, "cancelled", "its owner cannot come back")
            return
        try:
            request = parse(json.loads(pending.request))
        except (InvalidRequest, ValueError) as error:
            logger.warning("job %s from before the restart cannot be read: %s", pending.id, error)
            journal.ended(pending.id, "failed", str(error))
            return
        job = Job(request, owner=pending.owner, withdraw=self._withdraw, ending=self._note_ending, earlier=pending)
        self._jobs[job.id] = job
        if pending.is_poison:
            logger.warning("job %s ran when the studio stopped, %d times, and is retired", job.id, pending.attempts)
            times = {2: "twice"}.get(pending.attempts, f"{pending.attempts} times")
            job.publish(
                Failed(f"The studio stopped {times} while it ran this.", "Try a smaller size, or another model.")
            )
            return
        self._waiting.setdefault(job.owner, deque()).append(job)
        self._note_form(job, self._form(request))

    def _note_form(self, job: Job, form: Hashable | None) -> None:
        if form is not None:
            self._forms[job.id] = form

    def _note_ending(self, job: Job, ending: Ending) -> None:
        if self._journal is None or (job.is_put_back and not isinstance(ending, Finished)):
            return
        said = ending.message if isinstance(ending, Failed) else ""
        try:
            self._journal.ended(job.id, _STATES[type(ending)], said)
        except StudioError as error:
            logger.warning("how job %s ended could not be noted: %s", job.id, error)

    def _withdraw(self, job: Job) -> bool:
        """Take a waiting job out of the queue; False when it does not wait any more."""
        with self._changed:
            waiting = self._waiting.get(job.owner, deque())
            if job not in waiting:
                return False
            waiting.remove(job)
            if not waiting:
                del self._waiting[job.owner]
            self._forms.pop(job.id, None)
            self._changed.notify_all()  # it may have been what the next one waited for
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
            self._changed.wait_for(lambda: self._closing or self._startable() is not None)
            owner = self._startable()
            if self._closing or owner is None:
                return None
            job = self._waiting[owner].popleft()
            if not self._waiting[owner]:
                del self._waiting[owner]
            self._last_turn[owner] = 1 + next(reversed(self._last_turn.values()), 0)
            self._last_turn.move_to_end(owner)
            if len(self._last_turn) > _KEPT_TURNS:
                self._last_turn.popitem(last=False)
            self._running.append(job)
            return job

    def _startable(self) -> str | None:
        """Return whose job is next and may begin now."""
        served = {job.owner for job in self._running}
        owner = next((owner for owner in self._owners() if owner not in served), None)
        if owner is None or not self._running:
            return owner
        form = self._forms.get(self._waiting[owner][0].id)
        fits = form is not None and all(self._forms.get(job.id) == form for job in self._running)
        return owner if fits else None

    def _work(self) -> None:
        while (job := self._next()) is not None:
            self._announce_positions()
            self._run_one(job)
            with self._changed:
                self._running.remove(job)
                self._forms.pop(job.id, None)
                self._changed.notify_all()

    def _run_one(self, job: Job) -> None:
        """Run `job` to its ending. The one broad except of the studio: nothing may kill this thread."""
        steps = 0
        try:
            if self._journal is not None:
                self._journal.began(job.id)
            for event in self._run(job.request, lambda: job.is_cancelled):
                if isinstance(event, Finished):
                    if job.is_cancelled and not job.is_put_back:  # stopped under the decoder: nothing is to remain
                        job.publish(Cancelled(at_step=steps))
                    else:
                        self._save(job, event)
                    return
                steps = event.index if isinstance(event, Step) else steps
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
        room, kept = _KEPT_PIXELS, 0
        for job in reversed(list(self._jobs.values())):
            if job.ending is None:
                continue
            kept += 1
            room -= job.held_pixels
            if kept > 1 and (room < 0 or kept > _KEPT_ENDED_JOBS):
                del self._jobs[job.id]


def _unexpected(job: Job) -> Failed:
    return Failed(f"Something went wrong inside the studio (job {job.id}).", "The log has the details. Try again.")
