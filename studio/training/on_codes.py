"""What the tasks on a frozen codebook share: the frozen parts, micro-batches, and captions left out for guidance."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from accelerate import Accelerator
from diffusers import VQModel
from torch import Tensor

from studio.training.config import DiffusionConfig, TokensConfig
from studio.training.latents import EncodedScenes, encode_codes
from studio.training.runlog import Means
from studio.training.stream import Batch
from studio.training.task import Trained, own_share, step_generator
from studio.training.text import TextEncoder


class OnCodes(ABC):
    """A task that learns codes from captions. ``side`` is the height and width of the grid of codes."""

    config: DiffusionConfig | TokensConfig
    weights: Trained

    def __init__(
        self,
        config: DiffusionConfig | TokensConfig,
        accelerator: Accelerator,
        vqvae: VQModel,
        text: TextEncoder,
        scenes: EncodedScenes | None,
    ) -> None:
        self.accelerator, self.device = accelerator, accelerator.device
        self.vqvae = vqvae.eval().requires_grad_(False).to(self.device, memory_format=torch.channels_last)
        self.text, self.scenes = text, scenes
        self.text.model.to(self.device)
        self.empty = self.text([""])  # (1, length, width)
        self.side = config.phases[-1].size // 2 ** (len(vqvae.config.block_out_channels) - 1)
        torch.manual_seed(config.seed)  # diffusers draws its initial weights from the global generator

    def step(self, batch: Batch, step: int) -> dict[str, Tensor | float]:
        """Take one step on encoded scenes, or on pictures, which are encoded first."""
        means, parts = Means(), batch.split(self.config.accumulate)
        for number, part in enumerate(parts):
            generator = step_generator(self.config, step, stream=16 + number)
            means.add(self._backward(part, generator, share=len(part.captions) / len(batch.captions)))
        return {**means.take(), "gradient": self.weights.update(step)}

    @abstractmethod
    def _backward(self, batch: Batch, generator: torch.Generator, *, share: float) -> dict[str, Tensor | float]:
        """Add the gradients of one micro-batch, weighted by ``share``; return its figures."""

    def _inputs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return codes (b, h, w) and text (b, length, width) of pictures, or of scenes encoded ahead."""
        if self.scenes is not None:
            return batch.pictures.to(self.device), self.scenes.context_of(batch.indices).to(self.device)
        return encode_codes(self.vqvae, batch.pictures.to(self.device)), self.text(batch.captions)

    def _without_some(self, text: Tensor, generator: torch.Generator) -> Tensor:
        """Return ``text`` with the share ``caption_drop`` of its rows replaced by the empty prompt."""
        dropped = own_share(torch.rand, (len(text),), self.accelerator, generator) < self.config.caption_drop
        return torch.where(dropped.to(self.device)[:, None, None], self.empty, text)
