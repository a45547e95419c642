"""Downloads in the background: at most two at a time, each with its state for whoever looks.

A stopped or failed download keeps what has arrived; asking for the same again goes on from there. What a studio
that was closed or killed left behind is there as stopped. Two downloads never write to the same place at once.
"""

from __future__ import annotations

import logging
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from studio.errors import ModelError, QueueFull, StudioError
from studio.library.download import Progress, Stopped, download
from studio.library.hub import Plan, folder_name
from studio.library.leftovers import Leftover, discard, leftovers

logger = logging.getLogger(__name__)

AT_ONCE, MOST = 2, 32


@dataclass(frozen=True, slots=True)
class State:
    """Where a download is, and what was asked for: asking for that again goes on with this one.

    Attributes:
        repo, revision, file, variant: As in `Plan`; the revision is a commit.
        name: The folder it goes into.
        fetching: The file that is arriving.
        message, hint: What went wrong.
    """

    id: str
    repo: str
    revision: str
    file: str
    variant: str
    name: str
    phase: Literal["waiting", "running", "done", "failed", "stopped"]
    bytes_done: int = 0
    bytes_total: int = 0
    fetching: str = ""
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
        self._states = {state.id: state for state in map(_of_leftover, leftovers(folder))}
        self._plans: dict[str, Plan] = {}
        self._stops: dict[str, threading.Event] = {}
        self._guard = threading.Lock()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="download")

    def start(self, plan: Plan) -> State:
        """Begin `plan`, unless it runs already, and return its state.

        Raises:
            QueueFull: Too many are waiting.
            ModelError: Something else is arriving under the same name: another revision, variant, or owner's.
        """
        with self._guard:
            for state in self._states.values():
                if state.name == plan.name and not state.is_over:
                    return self._same(state, plan)
            if sum(not state.is_over for state in self._states.values()) >= MOST:
                raise QueueFull(f"{MOST} downloads are waiting.", "Wait until some are done.")
            asked = (plan.repo, plan.revision, plan.file, plan.variant)
            state = State(secrets.token_hex(8), *asked, plan.name, "waiting", bytes_total=plan.bytes)
            self._forget(plan)
            self._states[state.id] = state
            self._plans[state.id] = plan
            self._stops[state.id] = threading.Event()
        self._pool.submit(self._run, state.id, plan)
        return state

    def states(self) -> list[State]:
        """Return the downloads, the newest first; of the same repository and file only the last."""
        with self._guard:
            return list(reversed(self._states.values()))

    def stop(self, download_id: str) -> None:
        """Stop a download within the next bytes; what has arrived is kept."""
        with self._guard:
            if download_id in self._stops:
                self._stops[download_id].set()

    def discard(self, download_id: str) -> None:
        """Forget a download that is over and delete what has arrived of it; a finished one's files stay.

        Raises:
            ModelError: It runs, or its files cannot be deleted.
        """
        with self._guard:
            state = self._states.get(download_id)
            if state is None:
                return
            if not state.is_over:
                raise ModelError(f"{state.repo} is being downloaded.", "Stop it first.")
            try:
                discard(self._folder, state.repo, state.file)
            except OSError as error:
                hint = "Close what uses it."
                raise ModelError(f"{state.repo} cannot be deleted: {error.strerror}.", hint) from error
            self._drop(download_id)

    def close(self) -> None:
        """Stop everything and wait for it."""
        for stop in list(self._stops.values()):
            stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, download_id: str, plan: Plan) -> None:
        stop = self._stops[download_id]

        def report(progress: Progress) -> None:
            self._change(download_id, bytes_done=progress.bytes_done, fetching=progress.file)

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

    def _same(self, state: State, plan: Plan) -> State:
        running = self._plans[state.id]
        if (running.repo, running.revision, running.files) == (plan.repo, plan.revision, plan.files):
            return state
        precision = state.variant or "full"
        raise ModelError(
            f'"{state.name}" is being downloaded already: {state.repo} at {state.revision[:12]}, {precision}.',
            "Wait until it is there, or stop it.",
        )

    def _forget(self, plan: Plan) -> None:
        asked = (plan.repo, plan.file)
        for known in [known for known, state in self._states.items() if (state.repo, state.file) == asked]:
            self._drop(known)

    def _drop(self, download_id: str) -> None:
        del self._states[download_id]
        self._plans.pop(download_id, None)
        self._stops.pop(download_id, None)


def _of_leftover(left: Leftover) -> State:
    asked = (left.repo, left.revision, left.file, left.variant)
    name = folder_name(left.repo, left.file)
    return State(secrets.token_hex(8), *asked, name, "stopped", left.bytes_done, left.bytes_total)
