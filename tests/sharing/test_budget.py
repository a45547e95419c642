from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from studio.errors import InvalidRequest, QueueFull
from studio.events import Cancelled, Event, Finished, Step
from studio.jobs import JobRunner
from studio.requests import Fork, Request, TextToImage
from studio.sharing.budget import Budget, GuestRunner


def endless(request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
    pause = threading.Event()
    for index in range(1, 10_000):
        if should_stop():
            yield Cancelled(index - 1)
            return
        pause.wait(0.005)
        yield Step(index, 10_000)
    yield Finished((), (), 0.0)


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        ({"width": 2048, "height": 1024}, "2048 x 1024 is more"),
        ({"steps": 51}, "50 steps, not 51"),
        ({"batch": 5}, "4 pictures at once, not 5"),
    ],
)
def test_requests_over_the_budget_name_the_value_and_the_bound(changes: dict[str, int], pattern: str) -> None:
    with pytest.raises(InvalidRequest, match=pattern):
        Budget().check(TextToImage(prompt="a", **changes))


def test_kinds_that_reach_into_other_jobs_are_not_for_guests() -> None:
    with pytest.raises(InvalidRequest, match="Guests cannot do this"):
        Budget().check(Fork(parent="x", step=1))


def test_a_guests_job_ends_when_its_time_is_up_and_pending_jobs_are_counted() -> None:
    with JobRunner(endless, lambda job, finished: finished) as runner:
        guests = GuestRunner(runner, Budget(pending=2, wall_seconds=0.1))
        first = guests.submit(TextToImage(prompt="a"), owner="guest")
        second = guests.submit(TextToImage(prompt="b"), owner="guest")
        with pytest.raises(QueueFull, match="You already have 2 jobs"):
            guests.submit(TextToImage(prompt="c"), owner="guest")
        assert isinstance(first.result(timeout_seconds=20), Cancelled)
        assert isinstance(second.result(timeout_seconds=20), Cancelled), (
            "the second one's time counts from its own start"
        )
