"""What a training task gives the run, and the small steps all tasks share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from PIL import Image
from torch import Tensor, nn

from studio.errors import StudioError
from studio.training.config import TaskConfig
from studio.training.stream import Batch


class Task(Protocol):
    """One kind of model being trained. ``run.train`` calls nothing but this."""

    @property
    def config(self) -> TaskConfig:
        """What the run was asked to do."""

    def step(self, batch: Batch, step: int) -> dict[str, Tensor | float]:
        """Take one optimiser step; return the figures of the log."""

    def state(self) -> dict[str, Any]:
        """Return everything an exact resume needs, as tensors and plain values."""

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` returned."""

    def grid(self) -> Image.Image:
        """Draw the sample grid with the averaged weights."""

    def export(self, folder: Path) -> None:
        """Write the averaged weights as a diffusers folder."""

    def health(self, figures: dict[str, float]) -> str | None:
        """Return what is wrong and what to change, or None. Called with the means of each log line."""


class TrainingCollapsed(StudioError):
    """The run produces nonsense and was stopped; the hint says what to change."""


class Trained:
    """Weights with their optimiser and their moving average."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], config: TaskConfig, accelerator: Accelerator, *, rate: float = 1.0
    ) -> None:
        self.parameters = [p for p in parameters if p.requires_grad]
        self.config, self.accelerator, self.rate = config, accelerator, rate
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=config.learning_rate * rate, betas=config.betas, weight_decay=config.weight_decay,
            fused=True,
        )  # fmt: skip
        self.average = EMAModel(self.parameters, decay=config.ema_decay, foreach=True)

    def update(self, step: int) -> Tensor:
        """Average the gradients over processes, clip, step, average the weights; return the gradient's length."""
        average_gradients(self.parameters, self.accelerator)
        length = nn.utils.clip_grad_norm_(self.parameters, self.config.clip_norm, foreach=True)
        if torch.isfinite(length):
            for group in self.optimiser.param_groups:
                group["lr"] = self.config.learning_rate * self.rate * rate_at(step, self.config)
            self.optimiser.step()
            self.average.step(self.parameters)
        self.optimiser.zero_grad(set_to_none=True)
        return length

    def state(self) -> dict[str, Any]:
        """Return the state of optimiser and average; the weights themselves belong to the module."""
        return {"optimiser": self.optimiser.state_dict(), "average": self.average.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` returned, on whatever device that lies."""
        self.optimiser.load_state_dict(state["optimiser"])
        self.average.load_state_dict(state["average"])
        self.average.to(self.accelerator.device)  # unlike the optimiser it would stay where the checkpoint was read

    def __enter__(self) -> None:
        """Put the averaged weights in place until the end of the block."""
        self.average.store(self.parameters)
        self.average.copy_to(self.parameters)

    def __exit__(self, *_: object) -> None:
        self.average.restore(self.parameters)


def rate_at(step: int, config: TaskConfig) -> float:
    """Return the share of the learning rate at ``step``: linear warm-up, then a cosine to ``final_rate``."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    begin = max(config.warmup_steps, round(config.constant_until * config.steps))
    if step < begin:
        return 1.0
    progress = min(1.0, (step - begin) / max(1, config.steps - begin))
    return config.final_rate + (1 - config.final_rate) * 0.5 * (1 + math.cos(math.pi * progress))


def average_gradients(parameters: list[nn.Parameter], accelerator: Accelerator) -> None:
    """Replace every gradient by its mean over all processes, in one exchange."""
    if accelerator.num_processes == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    grads = [p.grad for p in parameters if p.grad is not None]
    flat = accelerator.reduce(torch.cat([g.flatten() for g in grads]), reduction="mean")
    offset = 0
    for grad in grads:
        grad.copy_(flat[offset : offset + grad.numel()].view_as(grad))
        offset += grad.numel()


def own_share(
    draw: Callable[..., Tensor], shape: tuple[int, ...], accelerator: Accelerator, generator: torch.Generator
) -> Tensor:
    """Draw random numbers for the whole batch and return this process's rows of them.

    ``shape`` is that of this process's part. All processes together get what one process would get.
    """
    everything = draw((shape[0] * accelerator.num_processes, *shape[1:]), generator=generator)
    return everything[accelerator.process_index :: accelerator.num_processes]


def step_generator(config: TaskConfig, step: int, *, stream: int = 0) -> torch.Generator:
    """Return the randomness of one step: the same after a resume, whatever happened before."""
    seed = (config.seed * 1_000_003 + step) * 64 + stream
    return torch.Generator().manual_seed(seed % 2**63)
