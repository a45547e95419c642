"""Several runs predicted in one call: each is what it is alone, whoever joins, leaves or fails beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch

from studio.engine.engine import Engine
from studio.engine.prompts import Embedding
from studio.errors import InvalidResult, StudioError
from studio.events import Cancelled, Event, Finished, Step
from studio.requests import TextToImage
from tests.engine.run import arrays, events_of, finished, loaded, never, settings_for, small

LEVELS = 1  # of 255: what another order of summation may change in a picture


@pytest.fixture(scope="module")
def joining(engine: Engine, model_folder: Any) -> Engine:
    """An engine that joins runs, over the models that the other one has loaded."""
    settings = settings_for(engine.settings.data_dir, model_folder, joined_jobs=8)
    return Engine(settings, store=engine.store)


@pytest.fixture
def calls(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of every call of the model "sd1" from now on."""
    model, rows = loaded(engine, "sd1").model, list[int]()
    predict = model.predict

    def counted(latents: torch.Tensor, timestep: torch.Tensor, embedding: Embedding) -> torch.Tensor:
        rows.append(len(latents))
        return predict(latents, timestep, embedding)

    monkeypatch.setattr(model, "predict", counted)
    return rows


def in_turns(engine: Engine, requests: Mapping[str, TextToImage], **stops: Callable[[], bool]) -> dict[str, list[Any]]:
    """Run `requests` a step each in turn, as the engine's process does; return what each says, an error last."""
    said: dict[str, list[Any]] = {name: [] for name in requests}
    runs = {name: engine.run(request, stops.get(name, never)) for name, request in requests.items()}
    while runs:
        for name, run in list(runs.items()):
            if not _took_a_step(run, said[name]):
                del runs[name]
    return said


def _took_a_step(run: Iterator[Event], said: list[Any]) -> bool:
    try:
        for event in run:
            said.append(event)
            if isinstance(event, Step):
                return True
    except StudioError as error:
        said.append(error)
    return False


def assert_close(joined: Any, alone: Finished) -> None:
    assert isinstance(joined, Finished), joined
    apart = np.abs(arrays(joined.images).astype(int) - arrays(alone.images))
    assert apart.max() <= LEVELS


@pytest.mark.parametrize("model", ["ldm", "sd1", "sd2", "sdxl", "lcm"])
def test_joined_runs_give_the_pictures_they_give_alone(engine: Engine, joining: Engine, model: str) -> None:
    """Prompts, steps, guidance, seeds and schedulers are each run's own; also a random sampler's noise."""
    schedulers = ("lcm", "lcm", "lcm") if model == "lcm" else ("ddim", "euler_a", "dpmpp_2m")
    requests = {
        name: small(
            model=model, prompt=name, seed=place, steps=3 + place, scheduler=schedulers[place], guidance_scale=g
        )
        for place, (name, g) in enumerate((("a cat", 4), ("two dogs", 7), ("a tree", 1)))
    }
    said = in_turns(joining, requests)
    for name, request in requests.items():
        assert_close(said[name][-1], finished(engine, request))
        assert [event.index for event in said[name] if isinstance(event, Step)][-1] == request.steps
        assert said[name][-1].facts["joined_steps"] >= request.steps - 2


def test_a_run_that_is_alone_is_the_same_to_the_bit_and_does_not_call_itself_joined(
    engine: Engine, joining: Engine
) -> None:
    for request in (small(model="sd1"), small(model="sd1", batch=2, prompt="{a cat|a dog}")):
        joined, alone = finished(joining, request), finished(engine, request)
        np.testing.assert_array_equal(arrays(joined.images), arrays(alone.images))
        assert "joined_steps" not in joined.facts


def test_eight_users_are_predicted_in_one_call_each_step(joining: Engine, calls: list[int]) -> None:
    requests = {f"user {n}": small(model="sd1", seed=n, steps=4, scheduler="euler") for n in range(8)}
    in_turns(joining, requests)
    assert sum(calls) == 8 * 4 * 2  # no row is predicted twice, with its unconditional twin
    assert calls.count(8 * 2) >= 2  # all at once, but for the first and last steps


def test_a_run_joins_in_the_middle_of_another_and_its_first_step_waits_for_nobody(
    engine: Engine, joining: Engine, calls: list[int]
) -> None:
    early, late = small(model="sd1", steps=6), small(model="sd1", steps=3, seed=8, prompt="a dog")
    first, second, said, others = joining.run(early, never), joining.run(late, never), list[Any](), list[Any]()
    for _ in range(2):
        _took_a_step(first, said)
    assert calls == [2, 2]
    _took_a_step(second, others)
    assert others[-1].index == 1 and others[-1].preview is not None
    assert calls == [2, 2, 4]  # its first step came with the other's third
    while _took_a_step(first, said) | _took_a_step(second, others):
        pass
    assert_close(said[-1], finished(engine, early))
    assert_close(others[-1], finished(engine, late))


def test_a_cancelled_run_leaves_and_the_others_go_on_without_it(
    engine: Engine, joining: Engine, calls: list[int]
) -> None:
    requests = {"goes": small(model="sd1", steps=6), "stays": small(model="sd1", steps=6, seed=8)}
    said = in_turns(joining, requests, goes=lambda: len(calls) >= 3)
    assert isinstance(said["goes"][-1], Cancelled)
    assert calls[-1] == 2  # predicted alone again
    stopped_at = said["goes"][-1].at_step
    assert sum(calls) <= 2 * (6 + stopped_at + 1)  # at most one step of the one that left was in vain
    assert_close(said["stays"][-1], finished(engine, requests["stays"]))


def test_an_error_of_one_run_is_its_own(
    engine: Engine, joining: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that fails for all is taken apart: the run whose rows it was gets the error."""
    requests = {"bad": small(model="sd1", prompt="a curse"), "good": small(model="sd1", prompt="a blessing", seed=8)}
    alone = finished(engine, requests["good"])
    model = loaded(engine, "sd1").model
    curse, predict = model.prompts("a curse").text, model.predict

    def failing(latents: torch.Tensor, timestep: torch.Tensor, embedding: Embedding) -> torch.Tensor:
        if any(torch.equal(row, curse[0]) for row in embedding.text):
            raise RuntimeError("a kernel failed")
        return predict(latents, timestep, embedding)

    monkeypatch.setattr(model, "predict", failing)
    good, said = joining.run(requests["good"], never), list[Any]()
    _took_a_step(good, said)
    with pytest.raises(RuntimeError, match="a kernel failed"):
        events_of(joining, requests["bad"])
    assert "this step is predicted for each alone" in caplog.text
    while _took_a_step(good, said):
        pass
    assert_close(said[-1], alone)


def test_values_that_are_no_numbers_stay_in_the_run_they_came_up_in(
    engine: Engine, joining: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = {"bad": small(model="sd1", prompt="a curse"), "good": small(model="sd1", prompt="a blessing", seed=8)}
    alone = finished(engine, requests["good"])
    model = loaded(engine, "sd1").model
    curse, predict = model.prompts("a curse").text, model.predict

    def damaged(latents: torch.Tensor, timestep: torch.Tensor, embedding: Embedding) -> torch.Tensor:
        output = predict(latents, timestep, embedding)
        cursed = torch.tensor([torch.equal(row, curse[0]) for row in embedding.text])
        return torch.where(cursed[:, None, None, None], torch.nan, output)

    monkeypatch.setattr(model, "predict", damaged)
    said = in_turns(joining, requests)
    assert isinstance(said["bad"][-1], InvalidResult)
    assert_close(said["good"][-1], alone)


def test_when_memory_runs_out_fewer_rows_are_predicted_at_once(
    engine: Engine, joining: Engine, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded(engine, "sd1").model
    counted = model.predict

    def short(latents: torch.Tensor, timestep: torch.Tensor, embedding: Embedding) -> torch.Tensor:
        if len(latents) > 4:
            raise torch.OutOfMemoryError("out of memory")
        return counted(latents, timestep, embedding)

    monkeypatch.setattr(model, "predict", short)
    fresh = Engine(joining.settings, store=engine.store)
    requests = {f"user {n}": small(model="sd1", seed=n, steps=4) for n in range(4)}
    said = in_turns(fresh, requests)
    for name, request in requests.items():
        assert_close(said[name][-1], finished(engine, request))
    assert max(calls) == 4


def test_rows_that_would_not_fit_are_not_put_into_one_call(
    engine: Engine, joining: Engine, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from studio.engine import memory

    need = memory.estimate_bytes(loaded(engine, "sd1").model, 64, 64, 1)
    monkeypatch.setattr(type(engine.store.device), "free_bytes", lambda self: int(2.5 * need))
    in_turns(joining, {f"user {n}": small(model="sd1", seed=n, steps=4) for n in range(4)})
    assert max(calls) == 4


def test_prompts_of_different_length_and_guidance_left_out_join_where_they_can(engine: Engine, joining: Engine) -> None:
    requests = {
        "short": small(model="sd1", prompt="a cat"),
        "long": small(model="sd1", prompt="a very long tale of " + "many words " * 60, seed=8),
        "interval": small(model="sd1", prompt="a dog", seed=9, guidance_start=0.3, guidance_end=0.7),
        "several": small(model="sd1", prompt="a cat AND a dog", seed=10),
        "batch": small(model="sd1", prompt="a cat", seed=11, batch=2),
    }
    said = in_turns(joining, requests)
    for name, request in requests.items():
        assert_close(said[name][-1], finished(engine, request))
