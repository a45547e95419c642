"""The page's side: starts the engine's process, hands it requests, and starts another when it is lost.

A crash, a hang or the system's out-of-memory killer costs what the engine was doing, each with a clear error; the
page and the queue stay, and the next engine loads its models when they are asked for. That one is a spare, if the
settings and the memory allow: a process that has loaded its libraries, which takes seconds, while the engine was idle.

multiprocessing brings the process, the pipe and their portability; what a pool of it lacks, and this adds, are
streams of events, stopping in the middle, and a watch over a worker that neither dies nor goes on.
"""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import pickle
import queue
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, TypeAlias

import psutil

from studio.errors import StudioError
from studio.events import ENDINGS, Cancelled, Event, Loading
from studio.process import child, spare
from studio.process.engine import EngineWork
from studio.process.messages import (
    Answered,
    Call,
    Done,
    Happened,
    Logged,
    Notice,
    Order,
    Phase,
    Raised,
    Ready,
    Refused,
    Reply,
    Run,
    Stop,
)
from studio.process.watch import Watch
from studio.requests import Request
from studio.settings import Settings

logger = logging.getLogger(__name__)

Inbox: TypeAlias = "queue.SimpleQueue[Reply]"

PATIENCE_SECONDS = 120.0
_LOOK_SECONDS = 0.5  # between two looks at an engine that says nothing
_POLL_SECONDS = 0.05  # between two questions whether to stop
_STARTS = 3  # engines that may die while starting before no other is tried
_FAREWELL_SECONDS = 5.0


class EngineLost(StudioError):
    """The engine's process ended under a job. `status`: what the painting desk held is gone (the page reopens it)."""

    status = 404


class EngineHost:
    """An engine process, supervised. All threads may use it.

    Args:
        settings: The studio's settings.
        build: Makes what runs in the process; must be importable there.
        patience_seconds: How long a busy engine may neither speak nor compute before it is replaced.
        spare_after_seconds: How long an engine is idle before a spare one is prepared.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        build: child.Build = EngineWork,
        patience_seconds: float = PATIENCE_SECONDS,
        spare_after_seconds: float = spare.AFTER_SECONDS,
    ) -> None:
        self._settings, self._build, self._patience = settings, build, patience_seconds
        self._spare = spare.Spare(
            lambda: self._spawn(False, is_spare=True),
            is_wanted=settings.spare_engine,
            after_seconds=spare_after_seconds,
        )
        self._tickets = itertools.count(1)
        self._waiting: dict[int, Inbox] = {}
        self._guard = threading.Lock()  # of _waiting, and of writing to the pipe
        self._connection: Connection | None = None
        self._process: BaseProcess | None = None
        self._watch: Watch | None = None
        self._refusal: StudioError | None = None
        self._settled = threading.Event()  # an engine is ready, or none will ever be
        self._closing = False
        self._thread: threading.Thread | None = None
        self.phase = "starting the engine"
        self.notice = ""

    def __enter__(self) -> EngineHost:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The engine's process, or None while there is none."""
        return self._process.pid if self._process else None

    @property
    def has_spare(self) -> bool:
        """Whether an engine stands by with its libraries loaded."""
        return self._spare.is_ready

    def start(self, *, warm_up: bool = True) -> None:
        """Begin in the background; `warm_up` also loads the default model."""
        # one thread starts every engine and outlives it: on Linux a child is told of its parent *thread's* death
        self._thread = threading.Thread(target=self._supervise, args=(warm_up,), name="engine-supervisor", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the engine; what it was doing is cancelled."""
        self._closing = True
        self._spare.close()
        with self._guard:
            if self._process is not None:
                self._process.kill()  # it holds nothing that is not on the disk already
        if self._thread is not None:
            self._thread.join(_FAREWELL_SECONDS)

    def run(self, request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
        """Run `request` in the engine; see `jobs.Run`.

        Raises:
            StudioError: What the engine raised; EngineLost when its process ended under the request.
            EngineFault: Any other error over there, with its traceback as text.
        """
        if not self._settled.is_set():
            yield Loading("the engine")
            while not self._settled.wait(_POLL_SECONDS):
                if should_stop():
                    yield Cancelled(at_step=0)
                    return
        ticket, inbox = self._order(lambda number: Run(number, request))
        asked_to_stop = has_ended = False
        try:
            while True:
                if not asked_to_stop and should_stop():
                    self._tell(Stop(ticket))
                    asked_to_stop = True
                try:
                    reply = inbox.get(timeout=_POLL_SECONDS)
                except queue.Empty:
                    continue
                has_ended = not isinstance(reply, Happened) or isinstance(reply.event, ENDINGS)
                if isinstance(reply, Raised):
                    raise reply.error
                if isinstance(reply, Happened):
                    yield reply.event
                if has_ended:
                    return
        finally:
            with self._guard:
                self._waiting.pop(ticket, None)
            if not has_ended:
                self._tell(Stop(ticket))

    def call(self, name: str, *positional: Any, **named: Any) -> Any:
        """Call the painting desk's method `name` in the engine, once that is there; return what it returns.

        Raises:
            StudioError: What the method raised; EngineLost when the process ended under the call.
        """
        self._settled.wait()
        _, inbox = self._order(lambda number: Call(number, name, positional, named))
        reply = inbox.get()
        if isinstance(reply, Raised):
            raise reply.error
        assert isinstance(reply, Answered), f"a call was answered by {type(reply).__name__}"
        return reply.value

    def wait_until_ready(self, timeout_seconds: float | None = None) -> bool:
        """Wait until an engine is ready (or will never be); tell whether it is."""
        return self._settled.wait(timeout_seconds) and self._refusal is None

    # -- the pipe -----------------------------------------------------------------------------------------------

    def _order(self, order: Callable[[int], Order]) -> tuple[int, Inbox]:
        ticket, inbox = next(self._tickets), queue.SimpleQueue[Reply]()
        while True:
            self._settled.wait()
            if self._refusal is not None:
                raise self._refusal
            with self._guard:
                if self._connection is not None and self._settled.is_set():
                    if not self._waiting and self._watch is not None:
                        self._watch.heard()  # idle until now
                    self._waiting[ticket] = inbox
                    break
                if self._closing:
                    raise EngineLost("The studio is shutting down.", "Start it again.")
            self._settled.wait(_POLL_SECONDS)
        self._tell(order(ticket))
        return ticket, inbox

    def _tell(self, order: Order) -> None:
        data = pickle.dumps(order, protocol=pickle.HIGHEST_PROTOCOL)
        with self._guard:
            try:
                if self._connection is not None:
                    self._connection.send_bytes(data)
            except OSError:
                logger.debug("the engine went away before it could be told")  # its supervisor answers for it

    # -- the supervisor's thread --------------------------------------------------------------------------------

    def _supervise(self, warm_up: bool) -> None:
        failed_starts = 0
        while not self._closing and self._refusal is None:
            self.phase = "starting the engine"
            connection, process = self._spare.take() or self._spawn(warm_up)
            self._adopt(connection, process)
            if self._closing:
                process.kill()
            try:
                why = self._listen(connection, process)
            finally:
                connection.close()
            was_ready, warm_up = self._settled.is_set(), False
            self._settled.clear()
            process.join()
            failed_starts = 0 if was_ready else failed_starts + 1
            error = _explain(process.exitcode, why)
            if not self._closing and self._refusal is None:
                logger.error("%s (exit status %s)", error.message, process.exitcode)
            if failed_starts == _STARTS:
                self._refusal = StudioError(
                    f"The engine ended {_STARTS} times while starting.", "See the log; python launch.py doctor helps."
                )
            self._drop_all(error)
        self._spare.end()
        if self._refusal is not None:
            self.notice = str(self._refusal)
        self.phase = ""
        self._settled.set()

    def _spawn(self, warm_up: bool, *, is_spare: bool = False) -> tuple[Connection, BaseProcess]:
        context = multiprocessing.get_context("spawn")  # a fork would copy the page's threads' locks
        ours, theirs = context.Pipe()
        process = context.Process(
            target=child.main,
            args=(theirs, self._settings, self._build),
            kwargs={
                "warm_up": warm_up,
                "log_level": logging.getLogger().getEffectiveLevel(),
                "is_spare": is_spare,
            },
            name="spare engine" if is_spare else "engine",
            daemon=True,
        )
        process.start()
        theirs.close()
        return ours, process

    def _adopt(self, connection: Connection, process: BaseProcess) -> None:
        """Let a process be the engine."""
        watched = psutil.Process(process.pid)
        self._watch = Watch(self._patience, processor_seconds=lambda: _processor_seconds(watched))
        with self._guard:
            self._process, self._connection = process, connection

    def _listen(self, connection: Connection, process: BaseProcess) -> str:
        """Pass on what the engine says until it is gone; return why it was ended, if it was ended from here."""
        assert self._watch is not None
        while True:
            try:
                if not connection.poll(_LOOK_SECONDS):
                    if (self._waiting or not self._settled.is_set()) and self._watch.has_hung():
                        process.kill()
                        return f"The engine did not move for {self._patience:.0f} seconds and was stopped."
                    if self._settled.is_set() and not self._waiting:
                        self._spare.look_after()
                    continue
                self._spare.engine_worked()
                message = pickle.loads(connection.recv_bytes())
            except (EOFError, OSError):
                return ""
            if not isinstance(message, Answered):  # painting goes on beside a run that hangs
                self._watch.heard()
            self._take(message)

    def _take(self, message: Any) -> None:
        if isinstance(message, Happened | Done | Answered | Raised):
            with self._guard:
                ends = not isinstance(message, Happened)
                inbox = self._waiting.pop(message.ticket, None) if ends else self._waiting.get(message.ticket)
            if inbox is not None:
                inbox.put(message)
        elif isinstance(message, Phase):
            self.phase = message.text
        elif isinstance(message, Notice):
            self.notice = message.text
        elif isinstance(message, Logged):
            logging.getLogger(message.record.name).handle(message.record)
        elif isinstance(message, Refused):
            assert isinstance(message.error, StudioError)
            self._refusal = message.error
        elif isinstance(message, Ready):
            self._settled.set()

    def _drop_all(self, error: StudioError) -> None:
        with self._guard:
            self._connection = None
            lost, self._waiting = self._waiting, {}
        for ticket, inbox in lost.items():
            inbox.put(Raised(ticket, error))


def _processor_seconds(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
    except psutil.Error:  # it is gone: the pipe will say so
        return 0.0
    return float(used.user + used.system)


def _explain(status: int | None, why: str) -> EngineLost:
    """Return the sentence for a lost engine; `why` it was stopped from here, if it was."""
    again = "A new engine is starting."
    if why:
        return EngineLost(why, f"{again} Try again, with a smaller size if it happens twice.")
    if status == -9:
        return EngineLost(
            "The system stopped the engine, most likely because memory ran out.",
            f"{again} Try a smaller size or fewer pictures at once.",
        )
    if status == 0:
        return EngineLost("The engine ended.", f"{again} Try again.")
    return EngineLost("The engine crashed.", f"{again} Try again; the log says more if it happens twice.")
