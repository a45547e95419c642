"""Where a code occurs: in one picture, and in a set of pictures."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from studio.codebook.tokens import TokenMap


class Example(NamedTuple):
    """A picture in which a code occurs: the caller's key, how many tokens, and their share of the picture."""

    key: Hashable
    tokens: int
    share: float


def examples(pictures: Iterable[tuple[Hashable, TokenMap]], code: int, *, limit: int = 12) -> list[Example]:
    """Return the pictures with the largest share of `code`, best first; earlier ones win ties.

    `pictures` is any iterable of (key, token map), such as the gallery's rows; it is read once.
    """
    found = []
    for order, (key, tokens) in enumerate(pictures):
        count = int((tokens.codes == code).sum())
        if count:
            found.append((count / tokens.codes.size, -order, Example(key, count, count / tokens.codes.size)))
    return [example for _, _, example in heapq.nlargest(limit, found, key=lambda item: item[:2])]


def pixel_mask(mask: NDArray[np.bool_], size: tuple[int, int], factor: int) -> NDArray[np.bool_]:
    """Enlarge a token mask (h, w) to the pixels (H, W) of a picture of `size` (width, height)."""
    return mask.repeat(factor, 0).repeat(factor, 1)[: size[1], : size[0]]
