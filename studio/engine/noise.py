"""Seeds and noise: one CPU generator per picture, so that a picture never depends on its neighbours.

Noise is drawn on the CPU in float32 whatever the device and dtype, so a seed means the same noise everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers.utils.torch_utils import randn_tensor

from studio.requests import MAX_SEED


def seeds_of(seed: int, batch: int) -> tuple[int, ...]:
    """Return the seed of each picture: seed + i, going on at 0 past the largest seed."""
    return tuple((seed + i) % (MAX_SEED + 1) for i in range(batch))


def generators_of(seeds: Sequence[int]) -> list[torch.Generator]:
    """Return one CPU generator per seed."""
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def draw(shape: tuple[int, ...], generators: list[torch.Generator], device: torch.device) -> torch.Tensor:
    """Return standard normal noise, (b, ...) float32; row i from generator i alone, as diffusers draws it."""
    return randn_tensor(shape, generator=generators, device=device, dtype=torch.float32)


def slerp(noise: torch.Tensor, other: torch.Tensor, strength: float) -> torch.Tensor:
    """Return noise on the great circle from `noise` (strength 0) to `other` (1), row by row, (b, ...).

    A straight line between two noises would be too short in its middle, and a picture from it too flat.
    Source: Shoemake 1985; stable-diffusion-webui does the same for its variation seeds, but column by column.
    """
    if strength in (0, 1):
        return other if strength else noise
    rows, others = noise.flatten(1).double(), other.flatten(1).double()  # (b, n)
    cosine = torch.nn.functional.cosine_similarity(rows, others, dim=1).clamp(-1, 1)[:, None]
    angle = torch.arccos(cosine)
    mixed = (torch.sin((1 - strength) * angle) * rows + torch.sin(strength * angle) * others) / torch.sin(angle)
    straight = (1 - strength) * rows + strength * others
    return torch.where(cosine.abs() > 0.9995, straight, mixed).to(noise.dtype).view_as(noise)
