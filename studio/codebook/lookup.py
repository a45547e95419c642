"""Nearest codebook vectors, exactly and in little memory.

argmin_k |z - e_k|^2 = argmin_k (|e_k|^2 - 2 z.e_k): one `addmm` per chunk of rows, in fp32, because rounding to
half precision flips near ties. |z|^2 never changes the winner and is left out. A chunk's scores stay within the
cache. On a CPU the search for a place is several times slower than that for a value, so the winner is found in two
steps: the smallest value of each block of codes, then the place in the first block that holds the smallest of all.
Of equal codes the first wins, as with `argmin`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

SCORES_PER_CHUNK = 2**18  # 1 MB of fp32
MIN_ROWS = 64
BLOCK = 64  # codes


class TwoNearest(NamedTuple):
    """The nearest and second nearest code of each vector, with Euclidean distances; all (n,)."""

    codes: Tensor
    distance: Tensor
    second: Tensor
    second_distance: Tensor


class Codebook:
    """A (K, d) codebook in fp32 with its squared norms computed once."""

    def __init__(self, vectors: Tensor) -> None:
        self.vectors = vectors.detach().float().contiguous()  # (K, d)
        blank = -len(self.vectors) % BLOCK  # places that fill the last block and never win
        self._transposed = nn.functional.pad(self.vectors, (0, 0, 0, blank)).t().contiguous()  # (d, K + blank)
        self._squares = nn.functional.pad(self.vectors.square().sum(1), (0, blank), value=float("inf"))
        self._rows = max(MIN_ROWS, SCORES_PER_CHUNK // max(len(self.vectors), 1))

    def __len__(self) -> int:
        return len(self.vectors)

    def nearest(self, z: Tensor) -> Tensor:
        """Return the index of the nearest code of each row of `z` (n, d) as (n,) int64."""
        return torch.cat([_first_smallest(self._scores(rows)) for rows in z.float().split(self._rows)])

    def two_nearest(self, z: Tensor) -> TwoNearest:
        """Return the two nearest codes of each row of `z` (n, d); with K = 1 the second is the first."""
        z = z.float()
        found = []
        for rows in z.split(self._rows):
            scores = self._scores(rows)
            first = _first_smallest(scores)
            if len(self) > 1:
                scores.scatter_(1, first[:, None], float("inf"))
            found.append((first, _first_smallest(scores)))
        first, second = (torch.cat(indices) for indices in zip(*found, strict=True))
        # The distances are measured again: the scores lack |z|^2 and would cancel badly.
        distance, second_distance = ((z - self.vectors[i]).norm(dim=1) for i in (first, second))
        return TwoNearest(first, distance, second, second_distance)

    def _scores(self, rows: Tensor) -> Tensor:
        return torch.addmm(self._squares, rows, self._transposed, alpha=-2)  # (rows, K + blank)


def _first_smallest(scores: Tensor) -> Tensor:
    """Return where the smallest score of each row of (n, blocks * BLOCK) stands, the first of equals, as (n,) int64."""
    blocks = scores.unflatten(1, (-1, BLOCK))  # (n, blocks, BLOCK)
    block = blocks.amin(2).min(1).indices
    rows = torch.arange(len(scores), device=scores.device)
    return block * BLOCK + blocks[rows, block].min(1).indices
