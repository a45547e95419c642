"""A picture as a grid of code indices: the one data type that all of codebook exploration works on.

No torch here: codes are NumPy arrays, so that pages, files and workers can hold them without a model.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from studio.errors import InvalidRequest

Codes = NDArray[np.int32]
Scores = NDArray[np.float32]

MAX_PIXELS = 2048 * 2048


@dataclass(frozen=True, eq=False)
class TokenMap:
    """One picture's tokens.

    Attributes:
        codes: (h, w) int32 indices in [0, codebook_size), read-only.
        size: Width and height of the picture in pixels; the grid may reach past it by less than one token.
        factor: Pixels per token side.
        codebook_size: K, the number of codes of the model.
        checksum: The model's checksum (64 hex digits): a map means nothing with another codebook.
        distance: (h, w) float32, the Euclidean distance of the encoder's vector to its code; NaN where the
            token was edited, None where the map was not made from a picture.
        second: (h, w) int32, the second nearest code; -1 where edited.
        margin: (h, w) float32, how much farther the second code is; 0 is a coin toss; NaN where edited.
    """

    codes: Codes
    size: tuple[int, int]
    factor: int
    codebook_size: int
    checksum: str
    distance: Scores | None = field(default=None, repr=False)
    second: Codes | None = field(default=None, repr=False)
    margin: Scores | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        codes = np.array(self.codes, dtype=np.int32)
        if codes.shape != grid_shape(self.size, self.factor):
            raise InvalidRequest(
                f"A picture of {self.size[0]} x {self.size[1]} pixels has "
                f"{_shape_text(grid_shape(self.size, self.factor))} tokens, not {_shape_text(codes.shape)}."
            )
        check_codes(codes, self.codebook_size)
        codes.setflags(write=False)
        object.__setattr__(self, "codes", codes)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the grid."""
        return self.codes.shape[0], self.codes.shape[1]

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How often each code occurs here, (K,)."""
        return np.bincount(self.codes.ravel(), minlength=self.codebook_size)

    def with_codes(self, codes: NDArray[np.integer]) -> TokenMap:
        """Return this map with other `codes` (h, w); measurements are blanked where a code differs."""
        changed = np.asarray(codes) != self.codes
        return replace(
            self,
            codes=np.asarray(codes, dtype=np.int32),
            distance=None if self.distance is None else np.where(changed, np.float32("nan"), self.distance),
            second=None if self.second is None else np.where(changed, np.int32(-1), self.second),
            margin=None if self.margin is None else np.where(changed, np.float32("nan"), self.margin),
        )

    def __eq__(self, other: object) -> bool:
        """Maps are equal when they decode to the same picture; measurements do not count."""
        if not isinstance(other, TokenMap):
            return NotImplemented
        return self._identity == other._identity and np.array_equal(self.codes, other.codes)

    def __hash__(self) -> int:
        return hash((self._identity, self.codes.tobytes()))

    @property
    def _identity(self) -> tuple[object, ...]:
        return self.size, self.factor, self.codebook_size, self.checksum


def grid_shape(size: tuple[int, int], factor: int) -> tuple[int, int]:
    """Return the rows and columns of tokens that cover a picture of `size` (width, height) pixels."""
    width, height = size
    return -(-height // factor), -(-width // factor)


def check_codes(codes: NDArray[np.integer], codebook_size: int) -> None:
    """Raise InvalidRequest when a code is not in [0, codebook_size)."""
    if codes.size and (codes.min() < 0 or codes.max() >= codebook_size):
        wrong = int(codes.max()) if codes.max() >= codebook_size else int(codes.min())
        raise InvalidRequest(
            f"There is no code {wrong} in this codebook: its codes are 0 to {codebook_size - 1}.",
            "Use a map, palette or operation made with this model.",
        )


def check_same_model(made_with: str, checksum: str, what: str) -> None:
    """Raise InvalidRequest when `what` was made with a model of another checksum."""
    if not checksum.startswith(made_with) and not made_with.startswith(checksum):
        raise InvalidRequest(
            f"This {what} was made with another model (checksum {made_with[:8]}, this model has {checksum[:8]}).",
            "Choose the model it was made with.",
        )


def check_same_grid(first: TokenMap, second: TokenMap) -> None:
    """Raise InvalidRequest unless both maps are of one model and one size."""
    check_same_model(first.checksum, second.checksum, "token map")
    if first.size != second.size:
        raise InvalidRequest(
            f"The pictures have different sizes: {first.size[0]} x {first.size[1]} "
            f"and {second.size[0]} x {second.size[1]} pixels.",
            "Resize one to the size of the other first.",
        )


def _shape_text(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in reversed(shape))
