"""A job stopped in any phase: nothing of it remains, and its place is really free."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from studio.engine.engine import Engine
from studio.events import Cancelled, Decoding, Event, Finished, Loading, Step
from studio.gallery import Gallery, recorder
from studio.job import Job
from studio.jobs import JobRunner
from studio.requests import Request
from studio.state.memory import Memory
from tests.engine.run import small
from tests.promises import count

STEPS = 5
PHASES: tuple[str | int, ...] = ("waiting", "loading", *range(1, STEPS + 1), "decoding", "decoded", "saving")


class Stopper:
    """Runs requests in the engine; stops the job whose turn it is exactly when its phase is reached."""

    def __init__(self, engine: Engine, gallery: Gallery) -> None:
        self._engine, self._record = engine, recorder(gallery)
        self._inside = threading.Semaphore(1)
        self.overlaps = self.late = 0
        self.job: Job | None = None
        self.phase: str | int = ""
        self.is_placed = threading.Event()

    def run(self, request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
        """Run `request`; count who comes in while another is inside, and what a stopped job still does."""
        self.is_placed.wait()
        is_alone = self._inside.acquire(blocking=False)
        self.overlaps += not is_alone
        try:
            for event in self._engine.run(request, should_stop):
                self.late += should_stop() and isinstance(event, Step | Decoding | Finished)
                self._stop_at(phase_of(event))
                yield event
        finally:
            if is_alone:
                self._inside.release()

    def record(self, job: Job, finished: Finished) -> Finished:
        """Save the pictures."""
        self._stop_at("saving", job)
        return self._record(job, finished)

    def _stop_at(self, phase: str | int, job: Job | None = None) -> None:
        if self.job is not None and phase == self.phase and job in (None, self.job):
            self.job.cancel()
            self.job = None


def phase_of(event: Event) -> str | int:
    """Name the phase that an event ends or begins."""
    if isinstance(event, Step):
        return event.index
    return {Loading: "loading", Decoding: "decoding", Finished: "decoded"}.get(type(event), "")


def test_a_job_stopped_in_any_phase_leaves_nothing_and_never_overlaps_the_next(
    engine: Engine, tmp_path: Path, figure: Callable[..., None]
) -> None:
    """R3: waiting, loading, at every step, decoding, decoded, saving; one job at a time is ever in the engine."""
    wanted = 0
    with (
        Gallery(tmp_path / "gallery", reserve_bytes=0) as gallery,
        Memory(tmp_path) as memory,
        JobRunner((stopper := Stopper(engine, gallery)).run, stopper.record, journal=memory.journal) as runner,
    ):
        for number in range(count(len(PHASES), 500)):
            phase = PHASES[number % len(PHASES)]
            if phase == "loading":
                engine.store.forget_all()
            stopper.is_placed.clear()
            before = runner.submit(small(model="sd1", steps=1, seed=number), owner="A") if phase == "waiting" else None
            stopped = runner.submit(small(model="ldm", steps=STEPS, seed=number), owner="A")
            stopper.job, stopper.phase = stopped, phase
            after = runner.submit(small(model="ldm", steps=1, seed=number), owner="A")
            if phase == "waiting":
                stopped.cancel()
                assert isinstance(stopped.ending, Cancelled)
            stopper.is_placed.set()
            ending = stopped.result(timeout_seconds=60)
            assert isinstance(ending, Finished if phase == "saving" else Cancelled), (phase, ending)
            others = [job for job in (before, after) if job is not None]
            assert all(isinstance(job.result(timeout_seconds=60), Finished) for job in others)
            wanted += len(others) + (phase == "saving")
            assert runner.waiting == 0
        assert memory.journal.pending() == []
        assert gallery.count() == wanted
        assert len(list(gallery.folder.glob("pictures/*/*.png"))) == wanted
        assert gallery.doctor().is_healthy
    assert not list(tmp_path.rglob("*.part"))
    figure(stopped=count(len(PHASES), 500), overlaps=stopper.overlaps, steps_after_the_stop=stopper.late)
    assert stopper.overlaps == stopper.late == 0
