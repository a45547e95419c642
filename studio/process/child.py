"""The engine's side of the pipe: takes orders on one thread, runs requests on another, serves the desk beside.

Of several runs at once (the setting `joined_jobs`) each has the engine's thread for a step, then the next.

The process ends when the page's does, however that died: the pipe then reads end-of-file (and on Linux the kernel
is asked for a signal, which also reaches a process that is stopped or stuck).
"""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from studio.collector import collector_at_rest
from studio.errors import OutOfMemory, StudioError
from studio.events import ENDINGS, Event, Step
from studio.process.messages import (
    Answered,
    Begin,
    Call,
    Done,
    Happened,
    Logged,
    Notice,
    Phase,
    Prepared,
    Raised,
    Ready,
    Refused,
    Run,
    Stop,
)
from studio.requests import Request
from studio.settings import Settings

logger = logging.getLogger(__name__)

_DESK_THREADS = 4  # painting is one request at a time per page
_PR_SET_PDEATHSIG = 1
_MOST_EXPENDABLE = 900  # a spare engine goes before the one at work
_LEAST_PRIORITY = 19
_EXPENDABLE = 500  # of 1000: when memory runs out, the kernel takes this process before the page or the browser


class Work(Protocol):
    """What runs in the process: `studio.process.engine.EngineWork`, or a smaller one in tests."""

    notice: str

    def warm_up(self) -> None: ...

    def run(self, request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]: ...

    def call(self, name: str, positional: tuple[Any, ...], named: dict[str, Any]) -> Any: ...


Build: TypeAlias = Callable[[Settings], Work]


class EngineFault(RuntimeError):
    """An error in the engine that is no StudioError; its text is the traceback over there."""


def main(
    connection: Connection, settings: Settings, build: Build, *, warm_up: bool, log_level: int, is_spare: bool = False
) -> None:
    """Serve orders from `connection` until it closes; what a new engine process runs. A spare one waits for Begin."""
    _settle_in(_MOST_EXPENDABLE if is_spare else _EXPENDABLE)
    speaker = _Speaker(connection)
    if is_spare:
        _wait_prepared(connection, speaker, getattr(build, "prepare", lambda: None))
    logging.basicConfig(level=log_level, handlers=[_Forward(speaker)], force=True)
    worker = _Worker(connection, speaker, at_once=settings.joined_jobs)
    threading.Thread(target=worker.listen, name="orders", daemon=True).start()
    try:
        speaker.say(Phase("loading torch and diffusers"))
        with collector_at_rest():
            work = build(settings)
    except StudioError as error:
        speaker.say(Refused(error))
        return
    except ImportError as error:
        logger.exception("the engine cannot start")
        speaker.say(
            Refused(StudioError(f"The engine cannot start: {error}.", "Start the studio with python launch.py."))
        )
        return
    worker.serve(work, warm_up=warm_up)


def _wait_prepared(connection: Connection, speaker: _Speaker, prepare: Callable[[], None]) -> None:
    """Load what takes long, out of the way of whoever works, and wait until this process is to be the engine."""

    def out_of_the_way() -> None:
        if sys.platform == "linux":  # where it holds for one thread, and those that it starts
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LEAST_PRIORITY)
        with suppress(ImportError), collector_at_rest():  # what is missing is said by the engine that needs it
            prepare()

    thread = threading.Thread(target=out_of_the_way, name="prepare")
    thread.start()
    thread.join()
    speaker.say(Prepared())
    try:
        order = pickle.loads(connection.recv_bytes())
    except (EOFError, OSError):
        os._exit(0)
    assert isinstance(order, Begin), f"a spare engine was told {type(order).__name__}"
    _be_expendable(_EXPENDABLE)


def _settle_in(expendable: int) -> None:
    """Make the process a good child: it leaves Ctrl+C to its parent, dies with it, and is the first to go."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _be_expendable(expendable)


def _be_expendable(share: int) -> None:
    with suppress(OSError):  # where the kernel has no such file, or does not let it be lowered again
        Path("/proc/self/oom_score_adj").write_text(f"{share}\n", encoding="ascii")


class _Speaker:
    """Sends messages from any thread, each whole."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._turn = connection, threading.Lock()

    def say(self, message: Any) -> None:
        data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        try:
            with self._turn:
                self._connection.send_bytes(data)
        except OSError:  # nobody listens any more
            os._exit(0)


class _Forward(QueueHandler):
    """Hands log records to the page's process, formatted enough to travel."""

    def __init__(self, speaker: _Speaker) -> None:
        super().__init__(queue.SimpleQueue())
        self._speaker = speaker

    def enqueue(self, record: logging.LogRecord) -> None:
        self._speaker.say(Logged(record))


@dataclass(frozen=True, slots=True)
class _Running:
    """A run that has begun: its ticket, and what it still has to say."""

    ticket: int
    events: Iterator[Event]


class _Worker:
    """Orders in, replies out.

    Args:
        at_once: Runs that take turns on the engine's thread, a step each.
    """

    def __init__(self, connection: Connection, speaker: _Speaker, *, at_once: int) -> None:
        self._connection, self._say, self._at_once = connection, speaker.say, at_once
        self._running: deque[_Running] = deque()  # whose turn is next comes first
        self._runs: queue.SimpleQueue[Run] = queue.SimpleQueue()
        self._stops: dict[int, threading.Event] = {}
        self._turn = threading.Lock()  # of the two that follow
        self._engine, self._desk = _threads()
        self._work: Work | None = None
        self._built = threading.Event()

    def listen(self) -> None:
        """Take orders; ends the process at end-of-file, at once: nothing here is worth keeping."""
        while True:
            try:
                order = pickle.loads(self._connection.recv_bytes())
            except (EOFError, OSError):
                os._exit(0)
            if isinstance(order, Run):
                self._stops[order.ticket] = threading.Event()
                self._runs.put(order)
            elif isinstance(order, Stop):
                if order.ticket in self._stops:
                    self._stops[order.ticket].set()
            else:
                with self._turn:
                    self._desk.submit(self._answer, order)

    def serve(self, work: Work, *, warm_up: bool) -> None:
        """Run requests for as long as the process lives."""
        self._work = work
        self._built.set()
        self._say(Notice(work.notice))
        self._say(Ready())
        if warm_up:
            self._say(Phase("loading the default model"))
            try:
                self._engine.submit(work.warm_up).result()
            except StudioError as error:  # the first job says it again, to whoever asks for it
                self._say(Notice(str(error)))
        self._say(Phase(""))
        while True:
            self._begin_runs()
            run = self._running.popleft()
            with self._turn:
                turn = self._engine.submit(self._go_on, run)
            if turn.result():
                self._running.append(run)

    def _begin_runs(self) -> None:
        """Begin what is ordered, as long as there is room; wait for an order when nothing runs."""
        while len(self._running) < self._at_once:
            try:
                order = self._runs.get(block=not self._running)
            except queue.Empty:
                return
            events = self._its_work.run(order.request, self._stops[order.ticket].is_set)
            self._running.append(_Running(order.ticket, events))

    def _go_on(self, run: _Running) -> bool:
        """Let a run go on until its next step is done, or it ends; return whether there is more to come.

        A turn ends nowhere else: while a model is loaded or put on an adapter, no other run may use it.
        """
        with self._raising(run.ticket):
            for event in run.events:
                self._say(Happened(run.ticket, event))
                if isinstance(event, Step):
                    return True
                if isinstance(event, ENDINGS):
                    break
        del self._stops[run.ticket]
        self._say(Done(run.ticket))
        return False

    def _answer(self, order: Call) -> None:
        self._built.wait()
        with self._raising(order.ticket):
            self._say(Answered(order.ticket, self._its_work.call(order.name, order.positional, order.named)))

    @property
    def _its_work(self) -> Work:
        assert self._work is not None
        return self._work

    @contextmanager
    def _raising(self, ticket: int) -> Iterator[None]:
        """Let whatever is raised be raised in the page's process, by whoever waits for it there."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  nothing is swallowed: the job runner over there tells errors apart
            if isinstance(error, OutOfMemory) and error.spoils_thread:
                self._change_threads()
            self._say(Raised(ticket, _portable(error)))

    def _change_threads(self) -> None:
        """Let all that comes run on new threads; what runs beside goes on on the old ones."""
        with self._turn:
            before = self._engine, self._desk
            self._engine, self._desk = _threads()
            for pool in before:
                pool.shutdown(wait=False)


def _threads() -> tuple[ThreadPoolExecutor, ThreadPoolExecutor]:
    """Return the threads of the engine (one) and of the desk."""
    return ThreadPoolExecutor(1, thread_name_prefix="engine"), ThreadPoolExecutor(_DESK_THREADS, "desk")


def _portable(error: Exception) -> Exception:
    """Return `error` if it can be pickled as it is, else its text: whoever waits must get an answer."""
    if isinstance(error, StudioError):
        with suppress(pickle.PicklingError, TypeError, AttributeError):
            pickle.dumps(error)
            return error.with_traceback(None)
    return EngineFault("".join(traceback.format_exception(error)))
