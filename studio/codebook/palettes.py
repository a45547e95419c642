"""Palettes: the codes of a picture, with their weights, to redraw other pictures with.

Three ways to apply one: the nearest code; a matched histogram (tokens ranked by lightness take the palette's
codes in the same ranks); optimal transport, which keeps the palette's weights and moves every token as little
as possible (exact assignment for small maps, entropic transport above: Cuturi, "Sinkhorn Distances", 2013).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from scipy.optimize import linear_sum_assignment
from scipy.special import logsumexp

from studio.atomic import write_atomically
from studio.codebook.neighbours import By, CodeSpace, euclidean
from studio.codebook.tokens import Codes, TokenMap, check_codes, check_same_model
from studio.errors import InvalidRequest

Method = Literal["nearest", "histogram", "transport"]
EXACT_TOKENS = 1024  # above, an exact assignment takes seconds
SINKHORN_ROUNDS = 300
CONTEXT_WEIGHT = 0.25  # how much a token's surroundings count when palette codes are handed out
MAX_FILE_BYTES = 4_000_000


class Palette(BaseModel):
    """The codes of a picture and how much of it each covers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    version: Literal[1] = 1
    name: str = Field("", max_length=200)
    checksum: str = Field(pattern=r"^[0-9a-f]{64}$", description="The model's checksum")
    codes: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1, max_length=65_536)
    weights: tuple[Annotated[float, Field(gt=0)], ...] = Field(max_length=65_536)

    @model_validator(mode="after")
    def _consistent(self) -> Palette:
        if len(self.codes) != len(self.weights):
            raise ValueError(f"{len(self.codes)} codes but {len(self.weights)} weights")
        if len(set(self.codes)) != len(self.codes):
            raise ValueError("a code occurs twice")
        return self

    @classmethod
    def of(cls, tokens: TokenMap, *, name: str = "") -> Palette:
        """Take the codes of `tokens`, most used first; weights sum to 1."""
        order = np.argsort(-tokens.counts, kind="stable")
        order = order[tokens.counts[order] > 0]
        weights = (tokens.counts[order] / tokens.codes.size).tolist()
        return cls(name=name[:200], checksum=tokens.checksum, codes=tuple(order.tolist()), weights=tuple(weights))

    def check(self, checksum: str, codebook_size: int) -> None:
        """Raise InvalidRequest unless the palette belongs to the model with `checksum`."""
        check_same_model(self.checksum, checksum, "palette")
        check_codes(np.array(self.codes), codebook_size)

    def save(self, path: Path) -> None:
        """Write the palette as a small JSON file."""
        write_atomically(path, self.model_dump_json(indent=1).encode())

    @classmethod
    def load(cls, path: Path) -> Palette:
        """Read a palette file; raises InvalidRequest when it is none."""
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise InvalidRequest(f'"{path.name}" is too large for a palette.', "Choose a palette file.")
            return cls.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise InvalidRequest(f'"{path.name}" cannot be read: {error.strerror}.', "Choose another file.") from error
        except (ValidationError, ValueError) as error:
            raise InvalidRequest(
                f'"{path.name}" is not a palette: {_first_line(error)}.',
                "Save a palette again and use that file.",
            ) from error


def transfer(
    codes: Codes,
    palette: Palette,
    space: CodeSpace,
    *,
    method: Method = "transport",
    strength: float = 1.0,
    by: By = "colour",
    mask: NDArray[np.bool_] | None = None,
) -> Codes:
    """Return `codes` (h, w) redrawn with `palette`.

    Args:
        strength: Share of the tokens in `mask` that change, those that move least first; 1 is all.
        by: Whether "move" is measured in the codebook or in the colour of the swatches.
    """
    mask = np.ones(codes.shape, bool) if mask is None else mask
    if not mask.any() or strength == 0:
        return codes.copy()
    chosen = np.array(palette.codes, dtype=np.int32)
    tokens = codes[mask]
    if method == "nearest":
        new = space.nearest_of(tokens, chosen, by=by)
    else:
        slots = _slots(np.array(palette.weights), len(tokens))
        if method == "histogram":
            new = _match_histogram(codes, mask, np.repeat(chosen, slots), space)
        elif len(tokens) <= EXACT_TOKENS:
            new = _assign(codes, mask, np.repeat(chosen, slots), space.points(by))
        else:
            new = _sinkhorn(codes, mask, chosen, slots, space.points(by))
    out = codes.copy()
    out[mask] = _partly(tokens, new, strength, space.points(by))
    return out


def _slots(weights: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return how many of `count` tokens each code gets: largest remainders, summing to `count`."""
    ideal = weights / weights.sum() * count
    slots = np.floor(ideal).astype(np.int64)
    slots[np.argsort(slots - ideal, kind="stable")[: count - slots.sum()]] += 1
    return slots


def _surroundings(codes: Codes, points: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return each token's point, pulled towards the mean of its 3x3 surroundings: (h, w, d)."""
    field = np.ascontiguousarray(points[codes], dtype=np.float64)  # (h, w, d)
    channels = [cv2.blur(field[..., i], (3, 3), borderType=cv2.BORDER_REPLICATE) for i in range(field.shape[2])]
    return (1 - CONTEXT_WEIGHT) * field + CONTEXT_WEIGHT * np.stack(channels, -1)


def _match_histogram(codes: Codes, mask: NDArray[np.bool_], slots: Codes, space: CodeSpace) -> Codes:
    """Rank tokens (with their surroundings as tie breaker) and palette slots by lightness; equal ranks meet."""
    lightness = space.points("colour")[:, :1]
    rank = np.argsort(_surroundings(codes, lightness)[mask][:, 0], kind="stable")
    new = np.empty(len(rank), np.int32)
    new[rank] = slots[np.argsort(lightness[slots, 0], kind="stable")]
    return new


def _assign(codes: Codes, mask: NDArray[np.bool_], slots: Codes, points: NDArray[np.float32]) -> Codes:
    """Optimal transport, exactly: each token takes one slot, the sum of squared moves is least."""
    cost = euclidean(_surroundings(codes, points)[mask], points[slots]) ** 2
    return slots[linear_sum_assignment(cost)[1]]


def _sinkhorn(
    codes: Codes,
    mask: NDArray[np.bool_],
    chosen: Codes,
    slots: NDArray[np.int64],
    points: NDArray[np.float32],
) -> Codes:
    """Entropic transport between the two histograms of codes, rounded to whole tokens."""
    used, counts = np.unique(codes[mask], return_counts=True)
    cost = euclidean(points[used], points[chosen]).astype(np.float64) ** 2  # (n, m)
    epsilon = 0.01 * max(cost.mean(), 1e-12)
    log_a, log_b = np.log(counts / counts.sum()), np.log(np.maximum(slots, 1e-9) / slots.sum())
    f, g = np.zeros(len(used)), np.zeros(len(chosen))
    for _ in range(SINKHORN_ROUNDS):
        f = epsilon * (log_a - logsumexp((g[None] - cost) / epsilon, axis=1))
        g = epsilon * (log_b - logsumexp((f[:, None] - cost) / epsilon, axis=0))
    plan = np.exp((f[:, None] + g[None] - cost) / epsilon)
    context = _surroundings(codes, points)[mask]
    tokens, new = codes[mask], np.empty(int(mask.sum()), np.int32)
    for row, code in enumerate(used):
        mine = np.flatnonzero(tokens == code)
        share = np.repeat(np.arange(len(chosen)), _slots(plan[row], len(mine)))
        # Within one code the surroundings decide who goes where: sort both along the way to the targets.
        axis = points[chosen[share]].mean(0) - points[code]
        order = np.argsort(context[mine] @ axis, kind="stable")
        along = np.argsort(points[chosen[share]] @ axis, kind="stable")
        new[mine[order]] = chosen[share[along]]
    return new


def _partly(old: Codes, new: Codes, strength: float, points: NDArray[np.float32]) -> Codes:
    """Keep the share `strength` of the changes, the smallest moves first."""
    moved = np.linalg.norm(points[old].astype(np.float64) - points[new], axis=1)
    order = np.lexsort((np.arange(len(old)), moved))
    order = order[old[order] != new[order]]
    out = old.copy()
    taken = order[: round(strength * len(order))]
    out[taken] = new[taken]
    return out


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(str(p) for p in first['loc'])} {first['msg'].lower()}".strip()
    return str(error).splitlines()[0][:120]
