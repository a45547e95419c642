"""What one guest may use: size, steps, batch, waiting jobs and wall time; and a runner that holds them to it."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from studio.errors import InvalidRequest, QueueFull
from studio.events import ENDINGS, Queued
from studio.jobs import Job, Queue
from studio.requests import Request

GUEST_KINDS = frozenset({"text_to_image", "stylize", "inpaint", "reconstruct", "edit_tokens"})


@dataclass(frozen=True, slots=True)
class Budget:
    """One guest's bounds; the owner's own requests have none of these."""

    pixels: int = 1024 * 1024
    steps: int = 50
    batch: int = 4
    pending: int = 3
    wall_seconds: float = 120.0

    def check(self, request: Request) -> None:
        """Raise InvalidRequest, naming the value and the bound, when `request` asks for too much."""
        if getattr(request, "kind", "") not in GUEST_KINDS:
            raise InvalidRequest("Guests cannot do this.", "Ask the studio's owner.", field="kind")
        width, height = getattr(request, "width", 0), getattr(request, "height", 0)
        if width * height > self.pixels:
            side = int(self.pixels**0.5)
            raise InvalidRequest(
                f"{width} x {height} is more than guests may make.", f"Try {side} x {side} or less.", field="width"
            )
        for name, title, most in (("steps", "steps", self.steps), ("batch", "pictures at once", self.batch)):
            if getattr(request, name, 0) > most:
                raise InvalidRequest(f"Guests may use {most} {title}, not {getattr(request, name)}.", field=name)


class GuestRunner:
    """A JobRunner as guests reach it: the same fair queue, within a budget.

    Args:
        runner: The studio's runner.
        budget: What each guest may use.
    """

    def __init__(self, runner: Queue, budget: Budget) -> None:
        self._runner, self._budget = runner, budget

    @property
    def waiting(self) -> int:
        """How many jobs wait, everybody's."""
        return self._runner.waiting

    def submit(self, request: Request, *, owner: str) -> Job:
        """Queue `request` for guest `owner`.

        Raises:
            InvalidRequest: It is over the budget.
            QueueFull: The guest has too many jobs waiting, or the studio has.
        """
        self._budget.check(request)
        pending = len(self._runner.active(owner))
        if pending >= self._budget.pending:
            raise QueueFull(f"You already have {pending} jobs waiting.", "Wait for one to finish, or stop one.")
        job = self._runner.submit(request, owner=owner)
        threading.Thread(target=self._watch, args=(job,), name=f"budget-{job.id}", daemon=True).start()
        return job

    def find(self, job_id: str, *, owner: str) -> Job:
        """Return guest `owner`'s job; see JobRunner.find."""
        return self._runner.find(job_id, owner=owner)

    def active(self, owner: str) -> list[Job]:
        """Return guest `owner`'s jobs that have not ended."""
        return self._runner.active(owner)

    def _watch(self, job: Job) -> None:
        """Stop `job` when it has run for longer than the budget; the time in the queue does not count."""
        started = threading.Event()
        timer = threading.Timer(self._budget.wall_seconds, job.cancel)
        timer.daemon = True
        for event in job.events():
            if not isinstance(event, Queued) and not started.is_set():
                started.set()
                timer.start()
            if isinstance(event, ENDINGS):
                timer.cancel()
