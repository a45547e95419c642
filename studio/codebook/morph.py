"""Frames between token maps: morphs (smooth or stepped), growth and dissolve.

Smooth walks between code vectors and decodes what lies between them, unquantised; stepped snaps every frame to
the codebook, so that each is a picture of real codes. Growth paints a map over one background code, dissolve
turns one map into another, token by token in a seeded order that spreads evenly (a scrambled Halton sequence:
Halton, "On the efficiency of certain quasi-random sequences of points", 1960).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import qmc

from studio.codebook.choices import MAX_FRAMES, STYLES, Style
from studio.codebook.tokens import TokenMap, check_codes, check_same_grid
from studio.codebook.vqgan import Vqgan, to_picture
from studio.errors import InvalidRequest, UnknownName


def morph(
    vqgan: Vqgan, first: TokenMap, second: TokenMap, *, style: Style = "smooth", frames: int = 24, seed: int = 0
) -> Iterator[Image.Image]:
    """Yield `frames` pictures from `first` to `second`; both ends are exact decodes.

    Raises:
        InvalidRequest: The maps have different sizes or models, or `frames` is not in [2, MAX_FRAMES].
        UnknownName: There is no such style.
    """
    if style not in STYLES:
        raise UnknownName("kind of morph", style, STYLES)
    check_same_grid(first, second)
    vqgan.check(first)
    _check_frames(frames)
    if style == "dissolve":
        return _pictures(vqgan, dissolve_maps(first, second, frames=frames, seed=seed))
    if style == "stepped":
        return _pictures(vqgan, stepped_maps(vqgan, first, second, frames=frames))
    return _smooth(vqgan, first, second, frames)


def grow(
    vqgan: Vqgan, tokens: TokenMap, *, background: int | None = None, frames: int = 24, seed: int = 0
) -> Iterator[Image.Image]:
    """Yield `frames` pictures in which `tokens` grows out of one code (by default its most frequent)."""
    _check_frames(frames)
    code = int(tokens.counts.argmax()) if background is None else background
    check_codes(np.array([code]), tokens.codebook_size)
    empty = tokens.with_codes(np.full(tokens.shape, code))
    return _pictures(vqgan, dissolve_maps(empty, tokens, frames=frames, seed=seed))


def stepped_maps(vqgan: Vqgan, first: TokenMap, second: TokenMap, *, frames: int) -> Iterator[TokenMap]:
    """Yield the maps of codes nearest to the straight way between the two maps' vectors."""
    start, end = (vqgan.vectors[tokens.codes] for tokens in (first, second))  # (h, w, d)
    for t in np.linspace(0, 1, frames):
        between = vqgan.codebook.vectors.new_tensor(((1 - t) * start + t * end).reshape(-1, start.shape[-1]))
        codes = vqgan.codebook.nearest(between).cpu().numpy().reshape(first.shape)
        # The ends are stated, not searched: two codes may have the same vector.
        yield first if t == 0 else second if t == 1 else first.with_codes(codes)


def dissolve_maps(first: TokenMap, second: TokenMap, *, frames: int, seed: int = 0) -> Iterator[TokenMap]:
    """Yield maps in which ever more tokens come from `second`."""
    order = spread_order(first.shape, seed=seed)  # (h, w) ranks
    for t in np.linspace(0, 1, frames):
        yield first.with_codes(np.where(order < round(t * order.size), second.codes, first.codes))


def spread_order(shape: tuple[int, int], *, seed: int = 0) -> NDArray[np.int64]:
    """Return the rank of each cell, (h, w), in an order that covers the grid evenly from the start."""
    count = shape[0] * shape[1]
    ranks = np.full(count, -1)
    taken = 0
    sampler = qmc.Halton(2, scramble=True, rng=np.random.default_rng(seed))
    for _ in range(4):
        points = (sampler.random(4 * count) * shape).astype(np.int64)
        flat = points[:, 0] * shape[1] + points[:, 1]
        fresh = flat[np.sort(np.unique(flat, return_index=True)[1])]
        fresh = fresh[ranks[fresh] < 0]
        ranks[fresh] = np.arange(taken, taken + len(fresh))
        taken += len(fresh)
    rest = np.flatnonzero(ranks < 0)
    ranks[rest] = np.arange(taken, count)
    return ranks.reshape(shape)


def _smooth(vqgan: Vqgan, first: TokenMap, second: TokenMap, frames: int) -> Iterator[Image.Image]:
    start, end = (vqgan.code_vectors(tokens.codes[None]) for tokens in (first, second))  # (1, d, h, w)
    for t in np.linspace(0, 1, frames):
        between = end if t == 1 else start + float(t) * (end - start)
        yield to_picture(vqgan.decode_vectors(between)[0], first.size)


def _pictures(vqgan: Vqgan, maps: Iterator[TokenMap]) -> Iterator[Image.Image]:
    shown: tuple[TokenMap, Image.Image] | None = None
    for tokens in maps:
        if shown is None or shown[0] != tokens:
            shown = tokens, vqgan.decode(tokens)
        yield shown[1]


def _check_frames(frames: int) -> None:
    if not 2 <= frames <= MAX_FRAMES:
        raise InvalidRequest(f"An animation has 2 to {MAX_FRAMES} frames, not {frames}.")
