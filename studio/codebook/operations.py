"""Operations on a token map: frozen, seeded, composable, and their own JSON recipe.

Each has `apply(codes, space) -> codes` and returns a new (h, w) array; `space` is the model's CodeSpace (with
colours from the atlas where `needs_colours`). They travel as plain dicts in `EditTokens.operations`:
`operation.model_dump(mode="json")` and `parse_operations`. Masks are cells (row, column); None is everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, TypeAlias, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy.cluster.vq import kmeans2

from studio.codebook.cells import Mask, flood, mask_of
from studio.codebook.neighbours import By, CodeSpace, Key, euclidean
from studio.codebook.palettes import Method, Palette, transfer
from studio.codebook.tokens import Codes, TokenMap, check_codes
from studio.errors import InvalidRequest, UnknownName
from studio.requests import MAX_SEED

Index = Annotated[int, Field(ge=0, le=2**31 - 1)]
Size = Annotated[int, Field(ge=1, le=2**31 - 1)]
At = tuple[Index, Index]
Cells = tuple[At, ...]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]


class BaseOperation(BaseModel):
    """One edit of a token map."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def apply(self, codes: Codes, space: CodeSpace) -> Codes:
        """Return the edited copy of `codes` (h, w); raises InvalidRequest for a code or cell out of range."""
        out = codes.copy()
        self.edit(out, space)
        return out

    def edit(self, codes: Codes, space: CodeSpace) -> None:
        """Change `codes` in place."""
        raise TypeError(f"{type(self).__name__} does not say how it edits")

    @property
    def needs_colours(self) -> bool:
        """Whether the space must have an atlas' colours."""
        return getattr(self, "by", "") == "colour"


class Masked(BaseOperation):
    """An edit within a mask."""

    mask: Cells | None = Field(None, description="Cells (row, column); None is everywhere")

    def within(self, codes: Codes) -> Mask:
        """Return the mask as a boolean (h, w) array."""
        return mask_of(self.mask, codes.shape)


class Paint(BaseOperation):
    """Set cells to one code (brush, pencil, stroke)."""

    kind: Literal["paint"] = "paint"
    code: Index
    cells: Cells

    def edit(self, codes: Codes, space: CodeSpace) -> None:
        _known(space, self.code)
        codes[mask_of(self.cells, codes.shape)] = self.code


class Fill(Masked):
    """Fill the connected area of equal codes around a cell (paint bucket)."""

    kind: Literal["fill"] = "fill"
    code: Index
    at: At

    def edit(self, codes: Codes, space: CodeSpace) -> None:
        _known(space, self.code)
        codes[flood(codes, self.at) & self.within(codes)] = self.code


class Write(BaseOperation):
    """Set cells to a code each (a resampled area, a pasted drawing)."""

    kind: Literal["write"] = "write"
    cells: Cells
    codes: tuple[Index, ...]

    def edit(self, codes: Codes, space: CodeSpace) -> None:
        if len(self.cells) != len(self.codes):
            raise InvalidRequest(f"There are {len(self.cells)} cells but {len(self.codes)} codes to write.")
        _known(space, *self.codes)
        mask_of(self.cells, codes.shape)
        for cell, code in zip(self.cells, self.codes, strict=True):
            codes[cell] = code


class Stamp(BaseOperation):
    """Put a pattern of codes down with its top left corner at a cell; -1 is see-through, edges are cut off."""

    kind: Literal["stamp"] = "stamp"
    pattern: tuple[tuple[Annotated[int, Field(ge=-1)], ...], ...] = Field(min_length=1)
    at: tuple[int, int]

    def edit(self, codes: Codes, space: CodeSpace) -> None:
        if len({len(row) for row in self.pattern}) != 1:
            raise InvalidRequest("The rows of a stamp must have the same length.")
        pattern = np.array(self.pattern, dtype=np.int32)
        _known(space, int(pattern.max(initial=0)))
        put(codes, pattern, self.at)


class BoxOperation(BaseOperation):
    """An edit that takes a box (top, left, height, width) to a place; what falls off the edge is cut off."""

    box: tuple[Index, Index, Size, Size]
    to: tuple[int, int]


class CopyRegion(BoxOperation):
    """Copy a box to another place."""

    kind: Literal["copy"] = "copy"

    def edit(self, codes: Codes, space: CodeSpace) -> None:
        put(codes, _cut(codes, self.box), self.to)


class MoveRegion(BoxOperation):
    """Move a box to another place; `background` fills where it was."""

    kind: Literal["move"] = "move"
    background: Index

    def edit(self, codes: Codes, space: CodeSpace) -> None:
        _known(space, self.background)
        piece = _cut(codes, self.box)
        top, left, height, width = self.box
        codes[top : top + height, left : left + width] = self.background
        put(codes, piece, self.to)


class ReplaceAll(Masked):
    """Replace one code by another wherever it occurs."""

    kind: Literal["replace_all"] = "replace_all"
    old: Index
    new: Index

    def edit(self, codes: Codes, space: CodeSpace) -> None:
        _known(space, self.old, self.new)
        codes[(codes == self.old) & self.within(codes)] = self.new


class Mute(Masked):
    """Silence codes: each becomes its nearest code that is not muted."""

    kind: Literal["mute"] = "mute"
    codes: tuple[Index, ...] = Field(min_length=1)
    by: By = "embedding"

    def edit(self, codes: Codes, space: CodeSpace) -> None:
        _known(space, *self.codes)
        allowed = np.setdiff1d(np.arange(len(space)), self.codes)
        if not len(allowed):
            raise InvalidRequest("All codes are muted: nothing is left to draw with.", "Leave at least one.")
        hit = np.isin(codes, self.codes) & self.within(codes)
        if hit.any():
            codes[hit] = space.nearest_of(codes[hit], allowed, by=self.by)


class Jitter(Masked):
    """Swap each token with its k-th nearest code with a probability."""

    kind: Literal["jitter"] = "jitter"
    k: int = Field(1, ge=1, le=256, title="Neighbour", description="1 is the nearest code")
    probability: float = Field(0.2, ge=0, le=1, title="Probability")
    seed: Seed = 0
    by: By = "embedding"

    def edit(self, codes: Codes, space: CodeSpace) -> None:
        if self.k >= len(space):
            raise InvalidRequest(f"A code has {len(space) - 1} neighbours; there is no neighbour {self.k}.")
        # Drawn for every cell, so that the mask does not change what happens inside it.
        hit = (np.random.default_rng(self.seed).random(codes.shape) < self.probability) & self.within(codes)
        for code in np.unique(codes[hit]):
            codes[hit & (codes == code)] = -1 - space.neighbours(int(code), self.k, by=self.by)[self.k - 1].code
        codes[codes < 0] = -1 - codes[codes < 0]  # marked negative so that no token is swapped twice


class Restrict(Masked):
    """Draw with at most N of the codes in use: k-means of the tokens, snapped to used codes."""

    kind: Literal["restrict"] = "restrict"
    count: int = Field(16, ge=1, le=65_536, title="Codes to keep")
    seed: Seed = 0
    by: By = "embedding"

    def edit(self, codes: Codes, space: CodeSpace) -> None:
        mask = self.within(codes)
        used = np.unique(codes[mask])
        if len(used) <= self.count:
            return
        points = space.points(self.by)
        centres, _ = kmeans2(
            points[codes[mask]].astype(np.float64),
            self.count,
            minit="++",
            rng=np.random.default_rng(self.seed),
        )
        kept = _snap(centres, points, used)
        codes[mask] = space.nearest_of(codes[mask], kept, by=self.by)


class Sort(Masked):
    """Sort the tokens of a mask in reading order (or down the columns)."""

    kind: Literal["sort"] = "sort"
    key: Key = "lightness"
    down: bool = Field(False, description="Down the columns instead of along the rows")
    reverse: bool = False

    @property
    def needs_colours(self) -> bool:
        return self.key in ("hue", "lightness", "texture")

    def edit(self, codes: Codes, space: CodeSpace) -> None:
        mask = self.within(codes)
        counts = np.bincount(codes[mask], minlength=len(space))
        view, mask = (codes.T, mask.T) if self.down else (codes, mask)
        values = view[mask]
        order = np.lexsort((values, space.key(self.key, counts=counts)[values]))
        view[mask] = values[order[::-1] if self.reverse else order]


class Shuffle(Masked):
    """Shuffle the tokens of a mask."""

    kind: Literal["shuffle"] = "shuffle"
    seed: Seed = 0

    def edit(self, codes: Codes, space: CodeSpace) -> None:
        mask = self.within(codes)
        codes[mask] = np.random.default_rng(self.seed).permutation(codes[mask])


class SetPalette(Masked):
    """Redraw with the codes of a palette; `strength` is the share of tokens that change."""

    kind: Literal["set_palette"] = "set_palette"
    palette: Palette
    method: Method = "transport"
    strength: float = Field(1.0, ge=0, le=1, title="Strength")
    by: By = "colour"

    @property
    def needs_colours(self) -> bool:
        return self.by == "colour" or self.method == "histogram"

    def edit(self, codes: Codes, space: CodeSpace) -> None:
        self.palette.check(space.checksum, len(space))
        codes[:] = transfer(
            codes,
            self.palette,
            space,
            method=self.method,
            strength=self.strength,
            by=self.by,
            mask=self.within(codes),
        )


Operation: TypeAlias = (
    Paint
    | Fill
    | Write
    | Stamp
    | CopyRegion
    | MoveRegion
    | ReplaceAll
    | Mute
    | Jitter
    | Restrict
    | Sort
    | Shuffle
    | SetPalette
)
OPERATIONS: dict[str, type[BaseOperation]] = {t.model_fields["kind"].default: t for t in get_args(Operation)}


def parse_operation(values: dict[str, Any]) -> Operation:
    """Return the operation that `values` (with a "kind") describe.

    Raises:
        UnknownName: There is no such operation.
        InvalidRequest: A value is missing, unknown or out of bounds; says which.
    """
    kind = str(values.get("kind", ""))
    if kind not in OPERATIONS:
        raise UnknownName("operation", kind, OPERATIONS, field="operations")
    try:
        return OPERATIONS[kind].model_validate(values)  # type: ignore[return-value]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidRequest(
            f'The operation "{kind}" cannot have {where} = {first.get("input")!r:.60}: {first["msg"].lower()}.',
            field="operations",
        ) from error


def parse_operations(values: Iterable[dict[str, Any]]) -> tuple[Operation, ...]:
    """Return the operations that a recipe describes; raises what `parse_operation` does."""
    return tuple(parse_operation(v) for v in values)


def apply(tokens: TokenMap, operations: Sequence[Operation], space: CodeSpace) -> TokenMap:
    """Return `tokens` after `operations` in order; the same input gives the same map."""
    codes = tokens.codes
    for operation in operations:
        codes = operation.apply(codes, space)
    check_codes(codes, tokens.codebook_size)
    return tokens.with_codes(codes)


def put(codes: Codes, pattern: Codes, at: tuple[int, int]) -> None:
    """Write `pattern` (-1 is see-through) into `codes` with its top left corner `at` (may be off the grid)."""
    top, left = at
    rows, columns = codes.shape
    piece = pattern[max(0, -top) : max(0, rows - top), max(0, -left) : max(0, columns - left)]
    target = codes[max(0, top) : max(0, top) + piece.shape[0], max(0, left) : max(0, left) + piece.shape[1]]
    np.copyto(target, piece, where=piece >= 0)


def _cut(codes: Codes, box: tuple[int, int, int, int]) -> Codes:
    top, left, height, width = box
    if top + height > codes.shape[0] or left + width > codes.shape[1]:
        raise InvalidRequest(
            f"The box at row {top}, column {left} of {height} x {width} tokens reaches past the grid "
            f"of {codes.shape[0]} x {codes.shape[1]}.",
            "Choose a box inside the picture.",
        )
    return codes[top : top + height, left : left + width].copy()


def _known(space: CodeSpace, *codes: int) -> None:
    check_codes(np.array(codes, dtype=np.int64), len(space))


def _snap(centres: np.ndarray, points: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Return the used codes nearest to each centre, each once."""
    return np.unique(used[euclidean(centres, points[used]).argmin(1)])
