"""The atlas: every code of a codebook as a swatch.

A code alone decodes to something it never shows in a picture, because the decoder sees its surroundings. So each
code is decoded in a 3x3 field of itself and the centre is cut out: of the fields tried this comes nearest to the
mean of real patches. Swatches are cached per model checksum, as one PNG and one JSON.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from studio.atomic import write_atomically
from studio.codebook.neighbours import CodeSpace, rgb_to_lab
from studio.codebook.tokens import check_codes

if TYPE_CHECKING:
    from studio.codebook.vqgan import Vqgan

FIELD = 3  # tokens per side of the surround
BATCH = 32
VERSION = 1
Progress = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Atlas:
    """Every code's swatch: (K, s, s, 3) uint8, s = the model's factor, in order of index."""

    swatches: NDArray[np.uint8]
    checksum: str

    def __len__(self) -> int:
        return len(self.swatches)

    @property
    def cell(self) -> int:
        """Side of a swatch in pixels."""
        return self.swatches.shape[1]

    @cached_property
    def rgb(self) -> NDArray[np.uint8]:
        """Mean sRGB colour of each code, (K, 3)."""
        return self.swatches.mean((1, 2)).round().astype(np.uint8)

    @cached_property
    def lab(self) -> NDArray[np.float32]:
        """Mean CIE Lab colour of each code, (K, 3)."""
        return rgb_to_lab(self.swatches).mean((1, 2))

    @cached_property
    def texture(self) -> NDArray[np.float32]:
        """Standard deviation of lightness within each swatch, (K,): 0 is flat."""
        return rgb_to_lab(self.swatches)[..., 0].std((1, 2))

    def swatch(self, code: int, size: int = 64) -> Image.Image:
        """Return the swatch of `code`, enlarged to `size` pixels."""
        check_codes(np.array([code]), len(self))
        return Image.fromarray(self.swatches[code]).resize((size, size), Image.Resampling.LANCZOS)

    def sheet(self, arrangement: NDArray[np.integer], *, cell: int = 0, background: str = "#202020") -> Image.Image:
        """Draw an arrangement (rows, columns) of codes (-1 is blank; see `orders.arrange`) edge to edge."""
        cell = cell or self.cell
        rows, columns = arrangement.shape
        sheet = Image.new("RGB", (columns * cell, rows * cell), background)
        for (row, column), code in np.ndenumerate(arrangement):
            if code >= 0:
                swatch = Image.fromarray(self.swatches[code])
                if cell != self.cell:
                    swatch = swatch.resize((cell, cell), Image.Resampling.LANCZOS)
                sheet.paste(swatch, (column * cell, row * cell))
        return sheet

    def space(self, vectors: NDArray[np.float32]) -> CodeSpace:
        """Return the CodeSpace of the model with these (K, d) `vectors` (`Vqgan.vectors`)."""
        return CodeSpace(vectors, self.lab, self.texture, self.checksum)

    def save(self, folder: Path) -> None:
        """Write the sprite and its description into `folder`."""
        picture, description = _paths(folder, self.checksum)
        png = io.BytesIO()
        self.sheet(_by_index(len(self))).save(png, "PNG")
        write_atomically(picture, png.getvalue(), durable=False)
        facts = {
            "version": VERSION,
            "checksum": self.checksum,
            "codes": len(self),
            "cell": self.cell,
            "field": FIELD,
        }
        write_atomically(description, json.dumps(facts).encode(), durable=False)

    @classmethod
    def load(cls, folder: Path, checksum: str) -> Atlas | None:
        """Return the cached atlas of the model, or None when there is none that fits."""
        picture, description = _paths(folder, checksum)
        try:
            facts = json.loads(description.read_text(encoding="utf-8"))
            sheet = np.asarray(Image.open(picture, formats=("PNG",)).convert("RGB"))
            codes, cell = int(facts["codes"]), int(facts["cell"])
        except (OSError, ValueError, KeyError, TypeError, SyntaxError):
            return None  # a cache: anything unreadable is made again
        columns = ceil(sqrt(codes))
        rows = ceil(codes / columns)
        fits = facts.get("version") == VERSION and facts.get("checksum") == checksum and facts.get("field") == FIELD
        if not fits or sheet.shape != (rows * cell, columns * cell, 3):
            return None
        tiles = sheet.reshape(rows, cell, columns, cell, 3).swapaxes(1, 2).reshape(-1, cell, cell, 3)
        return cls(np.ascontiguousarray(tiles[:codes]), checksum)


def make_atlas(vqgan: Vqgan, *, progress: Progress | None = None) -> Atlas:
    """Decode every code in a 3x3 field of itself; `progress` is called with the fraction done."""
    swatches = np.empty((vqgan.codebook_size, vqgan.factor, vqgan.factor, 3), np.uint8)
    centre = slice(vqgan.factor * (FIELD // 2), vqgan.factor * (FIELD // 2 + 1))
    for start in range(0, vqgan.codebook_size, BATCH):
        codes = np.arange(start, min(start + BATCH, vqgan.codebook_size))
        fields = np.broadcast_to(codes[:, None, None], (len(codes), FIELD, FIELD))
        pixels = vqgan.decode_vectors(vqgan.code_vectors(fields))
        swatches[codes] = pixels[:, centre, centre]
        if progress:
            progress(float(codes[-1] + 1) / vqgan.codebook_size)
    return Atlas(swatches, vqgan.checksum)


def open_atlas(vqgan: Vqgan, cache_dir: Path, *, progress: Progress | None = None) -> Atlas:
    """Return the model's atlas from `cache_dir`, made and kept there first where it is missing."""
    atlas = Atlas.load(cache_dir, vqgan.checksum)
    if atlas is None or len(atlas) != vqgan.codebook_size or atlas.cell != vqgan.factor:
        atlas = make_atlas(vqgan, progress=progress)
        atlas.save(cache_dir)
    return atlas


def _paths(folder: Path, checksum: str) -> tuple[Path, Path]:
    return folder / f"atlas-{checksum[:16]}.png", folder / f"atlas-{checksum[:16]}.json"


def _by_index(count: int) -> NDArray[np.int64]:
    columns = ceil(sqrt(count))
    rows = ceil(count / columns)
    cells = np.full(rows * columns, -1)
    cells[:count] = np.arange(count)
    return cells.reshape(rows, columns)
