"""Small engines for a process of their own: each does what its request's prompt says."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from PIL import Image

from studio.errors import ModelError, OutOfMemory, StudioError, UnknownName
from studio.events import Cancelled, Event, Finished, Step
from studio.requests import Request, TextToImage
from studio.settings import Settings


class Play:
    """Steps of a few milliseconds; some prompts and calls end the process, or stop it."""

    def __init__(self, settings: Settings) -> None:
        self.notice = "Playing."
        self.warm_ups = 0

    def warm_up(self) -> None:
        self.warm_ups += 1

    def run(self, request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
        assert isinstance(request, TextToImage)
        for index in range(1, request.steps + 1):
            if should_stop():
                yield Cancelled(at_step=index - 1)
                return
            time.sleep(0.005)
            yield Step(index, request.steps, Image.new("RGB", (4, 4), (index, 0, 0)))
            if index == 2:
                act(request.prompt)
        yield Finished((Image.new("RGB", (8, 8), "teal"),), (request.seed,), 0.0, facts=here())

    def call(self, name: str, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        act(name)
        return name, positional, named, os.getpid(), self.warm_ups


def here() -> dict[str, Any]:
    """Tell where this runs."""
    nice = os.getpriority(os.PRIO_PROCESS, 0) if hasattr(os, "getpriority") else 0
    return {"pid": os.getpid(), "thread": threading.get_native_id(), "prepared": Prepares.prepared, "nice": nice}


class Prepares(Play):
    """Notes in which process it was prepared."""

    prepared: ClassVar[list[int]] = []

    @staticmethod
    def prepare() -> None:
        Prepares.prepared.append(os.getpid())


def act(what: str) -> None:
    """Do what the words say, if they say something."""
    if what == "abort":
        os.abort()
    elif what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "exit":
        os._exit(0)
    elif what == "hang":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif what == "fault":
        raise ZeroDivisionError("one by nothing")
    elif what == "unknown":
        raise UnknownName("model", "x", ["y"], field="model")
    elif what == "damaged":
        raise ModelError("The file is damaged.", "Get it again.")
    elif what == "spoil":
        error = OutOfMemory("There is not enough memory for this.", "Try less.")
        error.spoils_thread = True
        raise error
    elif what == "log":
        logging.getLogger("studio.play").warning("a word from %s", "the engine")
    elif what == "unsendable":
        raise StudioError(lambda: None)  # type: ignore[arg-type]


class NoEngine(Play):
    """Cannot start, and says why."""

    def __init__(self, settings: Settings) -> None:
        raise StudioError("There is no device cuda:7.", "Choose another.")


class NoTorch(Play):
    """Cannot start: a library is missing."""

    def __init__(self, settings: Settings) -> None:
        raise ImportError("No module named 'torch'")


class DiesStarting(Play):
    """Is never ready."""

    def __init__(self, settings: Settings) -> None:
        sys.stderr.close()
        os._exit(3)
