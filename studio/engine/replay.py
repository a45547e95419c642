"""Taking up an earlier run at some step: what is replayed, and what a fork changes there."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from studio.engine.trajectories import Trajectory
from studio.requests import Sampled


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep a run on another's way outside `mask` (1, 1, h, w), 1 is free; `latents[i]` is that way after step i."""

    latents: tuple[np.ndarray, ...]
    mask: torch.Tensor

    def __call__(self, latents: torch.Tensor, index: int) -> torch.Tensor:
        """Return `latents` (b, c, h, w) after step `index` with the held part put back."""
        other = torch.from_numpy(self.latents[index]).to(latents.device)
        return torch.where(self.mask > 0.5, latents, other)


@dataclass(frozen=True, slots=True)
class Replay:
    """The first steps of an earlier run, taken instead of running the model.

    Its outputs restore the state of the scheduler and of the generators, whatever they are; its latents, where
    given, are taken as they were, whatever had changed them (a mask, a new seed).

    Attributes:
        taken: The steps that are replayed.
        reseeds: Generators that ran anew: step -> seed, the own one of a fork included.
        renoise: At the end of the replay the predicted clean picture is taken and given noise of the seed that
            `reseeds` has for this step: the same picture so far, and another way on from here.
        hold: Keeps a part on the earlier run's way to the end.
    """

    taken: Trajectory
    reseeds: dict[int, int] = field(default_factory=dict)
    renoise: bool = False
    hold: Hold | None = None

    def __len__(self) -> int:
        return len(self.taken.outputs)

    def output(self, index: int, device: torch.device) -> torch.Tensor:
        """Return what the scheduler was given at step `index`."""
        return torch.from_numpy(self.taken.outputs[index]).to(device, torch.float32)

    def latents(self, index: int, computed: torch.Tensor) -> torch.Tensor:
        """Return the sampler's state after step `index` of the replay."""
        if not self.taken.latents:
            return computed
        return torch.from_numpy(self.taken.latents[index]).to(computed.device)


@dataclass(frozen=True, slots=True)
class TakeUp:
    """A run that goes on from a step of another.

    Attributes:
        replay: That other run, as far as it is taken.
        noise_of: The request whose noise the run begins with.
        known_as: The request under which the run's own steps are kept.
        ends_at: The step (from 1) whose predicted clean picture is the result; None: the run goes to its end.
    """

    replay: Replay
    noise_of: Sampled
    known_as: Sampled
    ends_at: int | None = None
