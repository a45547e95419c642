"""The codebook while it is learned: unit-norm codes, moving averages, k-means start, revival of unused codes.

Not a model that is shipped: its ``codes`` are copied into the plain ``VQModel``. Since they have length one, the
nearest code by distance (what VQModel computes) is also the nearest by angle, whatever the length of the input.
Sources: van den Oord et al. 2017 (EMA, appendix A.1); Yu et al. 2021, ViT-VQGAN (unit norm); Zeghidour et al. 2021,
SoundStream (k-means start, revival).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn


class Quantised(NamedTuple):
    """Result of a look-up."""

    vectors: Tensor  # (b, d, h, w): codes, gradients pass straight through
    indices: Tensor  # (b, h, w) int64
    commitment: Tensor  # scalar


class Codebook(nn.Module):
    """``size`` unit vectors of ``dim`` numbers that follow the encoder's output by moving averages."""

    codes: Tensor
    counts: Tensor
    sums: Tensor
    is_ready: Tensor

    def __init__(self, size: int, dim: int, *, decay: float = 0.99, accelerator: Accelerator | None = None) -> None:
        super().__init__()
        self.decay = decay
        self.accelerator = accelerator
        codes = F.normalize(torch.randn(size, dim, generator=torch.Generator().manual_seed(0)), dim=1)
        self.register_buffer("codes", codes)
        self.register_buffer("sums", codes.clone())
        self.register_buffer("counts", torch.ones(size))
        self.register_buffer("is_ready", torch.zeros((), dtype=torch.bool))

    def forward(self, z: Tensor) -> Quantised:
        """Replace each vector of ``z`` (b, d, h, w), float32, by its nearest code."""
        flat = z.permute(0, 2, 3, 1).reshape(-1, z.shape[1])  # (n, d)
        indices = (flat.detach() @ self.codes.T).argmax(dim=1)
        chosen = self.codes[indices].view(z.shape[0], *z.shape[2:], -1).permute(0, 3, 1, 2)
        commitment = F.mse_loss(z, chosen) * z.shape[1]
        return Quantised(z + (chosen - z).detach(), indices.view(z.shape[0], *z.shape[2:]), commitment)

    @torch.no_grad()
    def update(self, z: Tensor, indices: Tensor) -> None:
        """Move every code towards the mean direction of the vectors that chose it (EMA)."""
        flat = F.normalize(z.permute(0, 2, 3, 1).reshape(-1, z.shape[1]).float(), dim=1)
        hits = torch.bincount(indices.flatten(), minlength=len(self.codes)).float()
        sums = torch.zeros_like(self.sums).index_add_(0, indices.flatten(), flat)
        hits, sums = self._sum(hits), self._sum(sums)
        self.counts.lerp_(hits, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        self.codes.copy_(F.normalize(self.sums, dim=1))

    @torch.no_grad()
    def revive(self, z: Tensor, *, below: float, generator: torch.Generator) -> int:
        """Re-seed codes used less than ``below`` times the uniform share from random vectors of ``z``.

        Returns how many were re-seeded.
        """
        uniform = self.counts.sum() / len(self.counts)
        dead = (self.counts < below * uniform).nonzero().flatten()
        if len(dead) == 0:
            return 0
        flat = F.normalize(self.gather(z).permute(0, 2, 3, 1).reshape(-1, z.shape[1]).float(), dim=1)
        dead = dead[: len(flat)]
        picked = torch.randperm(len(flat), generator=generator)[: len(dead)].to(flat.device)
        self.codes[dead] = flat[picked]
        self.counts[dead] = uniform
        self.sums[dead] = flat[picked] * uniform
        return len(dead)

    @torch.no_grad()
    def initialise(self, vectors: Tensor, *, generator: torch.Generator, rounds: int = 20) -> None:
        """Make the first codebook: spherical k-means on ``vectors`` (n, d), the same in every process."""
        vectors = F.normalize(vectors.float(), dim=1)
        size = len(self.codes)
        order = torch.randperm(len(vectors), generator=generator).to(vectors.device)
        centres = vectors[order.repeat(-(-size // len(order)))[:size]].clone()
        for _ in range(rounds):
            nearest = (vectors @ centres.T).argmax(dim=1)
            hits = torch.bincount(nearest, minlength=size)
            sums = torch.zeros_like(centres).index_add_(0, nearest, vectors)
            empty = (hits == 0).nonzero().flatten()
            centres = F.normalize(sums, dim=1)
            refill = torch.randint(len(vectors), (len(empty),), generator=generator).to(vectors.device)
            centres[empty] = vectors[refill]
        self.codes.copy_(centres)
        self.counts.fill_(len(vectors) / size)
        self.sums.copy_(centres * self.counts[:, None])
        self.is_ready.fill_(True)

    def _sum(self, value: Tensor) -> Tensor:
        if self.accelerator is None or self.accelerator.num_processes == 1:
            return value
        return self.accelerator.reduce(value, reduction="sum")

    def gather(self, z: Tensor) -> Tensor:
        """Return the vectors (b, d, h, w) of all processes, in the order one process would have them."""
        if self.accelerator is None or self.accelerator.num_processes == 1:
            return z
        everything = self.accelerator.gather(z.contiguous())
        return everything.view(self.accelerator.num_processes, *z.shape).transpose(0, 1).flatten(0, 1)


def usage(indices: Tensor, size: int) -> tuple[float, float, float]:
    """Return (share of the codes used, perplexity, share of the commonest code) over ``indices`` (any shape)."""
    hits = torch.bincount(indices.flatten().cpu(), minlength=size).double()
    share = hits / hits.sum()
    entropy = -(share[share > 0] * share[share > 0].log()).sum()
    return (hits > 0).double().mean().item(), entropy.exp().item(), share.max().item()
