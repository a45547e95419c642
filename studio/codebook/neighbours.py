"""What lies near a code: in the codebook (embedding) and to the eye (colour of its decoded swatch).

The two differ: codes that are close as vectors are interchangeable to the decoder, codes that are close in
CIE Lab look alike. No torch: a `CodeSpace` holds arrays only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from studio.codebook.tokens import check_codes
from studio.errors import InvalidRequest

By = Literal["embedding", "colour"]
Key = Literal["index", "usage", "hue", "lightness", "texture"]


class Neighbour(NamedTuple):
    """A code and how far it is: Euclidean in the codebook, or CIE76 delta E in Lab."""

    code: int
    distance: float


@dataclass(frozen=True, eq=False)
class CodeSpace:
    """Where the codes of one model lie.

    Attributes:
        vectors: (K, d) float32 code vectors.
        lab: (K, 3) float32 mean CIE Lab colour of each swatch, or None before the atlas is made.
        texture: (K,) float32 spread of lightness within each swatch, or None likewise.
        checksum: The model's checksum.
    """

    vectors: NDArray[np.float32]
    lab: NDArray[np.float32] | None = None
    texture: NDArray[np.float32] | None = None
    checksum: str = ""

    def __len__(self) -> int:
        return len(self.vectors)

    def points(self, by: By) -> NDArray[np.float32]:
        """Return the coordinates that distances are measured in; raises InvalidRequest without an atlas."""
        return self.vectors if by == "embedding" else self._measured(self.lab)

    def distances(self, codes: NDArray[np.integer], others: NDArray[np.integer], *, by: By) -> NDArray[np.float32]:
        """Return the (len(codes), len(others)) Euclidean distances."""
        points = self.points(by)
        return euclidean(points[codes], points[others])

    def neighbours(self, code: int, count: int = 8, *, by: By = "embedding") -> list[Neighbour]:
        """Return the `count` nearest other codes, nearest first; equal distances in order of index."""
        check_codes(np.array([code]), len(self))
        distance = self.distances(np.array([code]), np.arange(len(self)), by=by)[0]
        distance[code] = np.inf
        order = np.argsort(distance, kind="stable")[: min(count, len(self) - 1)]
        return [Neighbour(int(i), float(distance[i])) for i in order]

    def nearest_of(
        self, codes: NDArray[np.integer], allowed: NDArray[np.integer], *, by: By = "embedding"
    ) -> NDArray[np.int32]:
        """Return for each of `codes` the nearest of `allowed`."""
        unique, back = np.unique(codes, return_inverse=True)
        best = self.distances(unique, allowed, by=by).argmin(1)
        return np.asarray(allowed, np.int32)[best[back]].reshape(np.shape(codes))

    def search_colour(
        self, rgb: tuple[int, int, int], count: int = 16, *, among: Iterable[int] | None = None
    ) -> list[Neighbour]:
        """Return the codes whose swatches are nearest in Lab to `rgb` (0 to 255)."""
        if not all(0 <= v <= 255 for v in rgb):
            raise InvalidRequest(f"A colour has three numbers from 0 to 255, not {tuple(rgb)}.")
        candidates = np.arange(len(self)) if among is None else np.array(sorted(among), dtype=np.int64)
        target = rgb_to_lab(np.array([rgb], np.uint8))
        distance = euclidean(target, self.points("colour")[candidates])[0]
        order = np.argsort(distance, kind="stable")[:count]
        return [Neighbour(int(candidates[i]), float(distance[i])) for i in order]

    def key(self, key: Key, *, counts: NDArray[np.integer] | None = None) -> NDArray[np.float64]:
        """Return a number per code to sort by, (K,); `counts` are needed for "usage" (most used first)."""
        if key == "index":
            return np.arange(len(self), dtype=np.float64)
        if key == "usage":
            if counts is None:
                raise InvalidRequest("Codes can be ordered by usage once it is counted.", "Count the codes first.")
            return -counts.astype(np.float64)
        if key == "texture":
            return self._measured(self.texture).astype(np.float64)
        lab = self._measured(self.lab).astype(np.float64)
        return lab[:, 0] if key == "lightness" else hue_key(lab)

    def _measured(self, values: NDArray[np.float32] | None) -> NDArray[np.float32]:
        if values is None:
            raise InvalidRequest(
                "The colours of the codes are not known yet.",
                "Make the atlas of this model first (`atlas.open_atlas`).",
            )
        return values


def rgb_to_lab(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Convert sRGB (..., 3) uint8 to CIE Lab (D65) float32: L in [0, 100], a and b about [-128, 127]."""
    flat = rgb.reshape(-1, 1, 3).astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(flat, cv2.COLOR_RGB2LAB), np.float32).reshape(rgb.shape)


def hue_key(lab: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return sort keys (n,): greys first from dark to light, then hue around the wheel; chroma below 6 is grey."""
    chroma, hue = np.hypot(lab[:, 1], lab[:, 2]), np.arctan2(lab[:, 2], lab[:, 1]) % (2 * np.pi)
    return np.where(chroma < 6, lab[:, 0] / 100 - 2, hue)


def euclidean(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the (n, m) distances between rows of (n, d) and (m, d)."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.sqrt(np.maximum(squared, 0)).astype(np.float32)
