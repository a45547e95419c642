"""The task `tokens`: a masked-token prior over the codes of a frozen autoencoder, conditioned on text.

A bidirectional transformer (diffusers' ``UVit2DModel``) learns to fill in hidden codes; a picture is made in a dozen
steps that fill in the surest codes first. Source: Chang et al. 2022, MaskGIT (cosine masking, label smoothing,
confidence with decreasing noise); Patil et al. 2024, aMUSEd (the model class and its conditioning).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from diffusers import UVit2DModel, VQModel
from PIL import Image
from torch import Tensor

from studio.training.config import TokensConfig
from studio.training.diffusion import GRID_PROMPTS
from studio.training.grids import picture_grid
from studio.training.latents import EncodedScenes
from studio.training.on_codes import OnCodes
from studio.training.stream import Batch
from studio.training.task import Trained, own_share
from studio.training.text import TextEncoder

_MICRO = (256.0, 256.0, 0.0, 0.0, 6.0)  # size, crop, score: what aMUSEd's pipeline passes; constant in training


def make_prior(config: TokensConfig, *, codes: int, width: int, side: int = 16) -> UVit2DModel:
    """Build the transformer that ``config`` describes, or load the one it starts from.

    ``codes``: size of the codebook; index ``codes`` is the mask. ``width``: of the text embeddings.
    """
    if config.init:
        return UVit2DModel.from_pretrained(config.init, subfolder="transformer", torch_dtype=torch.float32)
    hidden = config.hidden_size
    return UVit2DModel(
        hidden_size=hidden,
        cond_embed_dim=width,
        micro_cond_encode_dim=64,
        micro_cond_embed_dim=64 * len(_MICRO),
        encoder_hidden_size=width,
        vocab_size=codes + 1,
        codebook_size=codes,
        in_channels=hidden,
        block_out_channels=hidden,
        num_res_blocks=1,
        block_num_heads=config.heads,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=hidden * 8 // 3,
        sample_size=side,
    )


class TokensTask(OnCodes):
    """See the module."""

    config: TokensConfig

    def __init__(
        self,
        config: TokensConfig,
        accelerator: Accelerator,
        vqvae: VQModel,
        text: TextEncoder,
        scenes: EncodedScenes | None = None,
    ) -> None:
        self.config = config
        super().__init__(config, accelerator, vqvae, text, scenes)
        self.codes = int(vqvae.config.num_vq_embeddings)
        self.prior = make_prior(config, codes=self.codes, width=text.width, side=self.side).to(self.device)
        self.weights = Trained(self.prior.parameters(), config, accelerator)

    def _backward(self, batch: Batch, generator: torch.Generator, *, share: float) -> dict[str, Tensor | float]:
        codes, text = self._inputs(batch)
        shares = own_share(torch.rand, (len(codes),), self.accelerator, generator)
        order = own_share(torch.rand, (len(codes), codes[0].numel()), self.accelerator, generator)
        hidden = mask_of(shares, order).view(codes.shape).to(self.device)
        text = self._without_some(text, generator)
        logits = self.logits(codes.masked_fill(hidden, self.codes), text)
        loss = masked_loss(logits, codes, hidden, smoothing=self.config.label_smoothing)
        (loss * share).backward()
        with torch.no_grad():
            right = (logits.argmax(1) == codes)[hidden].float().mean()
        return {"loss": loss.detach(), "accuracy": right}

    def logits(self, codes: Tensor, text: Tensor) -> Tensor:
        """Return logits (b, codes, h, w) float32 for code indices (b, h, w), of which some are the mask."""
        micro = torch.tensor(_MICRO, device=self.device).expand(len(codes), -1)
        with self.accelerator.autocast():
            return self.prior(codes, text, text.mean(1), micro).float()

    def state(self) -> dict[str, Any]:
        """Return weights and optimiser."""
        return {"prior": self.prior.state_dict(), "weights": self.weights.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` returned."""
        self.prior.load_state_dict(state["prior"])
        self.weights.restore(state["weights"])

    @torch.no_grad()
    def sample(self, prompts: list[str], *, seed: int, steps: int = 12, guidance_scale: float = 3.0) -> Tensor:
        """Return code indices (b, h, w) for ``prompts``, with the averaged weights."""
        generator = torch.Generator().manual_seed(seed)
        side = self.prior.config.sample_size
        codes = torch.full((len(prompts), side, side), self.codes, device=self.device)
        text = torch.cat([self.empty.expand(len(prompts), -1, -1), self.text(prompts)])
        with self.weights:
            for step in range(steps):
                without, given = self.logits(torch.cat([codes] * 2), text).chunk(2)
                left = math.cos(math.pi / 2 * (step + 1) / steps)
                guided = without + guidance_scale * (given - without)
                codes = fill_surest(codes, guided, mask=self.codes, left=left, noise=4.5 * (1 - step / steps),
                                    generator=generator)  # fmt: skip
        return codes

    def grid(self) -> Image.Image:
        """Draw the fixed prompts at a fixed seed."""
        codes = self.sample(list(GRID_PROMPTS), seed=0)
        vectors = F.embedding(codes, self.vqvae.quantize.embedding.weight).permute(0, 3, 1, 2)
        with torch.no_grad():
            pictures = self.vqvae.decode(vectors, force_not_quantize=True).sample
        return picture_grid(pictures.clamp(-1, 1), columns=8, labels=list(GRID_PROMPTS))

    def export(self, folder: Path) -> None:
        """Write the averaged transformer in half precision below ``folder``."""
        with self.weights:
            half = UVit2DModel.from_config(self.prior.config)
            half.load_state_dict(self.prior.state_dict())
        half.to(torch.float16).save_pretrained(folder / "transformer", safe_serialization=True)

    def health(self, figures: dict[str, float]) -> str | None:
        """Notice a prior that is worse than guessing."""
        if figures["loss"] > 2 * math.log(self.codes):
            return f"The loss is {figures['loss']:.1f}, guessing has {math.log(self.codes):.1f}. Lower learning_rate."
        return None


def mask_of(shares: Tensor, order: Tensor) -> Tensor:
    """Return which codes (b, n) to hide: a share cos(pi/2 u) of each picture, at least one.

    ``shares``: u in [0, 1), (b,). ``order``: random numbers (b, n); the smallest are hidden.
    """
    count = order.shape[1]
    number = (torch.cos(math.pi / 2 * shares) * count).round().clamp(min=1).long()  # (b,)
    return order.argsort(1).argsort(1) < number[:, None]


def masked_loss(logits: Tensor, codes: Tensor, hidden: Tensor, *, smoothing: float) -> Tensor:
    """Return the mean cross-entropy of logits (b, k, h, w) at the hidden ones of ``codes`` (b, h, w)."""
    each = F.cross_entropy(logits, codes, reduction="none", label_smoothing=smoothing)  # (b, h, w)
    return (each * hidden).sum() / hidden.sum()


def fill_surest(
    codes: Tensor, logits: Tensor, *, mask: int, left: float, noise: float, generator: torch.Generator
) -> Tensor:
    """Draw all hidden ones of ``codes`` (b, h, w), keep the surest, hide the share ``left`` of all again.

    ``noise`` scales the Gumbel noise on the confidence. Codes that were not hidden never change.
    """
    batch, height, width = codes.shape
    probability = logits.permute(0, 2, 3, 1).reshape(-1, logits.shape[1]).softmax(-1).cpu()
    drawn = torch.multinomial(probability, 1, generator=generator)
    sure = probability.gather(1, drawn).view(batch, -1).clamp_min(1e-9).log()
    gumbel = -torch.log(-torch.log(torch.rand(sure.shape, generator=generator).clamp(1e-9, 1 - 1e-7)))
    was_hidden = (codes == mask).view(batch, -1).cpu()
    sure = (sure + noise * gumbel).masked_fill(~was_hidden, math.inf)
    hide = sure.argsort(1).argsort(1) < math.floor(left * height * width)
    filled = torch.where(was_hidden, drawn.view(batch, -1), codes.view(batch, -1).cpu())
    filled[hide & was_hidden] = mask
    return filled.view(batch, height, width).to(codes.device)
