from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest
from PIL import Image

from studio.errors import InvalidRequest, QueueFull
from studio.events import Cancelled, Event, Finished, Step
from studio.jobs import Job, JobRunner
from studio.requests import Fork, Request, TextToImage
from studio.sharing.budget import Budget, GuestRunner
from studio.sharing.safety import WithoutPreviews


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


def test_behind_a_filter_no_preview_is_seen() -> None:
    def painting(request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
        yield Step(1, 2, preview=Image.new("RGB", (8, 8)))
        yield Finished((), (), 0.0)

    with JobRunner(painting, lambda job, finished: finished) as runner:
        guests = GuestRunner(runner, Budget(), shown=lambda job: cast("Job", WithoutPreviews(job)))
        job = guests.submit(TextToImage(prompt="a"), owner="guest")
        steps = [event for event in job.events(timeout_seconds=20) if isinstance(event, Step)]
        assert steps and all(step.preview is None for step in steps)

        async def streamed() -> list[Event]:
            return [event async for event in job.stream() if isinstance(event, Step)]

        with ThreadPoolExecutor(1) as own:  # a loop of its own, whatever runs on this thread
            seen = own.submit(lambda: asyncio.run(streamed())).result()
        assert all(event.preview is None for event in seen)  # type: ignore[union-attr]


def test_kinds_that_reach_into_other_jobs_are_not_for_guests() -> None:
    with pytest.raises(InvalidRequest, match="Guests cannot do this"):
        Budget().check(Fork(prompt="a", parent={"kind": "text_to_image", "prompt": "a"}, step=1))


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
