"""What one guest may use: size, steps, batch, waiting jobs and wall time; and a runner that holds them to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeAlias

from studio.errors import InvalidRequest, QueueFull, UnknownName
from studio.events import ENDINGS, Queued
from studio.jobs import Job, Queue
from studio.requests import Request

GUEST_KINDS = frozenset({"text_to_image", "stylize", "inpaint"})

Check: TypeAlias = Callable[[Request, str], None]


@dataclass(frozen=True, slots=True)
class Budget:
    """One guest's bounds; the owner's own requests have none of these."""

    pixels: int = 1024 * 1024
    steps: int = 50
    batch: int = 4
    pending: int = 3
    wall_seconds: float = 120.0

    @property
    def side(self) -> int:
        """The longest side of a square within the bounds."""
        return int(self.pixels**0.5)

    def check(self, request: Request) -> None:
        """Raise InvalidRequest, naming the value and the bound, when `request` asks for too much."""
        if getattr(request, "kind", "") not in GUEST_KINDS:
            raise InvalidRequest("Guests cannot do this.", "Ask the studio's owner.", field="kind")
        width, height = getattr(request, "width", 0), getattr(request, "height", 0)
        if width * height > self.pixels:
            raise InvalidRequest(
                f"{width} x {height} is more than guests may make.",
                f"Try {self.side} x {self.side} or less.",
                field="width",
            )
        for name, title, most in (
            ("steps", "steps", self.steps),
            ("batch", "pictures at once", self.batch),
            ("size", "pixels as the working size", self.side),
        ):
            if getattr(request, name, 0) > most:
                raise InvalidRequest(f"Guests may use {most} {title}, not {getattr(request, name)}.", field=name)
        if (longest := max(getattr(request, "extend", (0,)))) > self.side // 2:
            raise InvalidRequest(f"Guests may extend by {self.side // 2} pixels, not {longest}.", field="extend")


class GuestRunner:
    """A JobRunner as guests reach it: the same fair queue, within a budget.

    Args:
        runner: The studio's runner.
        budget: What each guest may use.
        models: Returns the ids of the models that guests may name; by default any.
        checks: Called with each request and its guest; raise StudioError for what is not let through.
        shown: Returns a job as its guest sees it.
    """

    def __init__(
        self,
        runner: Queue,
        budget: Budget,
        *,
        models: Callable[[], Collection[str]] | None = None,
        checks: tuple[Check, ...] = (),
        shown: Callable[[Job], Job] = lambda job: job,
    ) -> None:
        self._runner, self._budget, self._shown = runner, budget, shown
        self._models, self._checks = models, checks
        self._submitting = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many jobs wait, everybody's."""
        return self._runner.waiting

    def submit(self, request: Request, *, owner: str) -> Job:
        """Queue `request` for guest `owner`.

        Raises:
            InvalidRequest: It is over the budget, or names a model that is not offered.
            QueueFull: The guest has too many jobs waiting, or the studio has.
            StudioError: A check did not let it through.
        """
        self._budget.check(request)
        self._check_model(request)
        for check in self._checks:
            check(request, owner)
        with self._submitting:  # counting and queueing are one act, or a burst of clicks would slip past the bound
            pending = len(self._runner.active(owner))
            if pending >= self._budget.pending:
                raise QueueFull(f"You already have {pending} jobs waiting.", "Wait for one to finish, or stop one.")
            job = self._runner.submit(request, owner=owner)
        threading.Thread(target=self._watch, args=(job,), name=f"budget-{job.id}", daemon=True).start()
        return self._shown(job)

    def find(self, job_id: str, *, owner: str) -> Job:
        """Return guest `owner`'s job; see JobRunner.find."""
        return self._shown(self._runner.find(job_id, owner=owner))

    def active(self, owner: str) -> list[Job]:
        """Return guest `owner`'s jobs that have not ended."""
        return [self._shown(job) for job in self._runner.active(owner)]

    def ended(self, owner: str) -> list[Job]:
        """Return guest `owner`'s jobs that have ended; see JobRunner.ended."""
        return [self._shown(job) for job in self._runner.ended(owner)]

    def _check_model(self, request: Request) -> None:
        model = getattr(request, "model", "")
        if model and self._models is not None and model not in (offered := self._models()):
            raise UnknownName("model", model, offered, field="model")

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
