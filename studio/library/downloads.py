"""Downloads in the background: at most two at a time, each with its state for whoever looks.

A stopped or failed download keeps what has arrived; asking for the same again goes on from there.
"""

from __future__ import annotations

import logging
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from studio.errors import QueueFull, StudioError
from studio.library.download import Progress, Stopped, download
from studio.library.hub import Plan

logger = logging.getLogger(__name__)

AT_ONCE, MOST = 2, 32


@dataclass(frozen=True, slots=True)
class State:
    """Where a download is; `message` and `hint` say what went wrong."""

    id: str
    repo: str
    name: str
    phase: Literal["waiting", "running", "done", "failed", "stopped"]
    bytes_done: int = 0
    bytes_total: int = 0
    file: str = ""
    message: str = ""
    hint: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.phase in ("done", "failed", "stopped")


class Downloads:
    """Runs downloads into one folder.

    Args:
        folder: The studio's own models.
        endpoint: Another hub.
    """

    def __init__(self, folder: Path, *, endpoint: str = "") -> None:
        self._folder, self._endpoint = folder, endpoint
        self._states: dict[str, State] = {}
        self._stops: dict[str, threading.Event] = {}
        self._guard = threading.Lock()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="download")

    def start(self, plan: Plan) -> State:
        """Begin `plan`, unless it runs already, and return its state; raises QueueFull."""
        with self._guard:
            for state in self._states.values():
                if state.repo == plan.repo and not state.is_over:
                    return state
            if sum(not state.is_over for state in self._states.values()) >= MOST:
                raise QueueFull(f"{MOST} downloads are waiting.", "Wait until some are done.")
            state = State(secrets.token_hex(8), plan.repo, plan.name, "waiting", bytes_total=plan.bytes)
            self._forget(plan.repo)
            self._states[state.id] = state
            self._stops[state.id] = threading.Event()
        self._pool.submit(self._run, state.id, plan)
        return state

    def states(self) -> list[State]:
        """Return all downloads since the studio started, the newest first; of one repository only the last."""
        with self._guard:
            return list(reversed(self._states.values()))

    def stop(self, download_id: str) -> None:
        """Stop a download within the next bytes; what has arrived is kept."""
        with self._guard:
            if download_id in self._stops:
                self._stops[download_id].set()

    def close(self) -> None:
        """Stop everything and wait for it."""
        for stop in list(self._stops.values()):
            stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, download_id: str, plan: Plan) -> None:
        stop = self._stops[download_id]

        def report(progress: Progress) -> None:
            self._change(download_id, bytes_done=progress.bytes_done, file=progress.file)

        if stop.is_set():
            self._change(download_id, phase="stopped")
            return
        self._change(download_id, phase="running")
        try:
            download(plan, self._folder, report=report, should_stop=stop.is_set, endpoint=self._endpoint)
        except Stopped:
            self._change(download_id, phase="stopped")
        except StudioError as error:
            self._change(download_id, phase="failed", message=error.message, hint=error.hint)
        except OSError as error:
            logger.exception("the download of %s failed", plan.repo)
            self._change(download_id, phase="failed", message=f"It failed: {error.strerror}.", hint="Check the disk.")
        else:
            self._change(download_id, phase="done", bytes_done=plan.bytes)

    def _change(self, download_id: str, **changes: object) -> None:
        with self._guard:
            self._states[download_id] = replace(self._states[download_id], **changes)  # type: ignore[arg-type]

    def _forget(self, repo: str) -> None:
        for known in [known for known, state in self._states.items() if state.repo == repo and state.is_over]:
            del self._states[known], self._stops[known]
