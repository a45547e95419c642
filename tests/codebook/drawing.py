"""Things to test with: small random models and drawn pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from diffusers import VQModel

CODES = 64


def untrained(*, attention: bool = False, codes: int = CODES, levels: int = 4) -> VQModel:
    """A random VQModel with 2^(levels - 1) pixels a token."""
    import torch
    from diffusers import VQModel

    torch.manual_seed(0)
    model = VQModel(
        block_out_channels=(16, 16, 24, 32, 32)[-levels:],
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        vq_embed_dim=4,
        num_vq_embeddings=codes,
        mid_block_add_attention=attention,
        scaling_factor=1.0,
    )
    model.quantize.embedding.weight.data.normal_()
    return model.eval()


def drawn(width: int, height: int, *, seed: int) -> Image.Image:
    """A picture of soft gradients and a few discs."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / 64
    first, second, third = rng.uniform(0, 255, (3, 3))
    mix = (np.sin(x * rng.uniform(0.5, 2)) + np.cos(y * rng.uniform(0.5, 2)))[..., None] / 4 + 0.5
    pixels = first * mix + second * (1 - mix)
    for _ in range(4):
        cx, cy, r = rng.uniform(0, width / 64), rng.uniform(0, height / 64), rng.uniform(0.1, 0.5)
        pixels[(x - cx) ** 2 + (y - cy) ** 2 < r * r] = rng.permutation(third)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
