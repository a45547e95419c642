"""The schedulers an artist may choose: diffusers' own, by name, each offered only where it fits the model.

Importing this module loads no torch; `make` does. A scheduler starts from the configuration stored with the
model (beta schedule, prediction type, timestep spacing, zero terminal SNR) and changes only what its name says.

Source: DDIM (Song 2020), Euler and Euler a (Karras 2022), DPM-Solver++ (Lu 2022), UniPC (Zhao 2023),
LCM (Luo 2023); zero terminal SNR: "Common Diffusion Noise Schedules ..." (Lin 2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from studio.errors import InvalidRequest, UnknownName

if TYPE_CHECKING:
    from diffusers import SchedulerMixin


@dataclass(frozen=True, slots=True)
class SchedulerChoice:
    """One choice: `id` goes into recipes, `label` onto the page.

    `draws_noise` says that each step draws fresh noise, so more steps do not converge to one picture.
    """

    id: str
    label: str
    class_name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    draws_noise: bool = False
    max_steps: int = 150


@dataclass(frozen=True, slots=True)
class NoiseSchedule:
    """What of a model decides which schedulers fit it.

    Attributes:
        prediction_type: "epsilon", "v_prediction" or "sample"; "tokens" for a prior over codes;
            "own" for a stock pipeline, which keeps its scheduler.
        zero_snr: The last timestep is pure noise (betas rescaled to zero terminal SNR).
        is_distilled: The model was distilled for few steps (LCM).
        may_be_merged: People merge few-step distillations into such checkpoints without a trace in the file.
    """

    prediction_type: str = "epsilon"
    zero_snr: bool = False
    is_distilled: bool = False
    may_be_merged: bool = False


SCHEDULERS: tuple[SchedulerChoice, ...] = (
    SchedulerChoice(
        "dpmpp_2m",
        "DPM++ 2M",
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "solver_order": 2, "use_karras_sigmas": False},
    ),
    SchedulerChoice(
        "dpmpp_2m_karras",
        "DPM++ 2M Karras",
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "solver_order": 2, "use_karras_sigmas": True},
    ),
    SchedulerChoice(
        "dpmpp_sde",
        "DPM++ 2M SDE",
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "sde-dpmsolver++", "solver_order": 2, "use_karras_sigmas": False},
        draws_noise=True,
    ),
    SchedulerChoice("ddim", "DDIM", "DDIMScheduler"),
    SchedulerChoice("euler", "Euler", "EulerDiscreteScheduler", {"use_karras_sigmas": False}),
    SchedulerChoice("euler_a", "Euler a", "EulerAncestralDiscreteScheduler", draws_noise=True),
    SchedulerChoice("unipc", "UniPC", "UniPCMultistepScheduler", {"use_karras_sigmas": False}),
    SchedulerChoice("lcm", "LCM", "LCMScheduler", draws_noise=True, max_steps=50),
)

TOKEN_SCHEDULERS: tuple[SchedulerChoice, ...] = (
    SchedulerChoice("maskgit", "MaskGIT", "", draws_noise=True, max_steps=100),
    SchedulerChoice("maskgit_linear", "MaskGIT, even steps", "", draws_noise=True, max_steps=100),
)  # for priors over tokens: `studio.engine.maskgit` makes these

OWN = SchedulerChoice("own", "The model's own", "", max_steps=150)  # of stock pipelines

_BY_ID = {choice.id: choice for choice in (*SCHEDULERS, *TOKEN_SCHEDULERS, OWN)}


def fitting(schedule: NoiseSchedule) -> tuple[SchedulerChoice, ...]:
    """Return the choices that fit a model, best first.

    Epsilon cannot be divided out where the signal is exactly zero, so zero SNR needs v-prediction or sample
    prediction; Karras' spacing between sigma 0.03 and 4096 spends nearly all steps on pure noise; LCM's long
    jumps need a model distilled for them.
    """
    if schedule.prediction_type == "tokens":
        return TOKEN_SCHEDULERS
    if schedule.prediction_type == "own":
        return (OWN,)
    if schedule.zero_snr and schedule.prediction_type == "epsilon":
        return ()
    kept = []
    for choice in SCHEDULERS:
        if choice.options.get("use_karras_sigmas") and schedule.zero_snr:
            continue
        if choice.id == "lcm" and not (schedule.is_distilled or schedule.may_be_merged):
            continue
        kept.append(choice)
    if schedule.is_distilled:
        kept.sort(key=lambda choice: choice.id != "lcm")
    return tuple(kept)


def choose(name: str, schedule: NoiseSchedule, *, steps: int) -> SchedulerChoice:
    """Return the choice called `name` if it fits.

    Raises:
        UnknownName: It does not exist, or does not fit this model; the fitting ones are suggested.
        InvalidRequest: It cannot take so many steps.
    """
    names = {choice.id: choice for choice in fitting(schedule)}
    if name not in names:
        if name in _BY_ID:
            kind = schedule.prediction_type + (", zero terminal SNR" if schedule.zero_snr else "")
            raise InvalidRequest(
                f'The scheduler "{name}" does not fit this model ({kind}).',
                f"Use {', '.join(names)}.",
                field="scheduler",
            )
        raise UnknownName("scheduler", name, names, field="scheduler")
    if steps > names[name].max_steps:
        raise InvalidRequest(
            f"{names[name].label} takes at most {names[name].max_steps} steps, not {steps}.",
            "Use fewer steps, or another scheduler.",
            field="steps",
        )
    return names[name]


def make(choice: SchedulerChoice, config: Mapping[str, Any]) -> SchedulerMixin:
    """Return a fresh diffusers scheduler for `choice` from the configuration stored with the model."""
    import diffusers

    return getattr(diffusers, choice.class_name).from_config(dict(config), **choice.options)
