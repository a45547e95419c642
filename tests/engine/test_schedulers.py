"""Schedulers are offered where they fit, and are diffusers' own."""

from __future__ import annotations

import pytest

from studio.engine.schedulers import SCHEDULERS, NoiseSchedule, choose, fitting, make
from studio.errors import InvalidRequest, UnknownName

PLAIN = NoiseSchedule("epsilon", may_be_merged=True)
ZERO_SNR = NoiseSchedule("v_prediction", zero_snr=True)


def ids(schedule: NoiseSchedule) -> list[str]:
    return [choice.id for choice in fitting(schedule)]


def test_the_promised_schedulers_are_there() -> None:
    assert {"ddim", "euler", "euler_a", "dpmpp_2m", "dpmpp_2m_karras", "dpmpp_sde", "unipc", "lcm"} <= set(ids(PLAIN))


def test_zero_snr_leaves_out_karras_and_undistilled_leaves_out_lcm() -> None:
    assert "dpmpp_2m_karras" not in ids(ZERO_SNR) and "lcm" not in ids(ZERO_SNR)
    assert ids(NoiseSchedule("epsilon", is_distilled=True))[0] == "lcm"
    assert ids(NoiseSchedule("epsilon", zero_snr=True)) == []


@pytest.mark.parametrize("choice", SCHEDULERS, ids=lambda choice: choice.id)
def test_each_keeps_the_models_noise_schedule(choice: object) -> None:
    config = {"prediction_type": "v_prediction", "beta_schedule": "scaled_linear", "timestep_spacing": "trailing"}
    made = make(choice, config)  # type: ignore[arg-type]
    assert made.config.prediction_type == "v_prediction"
    assert made.config.beta_schedule == "scaled_linear"
    assert made.config.timestep_spacing == "trailing"


def test_an_unknown_scheduler_suggests_near_ones_and_an_unfitting_one_says_why() -> None:
    with pytest.raises(UnknownName, match='Did you mean "euler'):
        choose("eulr", PLAIN, steps=10)
    with pytest.raises(InvalidRequest, match=r"does not fit this model \(v_prediction, zero terminal SNR\)"):
        choose("lcm", ZERO_SNR, steps=4)
    with pytest.raises(InvalidRequest, match="at most 50 steps, not 51"):
        choose("lcm", PLAIN, steps=51)
