from __future__ import annotations

import asyncio
import logging
import pickle
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.errors import GalleryError, InvalidRequest, ModelError, QueueFull
from studio.events import Cancelled, Event, Failed, Film, Finished, Loading, Queued, Step
from studio.gallery import Gallery, recorder
from studio.jobs import Job, JobRunner
from studio.requests import Request, TextToImage
from studio.state.database import Database, NotRemembered
from studio.state.journal import Journal


class Gate:
    """A run whose steps are let through one by one, so that no test depends on time."""

    def __init__(self, *, is_open: bool = False) -> None:
        self.order: list[str] = []
        self.steps_run = 0
        self._tickets = threading.Semaphore(1_000_000 if is_open else 0)

    def let(self, steps: int) -> None:
        self._tickets.release(steps)

    def run(self, request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
        assert isinstance(request, TextToImage)
        self.order.append(request.prompt)
        for index in range(1, request.steps + 1):
            if should_stop():
                yield Cancelled(at_step=index - 1)
                return
            assert self._tickets.acquire(timeout=20)
            self.steps_run += 1
            yield Step(index, request.steps, Image.new("RGB", (2, 2), (index, 0, 0)))
        yield Finished((), (request.seed,), 0.0)


def keep(job: Job, finished: Finished) -> Finished:
    return finished


def ask(prompt: str = "a", steps: int = 3) -> TextToImage:
    return TextToImage(prompt=prompt, seed=1, steps=steps)


def test_one_session_with_eight_jobs_does_not_hold_up_another() -> None:
    gate = Gate()
    with JobRunner(gate.run, keep) as runner:
        mine = [runner.submit(ask(f"A{i}"), owner="A") for i in range(8)]
        yours = runner.submit(ask("B"), owner="B")
        gate.let(1000)
        for job in [*mine, yours]:
            assert isinstance(job.result(timeout_seconds=20), Finished)
    assert gate.order.index("B") <= 1, gate.order


def test_a_cancelled_running_job_stops_before_its_next_step() -> None:
    gate = Gate()
    with JobRunner(gate.run, keep) as runner:
        job = runner.submit(ask(steps=100), owner="A")
        gate.let(2)
        for event in job.events(timeout_seconds=20):
            if isinstance(event, Step) and event.index == 2:
                job.cancel()
                gate.let(1)
        assert isinstance(job.ending, Cancelled)
        assert gate.steps_run <= 3


def test_a_cancelled_waiting_job_ends_at_once_and_never_runs() -> None:
    gate = Gate()
    with JobRunner(gate.run, keep) as runner:
        first, second = (runner.submit(ask(name), owner="A") for name in ("first", "second"))
        second.cancel()
        assert second.ending == Cancelled(at_step=0)
        gate.let(1000)
        assert isinstance(first.result(timeout_seconds=20), Finished)
    assert gate.order == ["first"]


def test_a_late_watcher_gets_the_lasting_events_and_the_last_step() -> None:
    job = Job(ask(), owner="A", withdraw=lambda _: False)
    for event in (Queued(2), Queued(1), Loading("model"), Step(1, 3), Step(2, 3), Finished((), (1,), 0.0)):
        job.publish(event)
    assert [type(e) for e in job.events(timeout_seconds=1)] == [Queued, Loading, Step, Finished]
    assert [e for e in job.events(timeout_seconds=1) if isinstance(e, Step)] == [Step(2, 3)]


def test_a_step_without_a_preview_keeps_the_last_one() -> None:
    job = Job(ask(), owner="A", withdraw=lambda _: False)
    picture = Image.new("RGB", (1, 1))
    job.publish(Step(1, 3, picture))
    job.publish(Step(2, 3))
    job.publish(Cancelled(2))
    steps = [e for e in job.events(timeout_seconds=1) if isinstance(e, Step)]
    assert steps == [Step(2, 3, picture)]


def test_nothing_follows_an_ending() -> None:
    job = Job(ask(), owner="A", withdraw=lambda _: False)
    job.publish(Cancelled(1))
    job.publish(Step(2, 3))
    assert list(job.events(timeout_seconds=1)) == [Cancelled(1)]


def test_async_watchers_see_what_threads_see() -> None:
    gate = Gate(is_open=True)
    with JobRunner(gate.run, keep) as runner:
        job = runner.submit(ask(steps=5), owner="A")

        async def watch() -> list[Event]:
            return [event async for event in job.stream()]

        with ThreadPoolExecutor(1) as thread:  # the browser tests leave a loop running on this one
            seen = thread.submit(asyncio.run, watch()).result(timeout=20)
    assert isinstance(seen[-1], Finished)
    assert [e.index for e in seen if isinstance(e, Step)][-1] == 5


def test_another_session_can_neither_find_nor_tell_a_job() -> None:
    gate = Gate(is_open=True)
    with JobRunner(gate.run, keep) as runner:
        job = runner.submit(ask(), owner="A")
        with pytest.raises(InvalidRequest) as foreign:
            runner.find(job.id, owner="B")
        with pytest.raises(InvalidRequest) as missing:
            runner.find("nonsense", owner="B")
        assert str(foreign.value) == str(missing.value)
        assert runner.find(job.id, owner="A") is job
        assert runner.active("B") == []


def test_the_queue_says_how_long_it_is_when_it_is_full() -> None:
    gate = Gate()
    with JobRunner(gate.run, keep, queue_size=3, queue_per_session=2) as runner:
        runner.submit(ask("running"), owner="A")
        while not gate.order:
            pass
        runner.submit(ask(), owner="A")
        runner.submit(ask(), owner="A")
        with pytest.raises(QueueFull, match="You already have 2 jobs waiting"):
            runner.submit(ask(), owner="A")
        runner.submit(ask(), owner="B")
        with pytest.raises(QueueFull, match="busy \\(3 jobs waiting\\)"):
            runner.submit(ask(), owner="C")
        gate.let(1000)


def test_a_studio_error_becomes_failed_with_its_hint() -> None:
    def run(request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
        raise ModelError("The file is damaged.", "Get it again.")
        yield

    with JobRunner(run, keep) as runner:
        assert runner.submit(ask(), owner="A").result(timeout_seconds=20) == Failed(
            "The file is damaged.", "Get it again."
        )


def test_any_other_error_is_logged_and_names_the_job_and_the_next_one_runs(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate(is_open=True)

    def run(request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
        if isinstance(request, TextToImage) and request.prompt == "bad":
            raise ZeroDivisionError("secret path")
        yield from gate.run(request, should_stop)

    with JobRunner(run, keep) as runner, caplog.at_level(logging.ERROR):
        bad, good = runner.submit(ask("bad"), owner="A"), runner.submit(ask("good"), owner="A")
        ending = bad.result(timeout_seconds=20)
        assert isinstance(ending, Failed)
        assert bad.id in ending.message
        assert "secret path" not in f"{ending.message} {ending.hint}"
        assert isinstance(good.result(timeout_seconds=20), Finished)
    assert "ZeroDivisionError" in caplog.text


def test_results_are_recorded_before_they_are_announced_and_a_full_disk_is_said() -> None:
    gate = Gate(is_open=True)

    def record(job: Job, finished: Finished) -> Finished:
        raise GalleryError("The disk is full (0 MB left).", "Delete some files.")

    with JobRunner(gate.run, record) as runner:
        job = runner.submit(ask(), owner="A")
        assert job.result(timeout_seconds=20) == Failed("The disk is full (0 MB left).", "Delete some files.")


def test_closing_ends_what_runs_and_what_waits() -> None:
    gate = Gate()
    runner = JobRunner(gate.run, keep)
    runner.start()
    jobs = [runner.submit(ask(steps=50), owner="A") for _ in range(3)]
    gate.let(1)
    closing = threading.Thread(target=runner.close)
    closing.start()
    gate.let(1)
    closing.join(20)
    assert not closing.is_alive()
    assert all(isinstance(job.ending, Cancelled) for job in jobs)


@pytest.mark.parametrize(
    "event",
    [
        Queued(1),
        Loading("x", 0.5),
        Step(1, 2, Image.new("RGB", (2, 2))),
        Finished((), (1,), 1.0),
        Failed("a"),
        Cancelled(1),
    ],
)
def test_events_can_travel_to_another_process(event: Event) -> None:
    copy = pickle.loads(pickle.dumps(event))
    assert type(copy) is type(event)
    assert isinstance(event, Step) or copy == event


# -- the queue outlives the process -------------------------------------------------------------------------------


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(Database(tmp_path / "studio.sqlite"))


def interrupted(journal: Journal, prompts: Sequence[str], *, running: str) -> list[str]:
    """Leave the journal as a killed studio does; returns the ids of the jobs."""
    ids = []
    for number, prompt in enumerate(prompts):
        ids.append(f"{number:016x}")
        journal.queued(ids[-1], "A", request=ask(prompt).model_dump_json(), created=float(number))
        if prompt == running:
            journal.began(ids[-1])
    return ids


def test_what_waited_and_what_ran_goes_on_after_a_crash_under_its_own_name_and_seed(journal: Journal) -> None:
    ids = interrupted(journal, ["first", "second", "third"], running="first")
    gate = Gate()
    with JobRunner(gate.run, keep, journal=journal) as runner:
        jobs = runner.active("A")
        assert [(job.id, job.request.seed) for job in jobs] == [(name, 1) for name in ids]  # type: ignore[attr-defined]
        gate.let(1000)
        assert all(isinstance(job.result(timeout_seconds=20), Finished) for job in jobs)
    assert gate.order == ["first", "second", "third"]
    assert journal.pending() == []


def test_a_job_that_died_with_the_studio_twice_is_retired_and_its_owner_is_told(journal: Journal) -> None:
    ids = interrupted(journal, ["poison", "good"], running="poison")
    journal.began(ids[0])
    gate = Gate(is_open=True)
    with JobRunner(gate.run, keep, journal=journal) as runner:
        assert isinstance(runner.find(ids[1], owner="A").result(timeout_seconds=20), Finished)
        told = [job.ending for job in runner.ended("A") if job.id == ids[0]]
        assert told == [Failed("The studio stopped twice while it ran this.", "Try a smaller size, or another model.")]
    assert gate.order == ["good"]
    assert journal.pending() == []


def test_an_orderly_end_keeps_the_queue_and_counts_no_attempt(journal: Journal) -> None:
    for _ in range(3):
        gate = Gate()
        runner = JobRunner(gate.run, keep, journal=journal)
        runner.start()
        if not runner.active("A"):
            runner.submit(ask("a", steps=50), owner="A")
            runner.submit(ask("b"), owner="A")
        while not gate.order:
            pass
        gate.let(2)
        runner.close()
        assert [it.attempts for it in journal.pending()] == [0, 0]
    gate = Gate(is_open=True)
    with JobRunner(gate.run, keep, journal=journal) as runner:
        for job in runner.active("A"):
            assert isinstance(job.result(timeout_seconds=20), Finished)


def test_what_its_owner_stopped_stays_stopped(journal: Journal) -> None:
    gate = Gate()
    runner = JobRunner(gate.run, keep, journal=journal)
    runner.start()
    running, waiting = (runner.submit(ask(name, steps=50), owner="A") for name in ("running", "waiting"))
    while not gate.order:
        pass
    running.cancel()
    waiting.cancel()
    gate.let(1)
    runner.close()
    assert journal.pending() == []


def test_jobs_whose_owner_cannot_come_back_and_requests_of_another_version_are_dropped(journal: Journal) -> None:
    journal.queued("0" * 16, "guest-1", request=ask().model_dump_json(), created=1)
    journal.queued("1" * 16, "A", request='{"kind": "from the future"}', created=1)
    gate = Gate(is_open=True)
    with JobRunner(gate.run, keep, journal=journal, returns=lambda owner: owner == "A") as runner:
        assert isinstance(runner.submit(ask("good"), owner="A").result(timeout_seconds=20), Finished)
    assert gate.order == ["good"]
    assert journal.pending() == []


def test_a_batch_that_was_half_saved_when_the_studio_died_is_completed_not_doubled(
    journal: Journal, tmp_path: Path
) -> None:
    request = TextToImage(prompt="a", seed=5, batch=3)
    pictures = tuple(Image.new("RGB", (64, 64), (40 * i, 0, 0)) for i in range(3))

    def run(request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
        yield Finished(pictures, (5, 6, 7), 0.0)

    with Gallery(tmp_path / "gallery", reserve_bytes=0) as gallery:
        journal.queued("a" * 16, "A", request=request.model_dump_json(), created=1)
        journal.began("a" * 16)
        saved = gallery.save(pictures[0], request=request, seed=5, facts={}, job_id="a" * 16, owner="A")
        with JobRunner(run, recorder(gallery), journal=journal) as runner:
            ending = runner.find("a" * 16, owner="A").result(timeout_seconds=20)
        assert isinstance(ending, Finished)
        assert ending.records[0] == saved.id
        assert sorted(entry.seed or 0 for entry in gallery.page().entries) == [5, 6, 7]


def test_a_full_disk_is_said_before_the_job_is_taken(tmp_path: Path) -> None:
    class Full(Journal):
        def queued(self, job_id: str, owner: str, *, request: str, created: float) -> None:
            raise NotRemembered("The disk is full.", "Delete some.")

    gate = Gate(is_open=True)
    with JobRunner(gate.run, keep, journal=Full(Database(tmp_path / "x.sqlite"))) as runner:
        with pytest.raises(NotRemembered, match="The disk is full"):
            runner.submit(ask(), owner="A")
        assert runner.waiting == 0


def as_result(picture: Image.Image) -> list[Event]:
    return [Finished((picture,), (1,), 0.0)]


def as_film(picture: Image.Image) -> list[Event]:
    film = Film(picture, 64, np.zeros((64, 64), np.uint8), (1.0,), 1)
    return [Finished((Image.new("RGB", (8, 8)),), (1,), 0.0, extras={"films": (film,)})]


def as_preview(picture: Image.Image) -> list[Event]:
    return [Step(1, 1, picture), Finished((Image.new("RGB", (8, 8)),), (1,), 0.0)]


@pytest.mark.parametrize("held", [as_result, as_film, as_preview])
def test_the_pictures_of_ended_jobs_do_not_pile_up_in_memory(held: Callable[[Image.Image], list[Event]]) -> None:
    """R11: 64 million pixels, whatever they belong to, are kept of the jobs that ended."""

    def run(request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
        yield from held(Image.new("RGB", (4096, 4096)))

    with JobRunner(run, keep) as runner:
        for _ in range(8):
            runner.submit(ask(), owner="A").result(timeout_seconds=20)
        runner.submit(ask(), owner="A")
        assert len(runner.ended("A")) <= 5


# -- several sessions' jobs at once ---------------------------------------------------------------------------------


def by_size(request: Request) -> int | None:
    assert isinstance(request, TextToImage)
    return request.width if request.width > 64 else None


def wait_for(gate: Gate, *begun: str) -> None:
    while sorted(gate.order) != sorted(begun):
        time.sleep(0.005)


def test_jobs_of_one_form_run_at_once_one_of_each_session() -> None:
    gate = Gate()
    with JobRunner(gate.run, keep, at_once=3, form=by_size) as runner:
        jobs = [runner.submit(ask(name, steps=150), owner=name[0]) for name in ("A1", "A2", "B1", "C1", "D1")]
        wait_for(gate, "A1", "B1", "C1")
        jobs[2].cancel()
        for _ in range(140):  # whoever is quickest takes a step; each has more
            gate.let(1)
            if isinstance(jobs[2].latest, Cancelled):
                break
            time.sleep(0.01)
        assert isinstance(jobs[2].result(timeout_seconds=20), Cancelled)
        wait_for(gate, "A1", "B1", "C1", "D1")  # A has a picture in the making
        gate.let(5000)
        assert all(isinstance(job.result(timeout_seconds=20), Finished) for job in jobs if job is not jobs[2])


def test_a_job_of_another_form_waits_for_those_that_run_and_is_not_overtaken() -> None:
    gate = Gate()
    with JobRunner(gate.run, keep, at_once=4, form=by_size) as runner:
        first = runner.submit(ask("A"), owner="A")
        wait_for(gate, "A")
        other = runner.submit(ask("B").model_copy(update={"width": 512}), owner="B")
        alone = runner.submit(ask("C").model_copy(update={"width": 64}), owner="C")
        same = runner.submit(ask("D"), owner="D")
        assert [job.latest for job in (other, alone, same)] == [Queued(1), Queued(2), Queued(3)]
        assert gate.order == ["A"]
        gate.let(3)
        assert isinstance(first.result(timeout_seconds=20), Finished)
        gate.let(1000)
        assert all(isinstance(job.result(timeout_seconds=20), Finished) for job in (other, alone, same))
    assert gate.order == ["A", "B", "C", "D"]


def test_what_a_withdrawn_job_held_up_begins() -> None:
    gate = Gate()
    with JobRunner(gate.run, keep, at_once=2, form=by_size) as runner:
        runner.submit(ask("A"), owner="A")
        wait_for(gate, "A")
        other = runner.submit(ask("B").model_copy(update={"width": 512}), owner="B")
        runner.submit(ask("C"), owner="C")
        other.cancel()
        wait_for(gate, "A", "C")
        gate.let(1000)


def test_closing_ends_all_that_runs_at_once() -> None:
    gate = Gate()
    runner = JobRunner(gate.run, keep, at_once=2, form=by_size)
    runner.start()
    jobs = [runner.submit(ask(name, steps=50), owner=name) for name in ("A", "B", "C")]
    wait_for(gate, "A", "B")
    closing = threading.Thread(target=runner.close)
    closing.start()
    gate.let(2)
    closing.join(20)
    assert not closing.is_alive()
    assert all(isinstance(job.ending, Cancelled) for job in jobs)
