"""From events to a stage's value, and the watchers that follow jobs without running them."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace

import numpy as np
import pytest
from fake_engine import FakeEngine
from loops import in_a_loop
from PIL import Image

from studio.events import Cancelled, Decoding, Failed, Finished, Loading, Queued, Step
from studio.jobs import Job, JobRunner
from studio.requests import Inpaint, Stylize, TextToImage
from studio.ui.stream import PREVIEW_BYTES, StageValue, Watchers, data_url, original, stage_value


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(step_seconds=0.001)


@pytest.fixture
def runner(engine: FakeEngine) -> Iterator[JobRunner]:
    with JobRunner(engine.run, lambda job, finished: replace(finished, records=("id",))) as running:
        yield running


def request(prompt: str = "a red apple") -> TextToImage:
    return TextToImage(prompt=prompt, steps=4, width=64, height=64, seed=1)


async def collect(watchers: Watchers, page: str, jobs: list[Job]) -> list[StageValue]:
    return [value async for value in watchers.follow(page, jobs)]


async def until_step(stream: AsyncGenerator[StageValue], index: int) -> StageValue:
    """Follow `stream` to where step `index` is done."""
    while (value := await anext(stream)).get("index") != index:
        pass
    return value


def test_a_preview_is_a_jpeg_of_at_most_ten_kilobytes() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 256, 3), np.uint8)
    for picture in (Image.fromarray(noise[:32, :32]), Image.fromarray(noise[:64, :64])):
        url = data_url(picture)
        assert len(url) <= 10_240
        data = base64.b64decode(url.split(",", 1)[1])
        assert len(data) <= PREVIEW_BYTES
        assert Image.open(io.BytesIO(data)).size == picture.size


def test_the_time_left_comes_from_the_steps_done() -> None:
    value = stage_value(Step(5, 20, None, seconds=10.0))
    assert (value["left"], value["index"], value["total"], value["preview"]) == (30, 5, 20, None)


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (Queued(2), "queued"),
        (Loading("a model"), "loading"),
        (Decoding(), "decoding"),
        (Failed("no", "do"), "failed"),
        (Cancelled(3), "cancelled"),
        (Finished((), (), 1.0), "finished"),
    ],
)
def test_every_event_has_a_state(event: object, state: str) -> None:
    assert stage_value(event)["state"] == state  # type: ignore[arg-type]


def test_a_job_that_ended_before_anybody_watched_is_shown_and_not_played_again(runner: JobRunner) -> None:
    job = runner.submit(request(), owner="me")
    job.result(timeout_seconds=60)
    values = in_a_loop(collect(Watchers(runner, "text_to_image"), "page", [job]))
    assert [value["state"] for value in values] == ["finished"]


def test_a_page_follows_its_jobs_one_after_the_other_with_one_watcher(runner: JobRunner, engine: FakeEngine) -> None:
    """A second voice could say something old after the first has said something new, and be believed."""
    watchers = Watchers(runner, "text_to_image")

    async def both() -> tuple[list[StageValue], list[StageValue], list[StageValue]]:
        engine.hold_at = 2
        jobs = [runner.submit(request(prompt), owner="me") for prompt in ("one", "two")]
        stream = watchers.follow("page", jobs[:1])
        before = [await until_step(stream, 1)]
        second = [*await collect(watchers, "page", jobs), *await collect(watchers, "page", jobs)]
        before.append(await anext(stream))
        assert await asyncio.to_thread(engine.is_held.wait, 60)
        jobs[0].cancel()
        watchers.look_again("page")
        before.append(await anext(stream))
        engine.resume.set()
        return before, second, [value async for value in stream]

    before, second, values = in_a_loop(both())
    assert second == []
    assert [(it["index"], it["more"], it["stopping"]) for it in before] == [(1, 0, False), (1, 1, False), (1, 1, True)]
    assert [value["state"] for value in values if value["state"] in ("cancelled", "finished")] == [
        "cancelled",
        "finished",
    ]
    assert values[-1]["more"] == 0
    assert not watchers._pages


def test_to_stop_watching_leaves_the_job_running_and_no_trace_of_the_page(
    runner: JobRunner, engine: FakeEngine
) -> None:
    watchers = Watchers(runner, "text_to_image")

    async def leave_early(job: Job) -> None:
        stream = watchers.follow("page", [job])
        await anext(stream)
        await stream.aclose()

    engine.hold_at = 2
    job = runner.submit(request(), owner="me")
    in_a_loop(leave_early(job))
    assert job.ending is None and not job.is_cancelled
    assert not watchers._pages and not job._wakers
    assert watchers.active("me") == [job] and watchers.active("you") == []
    engine.resume.set()
    assert isinstance(job.result(timeout_seconds=60), Finished)


def test_a_stage_shows_only_its_own_kind_of_job(runner: JobRunner, engine: FakeEngine) -> None:
    engine.hold_at = 1
    job = runner.submit(request(), owner="me")
    assert Watchers(runner, "inpaint").active("me") == []
    engine.resume.set()
    job.result(timeout_seconds=60)


def test_a_job_that_changes_a_picture_says_which_and_how_far_it_extends_it() -> None:
    ref = "a" * 64
    painted = Inpaint(source=ref, extend=(0, 0, 32, 0), prompt="a cat")
    assert original(painted) == {"url": f"studio/inputs/{ref}", "extend": [0, 0, 32, 0]}
    assert original(Stylize(content=ref)) == {"url": f"studio/inputs/{ref}", "extend": [0, 0, 0, 0]}
    assert original(TextToImage(prompt="a cat")) is None
