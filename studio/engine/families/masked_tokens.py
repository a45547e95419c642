"""A masked-token prior: text to the codes of a VQ autoencoder, all of them in a dozen steps.

The prior (`transformer`, a `UVit2DModel`) lies in the folder of a latent diffusion model of ours and shares its text
encoder and autoencoder: one codebook, two ways to a picture. It is conditioned as it was trained
(`studio.training.tokens`): the states of the padded prompt, their mean, and constant micro-conditions.

Source: Chang et al. 2022, "MaskGIT"; Patil et al. 2024, "aMUSEd" (the model class and its conditioning).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UVit2DModel

from studio.engine.catalog import ModelCard
from studio.engine.device import Placement
from studio.engine.families.ldm import LatentDiffusion, load_first_stage
from studio.engine.families.parts import load_diffusers_part, place
from studio.engine.maskgit import HIDDEN, MaskGit
from studio.engine.prompts import Embedding
from studio.engine.schedulers import choose
from studio.errors import ModelError
from studio.events import Loading

MICRO_CONDITIONS = (256.0, 256.0, 0.0, 0.0, 6.0)  # size, crop, score: as aMUSEd's pipeline, constant in training


class MaskedTokens(LatentDiffusion):
    """A loaded prior: the loop's `Denoiser`, whose latents are maps of codes (see `studio.engine.maskgit`).

    `dtype` is float32 whatever the transformer's: code numbers above 256 are not exact in bfloat16.
    """

    def __init__(self, card: ModelCard, parts: dict[str, Any], placement: Placement) -> None:
        super().__init__(card, parts, placement)
        self.dtype = torch.float32
        self.codes = int(self.autoencoder.config.num_vq_embeddings)
        scale = float(self.autoencoder.config.scaling_factor)
        self.vectors = self.autoencoder.quantize.embedding.weight.float() * scale  # (codes, d), as latents
        self.first_stage = FirstStage(self)

    @property
    def transformer(self) -> Any:
        """The prior itself; the loop's other models have a U-Net in its place."""
        return self.unet

    def new_scheduler(self, name: str, *, steps: int) -> MaskGit:
        """Return a fresh MaskGit; raises UnknownName or InvalidRequest when there is none of this name."""
        return MaskGit(choose(name, self.card.schedule, steps=steps).id, self.vectors)

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """Return (1, h, w): one code per cell."""
        return 1, height // self.factor, width // self.factor

    def predict(self, latents: torch.Tensor, timestep: torch.Tensor, embedding: Embedding) -> torch.Tensor:
        """Return scores (n, codes, h, w) for maps (n, 1, h, w) of codes, of which some are hidden."""
        text = embedding.text.to(self.transformer.dtype)  # (n, tokens, width)
        micro = torch.tensor(MICRO_CONDITIONS, device=self.device).expand(len(latents), -1)
        return self.transformer(self._indices(latents), text, embedding.text.mean(1).to(text.dtype), micro)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Return pictures (n, 3, H, W) in [-1, 1] of maps (n, 1, h, w), or of clean latents (n, d, h, w)."""
        return super().decode(self.vectors_of(latents) if latents.shape[1] == 1 else latents)

    def encode(self, image_pm1: torch.Tensor) -> torch.Tensor:
        """Return maps (n, 1, h, w) of the nearest codes for pictures (n, 3, H, W) in [-1, 1]."""
        vectors = self.autoencoder.encode(image_pm1.to(self.device, self.autoencoder.dtype)).latents
        indices = self.autoencoder.quantize(vectors)[2][2]
        return indices.view(len(vectors), 1, *vectors.shape[2:]).float() + 1

    def vectors_of(self, latents: torch.Tensor) -> torch.Tensor:
        """Return the codes' vectors (n, d, h, w) in the scale of latent diffusion."""
        return self.vectors[(latents[:, 0].long() - 1).clamp(0, self.codes - 1)].permute(0, 3, 1, 2)

    def _indices(self, latents: torch.Tensor) -> torch.Tensor:
        """Return what the prior reads, (n, h, w): codes, and `codes` itself for a hidden cell."""
        cells = latents[:, 0].round().long().clamp(HIDDEN, self.codes)
        return torch.where(cells == HIDDEN, self.codes, cells - 1)


@dataclass(frozen=True, slots=True)
class FirstStage:
    """The autoencoder alone, between pictures and vectors: what previews are fitted to."""

    model: MaskedTokens

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self.model.card

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.model.device

    @property
    def factor(self) -> int:
        """Pixels per cell."""
        return self.model.factor

    def encode(self, image_pm1: torch.Tensor) -> torch.Tensor:
        """Return vectors (n, d, h, w) of the nearest codes."""
        return LatentDiffusion.encode(self.model, image_pm1)

    def decode(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return pictures (n, 3, H, W) in [-1, 1]."""
        return LatentDiffusion.decode(self.model, vectors)


def load(card: ModelCard, placement: Placement) -> Generator[Loading, None, MaskedTokens]:
    """Load the prior and what it shares from the folder of `card`; returns the model. Raises ModelError."""
    parts = yield from load_first_stage(card, placement)
    yield Loading(f"{card.name}: transformer", 0.5)
    folder = card.path / "transformer"
    prior = load_diffusers_part(UVit2DModel.from_config, UVit2DModel, folder, dtype=placement.torch_dtype)
    config, codes = prior.config, int(parts["vqvae"].config.num_vq_embeddings)
    width = int(parts["bert"].config.hidden_size)
    if (config.codebook_size, config.encoder_hidden_size) != (codes, width) or config.vocab_size <= codes:
        raise ModelError(
            f'The prior in "{card.path.name}" is for {config.codebook_size} codes and text '
            f"{config.encoder_hidden_size} "
            f"wide; the model has {codes} codes and text {width} wide.",
            "Train it on this model's codes: studio train tokens.",
        )
    parts["unet"] = place(prior, placement.torch_device)
    return MaskedTokens(card, parts, placement)
