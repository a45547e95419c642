"""Arrangements of the codes on a grid: by usage, hue, lightness, texture, index or similarity.

Similarity: the first two principal components of colour and embedding together, each spread evenly by rank, then
snapped to a grid so that the sum of squared moves is least (linear assignment). Above MAX_ASSIGNED codes the
assignment would take minutes, and codes are snapped by columns instead: sorted along the first component, then
each column along the second.
"""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from studio.codebook.choices import ORDERS, Order
from studio.codebook.neighbours import CodeSpace, Key, euclidean
from studio.codebook.usage import Usage
from studio.errors import UnknownName

MAX_ASSIGNED = 2048
LAB_WEIGHT = 2.0  # what an artist sees counts more than where the vector lies


def arrange(
    space: CodeSpace,
    order: Order,
    *,
    usage: Usage | None = None,
    include_dead: bool = False,
    columns: int | None = None,
    seed: int = 0,
) -> NDArray[np.int32]:
    """Return a (rows, columns) grid of codes; -1 is blank.

    Args:
        space: The codes' places, with colours from the atlas.
        usage: Counts; without them no code counts as dead.
        include_dead: Show codes that were never counted, too.
        columns: Width of the grid; None makes it square.
        seed: Decides between equal places in "similarity".

    Raises:
        UnknownName: There is no such order.
        InvalidRequest: "usage" without counts, or an order by colour without an atlas.
    """
    if order not in ORDERS:
        raise UnknownName("order of codes", order, ORDERS)
    codes = np.arange(len(space)) if usage is None or include_dead else usage.live
    columns = columns or max(1, ceil(sqrt(len(codes))))
    if order == "similarity":
        return _by_similarity(codes, space, columns=columns, seed=seed)
    key: Key = order
    values = space.key(key, counts=None if usage is None else usage.counts)
    return _grid(codes[np.argsort(values[codes], kind="stable")], columns)


def project(space: CodeSpace, codes: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the first two principal components of colour and embedding of `codes`: (n, 2), signs fixed."""
    blocks = [space.vectors[codes].astype(np.float64)]
    if space.lab is not None:
        blocks.append(space.lab[codes].astype(np.float64))
    scaled = []
    for block, weight in zip(blocks, (1.0, LAB_WEIGHT), strict=False):
        centred = block - block.mean(0)
        scaled.append(weight * centred / max(float(np.sqrt((centred**2).sum(1).mean())), 1e-12))
    features = np.concatenate(scaled, 1)
    _, _, axes = np.linalg.svd(features, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2][np.arange(len(axes[:2])), np.abs(axes[:2]).argmax(1)])[:, None]
    placed = features @ axes.T
    return placed if placed.shape[1] == 2 else np.pad(placed, ((0, 0), (0, 2 - placed.shape[1])))


def _by_similarity(codes: NDArray[np.integer], space: CodeSpace, *, columns: int, seed: int) -> NDArray[np.int32]:
    if len(codes) < 3:
        return _grid(codes, columns)
    rows = ceil(len(codes) / columns)
    jitter = np.random.default_rng(seed).random((len(codes), 2))
    place = project(space, codes)
    spread = np.stack([_ranks(place[:, i], jitter[:, i]) for i in range(2)], 1) / len(codes)  # (n, 2) in [0, 1)
    if len(codes) > MAX_ASSIGNED:
        return _by_columns(codes, spread, rows, columns)
    cells = np.stack(np.divmod(np.arange(rows * columns), columns)[::-1], 1)  # (cells, 2): column, row
    targets = (cells + 0.5) / (columns, rows)
    grid = np.full(rows * columns, -1, np.int32)
    from scipy.optimize import linear_sum_assignment  # here: the page imports this module, and scipy takes a second

    taken, cell = linear_sum_assignment(euclidean(spread, targets) ** 2)
    grid[cell] = codes[taken]
    return grid.reshape(rows, columns)


def _by_columns(codes: NDArray[np.integer], spread: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.int32]:
    grid = np.full((rows, columns), -1, np.int32)
    along = np.argsort(spread[:, 0], kind="stable")
    for column, members in enumerate(np.array_split(along, columns)):
        grid[: len(members), column] = codes[members[np.argsort(spread[members, 1], kind="stable")]]
    return grid


def _ranks(values: NDArray[np.float64], tie_breaker: NDArray[np.float64]) -> NDArray[np.float64]:
    ranks = np.empty(len(values))
    ranks[np.lexsort((tie_breaker, values))] = np.arange(len(values))
    return ranks


def _grid(codes: NDArray[np.integer], columns: int) -> NDArray[np.int32]:
    rows = max(1, ceil(len(codes) / columns))
    grid = np.full(rows * columns, -1, np.int32)
    grid[: len(codes)] = codes
    return grid.reshape(rows, columns)
