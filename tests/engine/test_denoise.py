"""The loop beyond the stock pipelines: stopping, going on from a step, soft masks, guidance intervals, NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from studio.engine.denoise import Blend, Conditioning, LoopOptions, LoopStep, Plan, Start, denoise
from studio.engine.engine import Engine
from studio.engine.guidance import interval_of
from studio.engine.noise import seeds_of
from studio.engine.prompts import Embedding
from studio.engine.replay import Replay
from studio.engine.trajectories import Trajectory
from studio.errors import InvalidRequest, InvalidResult
from studio.requests import TextToImage
from tests.engine.run import loaded, never

SCHEDULERS = ("dpmpp_2m", "dpmpp_sde", "ddim", "euler", "euler_a", "unipc", "lcm")


class Counted:
    """A model that counts its predictions and notes how many rows each had."""

    def __init__(self, model: Any, damage: Callable[[int, torch.Tensor], torch.Tensor] | None = None) -> None:
        self._model, self._damage = model, damage
        self.rows: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def predict(self, latents: torch.Tensor, timestep: torch.Tensor, embedding: Embedding) -> torch.Tensor:
        self.rows.append(len(latents))
        output = self._model.predict(latents, timestep, embedding)
        return self._damage(len(self.rows), output) if self._damage else output


@pytest.fixture(scope="module")
def model(engine: Engine) -> Any:
    return loaded(engine, "sd1").model


def plan(model: Any, *, scheduler: str = "dpmpp_2m", steps: int = 6, batch: int = 1, guidance: float = 5) -> Plan:
    with torch.inference_mode():
        conditioning: Conditioning = model.condition("a cat", "", guidance_scale=guidance, width=64, height=64)
    return Plan(conditioning, model.latent_shape(64, 64), scheduler, steps, seeds_of(11, batch))


def steps_of(model: Any, plan: Plan, options: LoopOptions | None = None) -> list[LoopStep]:
    return list(denoise(model, plan, options, should_stop=never))


@pytest.mark.parametrize("stop_before", range(5))
def test_a_stopped_run_makes_no_further_prediction(model: Any, stop_before: int) -> None:
    counted = Counted(model)
    done = list(denoise(counted, plan(model, steps=4), should_stop=lambda: len(counted.rows) >= stop_before))
    assert len(done) == len(counted.rows) == min(stop_before, 4)


@pytest.mark.parametrize(
    ("scheduler", "options"),
    [
        *((scheduler, "plain") for scheduler in SCHEDULERS),
        ("dpmpp_sde", "start"),
        ("euler_a", "blend"),
        ("unipc", "blend"),
    ],
)
def test_a_run_goes_on_from_any_step_bit_for_bit(model: Any, scheduler: str, options: str) -> None:
    known = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    extra: dict[str, Any] = {
        "plain": {},
        "start": {"start": Start(known, 0.8)},
        "blend": {"blend": Blend(known, torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(4)), soft=True)},
    }[options]
    whole = steps_of(model, plan(model, scheduler=scheduler, batch=2), LoopOptions(**extra))
    outputs = tuple(step.output.numpy() for step in whole)
    for k in (2, len(whole) - 1):
        counted = Counted(model)
        replay = Replay(Trajectory(outputs[:k]))
        steps = steps_of(counted, plan(model, scheduler=scheduler, batch=2), LoopOptions(replay=replay, **extra))
        rest = [step for step in steps if not step.is_replayed]
        assert [step.index for step in rest] == list(range(k + 1, len(whole) + 1))
        np.testing.assert_array_equal(steps[0].clean.numpy(), whole[0].clean.numpy())
        assert len(counted.rows) == 2 * len(rest)
        np.testing.assert_array_equal(rest[-1].latents.numpy(), whole[-1].latents.numpy())


def test_a_fork_with_another_prompt_keeps_the_first_steps_and_changes_the_rest(model: Any) -> None:
    first = steps_of(model, plan(model))
    other = Plan(
        model.condition("a dog", "", guidance_scale=5, width=64, height=64), (4, 8, 8), "dpmpp_2m", 6, seeds_of(11, 1)
    )
    replay = Replay(Trajectory(tuple(step.output.numpy() for step in first[:3])))
    forked = steps_of(model, other, LoopOptions(replay=replay))
    assert [step.is_replayed for step in forked[:4]] == [True, True, True, False]
    torch.testing.assert_close(forked[2].latents, first[2].latents, rtol=0, atol=0)
    assert not torch.equal(forked[-1].latents, first[-1].latents)


@pytest.mark.parametrize("soft", [False, True])
def test_what_the_mask_leaves_out_ends_as_the_given_latents(model: Any, soft: bool) -> None:
    known = torch.randn(1, 4, 8, 8)
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 4:] = 1
    last = steps_of(model, plan(model), LoopOptions(blend=Blend(known, mask, soft=soft)))[-1].latents
    assert torch.equal(last[..., :4], known[..., :4])
    assert not torch.isclose(last[..., 4:], known[..., 4:]).all()


def test_a_softer_mask_stays_closer_to_the_given_latents(model: Any) -> None:
    known = torch.zeros(1, 4, 8, 8)
    off = [
        float(
            steps_of(model, plan(model, steps=10), LoopOptions(blend=Blend(known, torch.full((1, 1, 8, 8), m), True)))[
                -1
            ]
            .latents.abs()
            .mean()
        )
        for m in (0.1, 0.5, 1.0)
    ]
    assert off[0] < off[1] < off[2]


def test_a_full_soft_mask_is_no_mask(model: Any) -> None:
    blend = Blend(torch.randn(1, 4, 8, 8), torch.ones(1, 1, 8, 8), soft=True)
    masked, plain = steps_of(model, plan(model), LoopOptions(blend=blend)), steps_of(model, plan(model))
    assert torch.equal(masked[-1].latents, plain[-1].latents)


def test_less_strength_means_fewer_steps_and_less_change(model: Any) -> None:
    known = torch.randn(1, 4, 8, 8)
    runs = {s: steps_of(model, plan(model, steps=10), LoopOptions(start=Start(known, s))) for s in (0.01, 0.3, 0.9)}
    assert {strength: len(run) for strength, run in runs.items()} == {0.01: 1, 0.3: 3, 0.9: 9}
    off = [float((run[-1].latents - known).pow(2).mean()) for run in runs.values()]
    assert off[0] < off[1] < off[2]


def test_guidance_outside_its_interval_costs_no_second_prediction(model: Any) -> None:
    counted = Counted(model)
    steps_of(counted, plan(model, steps=10), LoopOptions(guidance=(0.2, 0.6)))
    assert counted.rows == [1, 1, 2, 2, 2, 2, 1, 1, 1, 1]


def test_guidance_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"Guidance from 0\.6 until 0.2 is no part of the run"):
        interval_of(TextToImage(prompt="a cat", guidance_start=0.6, guidance_end=0.2))


def test_guidance_of_one_is_no_guidance(model: Any) -> None:
    counted = Counted(model)
    steps_of(counted, plan(model, guidance=1.0))
    assert set(counted.rows) == {1}


def test_a_batch_is_predicted_one_picture_at_a_time_unless_asked(model: Any) -> None:
    apart, together = Counted(model), Counted(model)
    steps_of(apart, plan(model, steps=2, batch=3))
    steps_of(together, plan(model, steps=2, batch=3), LoopOptions(together=True))
    assert (apart.rows, together.rows) == ([2] * 6, [6] * 2)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("call", [1, 3, 6])
def test_a_value_that_is_no_number_ends_the_run_with_the_step_it_came_in(model: Any, call: int, value: float) -> None:
    damaged = Counted(
        model, lambda n, output: output.clone().index_fill_(0, torch.tensor([0]), value) if n == call else output
    )
    with pytest.raises(InvalidResult, match=f"step {call} of 6"):
        steps_of(damaged, plan(model))


def test_the_predicted_clean_latents_end_as_the_latents(model: Any) -> None:
    for scheduler in ("dpmpp_2m", "euler", "lcm", "unipc"):
        last = steps_of(model, plan(model, scheduler=scheduler))[-1]
        torch.testing.assert_close(last.clean, last.latents, rtol=1e-3, atol=1e-3)


def test_the_inference_mode_does_not_leak_between_steps(model: Any) -> None:
    run = denoise(model, plan(model), should_stop=never)
    next(run)
    assert not torch.is_inference_mode_enabled()
    run.close()
    assert not torch.is_inference_mode_enabled()
