"""Upscaler checkpoints (ESRGAN, SwinIR, DAT, ...): recognised and built by spandrel, run here in overlapping tiles.

spandrel is an option: it needs torchvision, which must match the torch that is installed. Tiles are blended over
their overlap with a linear ramp, so no seam shows, and memory does not grow with the picture.

Source: https://github.com/chaiNNer-org/spandrel (architectures); ESRGAN (Wang 2018) and those that followed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file

from studio.errors import ModelError

TILE, OVERLAP = 256, 32  # pixels of the small picture
NEEDS = ("spandrel", "torchvision")


@dataclass(frozen=True, slots=True)
class Progress:
    """So many tiles are `done`, of `total`; with the last one comes the picture, (1, 3, h scale, w scale) in [0, 1]."""

    done: int
    total: int
    image_01: torch.Tensor | None


@dataclass(frozen=True, slots=True)
class Upscaler:
    """A loaded upscaler.

    Attributes:
        name: The file's name.
        scale: How many times larger a picture becomes.
        model: Takes (1, 3, h, w) in [0, 1], returns (1, 3, h scale, w scale).
        multiple: Sides it takes must be multiples of this.
        device: Where it runs.
    """

    name: str
    scale: int
    model: Callable[[torch.Tensor], torch.Tensor]
    multiple: int
    device: torch.device

    @torch.inference_mode()
    def in_tiles(self, image_01: torch.Tensor) -> Iterator[Progress]:
        """Make `image_01`, (1, 3, h, w) in [0, 1], `scale` times larger; yield after each tile."""
        _, _, height, width = image_01.shape
        total = torch.zeros(1, 3, height * self.scale, width * self.scale)
        weight = torch.zeros(1, 1, height * self.scale, width * self.scale)
        boxes = list(tiles(height, width))
        for done, (top, left, h, w) in enumerate(boxes, 1):
            piece = self._upscaled(image_01[:, :, top : top + h, left : left + w])  # (1, 3, h s, w s)
            ramp = _ramp(h, top, height, self.scale)[:, None] * _ramp(w, left, width, self.scale)[None]
            rows = slice(top * self.scale, (top + h) * self.scale)
            columns = slice(left * self.scale, (left + w) * self.scale)
            total[:, :, rows, columns] += piece * ramp
            weight[:, :, rows, columns] += ramp
            is_last = done == len(boxes)
            yield Progress(done, len(boxes), (total / weight).clamp(0, 1) if is_last else None)

    def _upscaled(self, piece: torch.Tensor) -> torch.Tensor:
        _, _, h, w = piece.shape
        extra = [-side % self.multiple for side in (h, w)]
        padded = F.pad(piece, (0, extra[1], 0, extra[0]), mode="replicate") if any(extra) else piece
        made = self.model(padded.to(self.device)).float().cpu()
        return made[:, :, : h * self.scale, : w * self.scale]


def load_upscaler(path: Path, device: torch.device) -> Upscaler:
    """Load the upscaler in the .safetensors file `path`.

    Raises:
        ModelError: spandrel is missing, or the file is damaged or of no architecture that it knows.
    """
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        verb = "are" if len(missing) > 1 else "is"
        raise ModelError(
            f"Upscaler checkpoints need {' and '.join(missing)}, which {verb} not installed.",
            "Run: pip install 'tessera-studio[upscale]', with a torchvision that fits this torch.",
        )
    from spandrel import ImageModelDescriptor, ModelLoader, UnsupportedModelError

    try:
        found: Any = ModelLoader(device=device).load_from_state_dict(load_file(path))
    except (OSError, SafetensorError, UnsupportedModelError, RuntimeError, KeyError, ValueError) as error:
        why = str(error)[:160] or "its keys belong to no architecture that spandrel knows"
        raise ModelError(f'"{path.name}" is no upscaler that is known here: {why}.', "Use another.") from error
    if not isinstance(found, ImageModelDescriptor) or found.scale < 2:
        raise ModelError(f'"{path.name}" does not make pictures larger.', "Use an upscaler.")
    return Upscaler(path.stem, int(found.scale), found.eval(), found.size_requirements.multiple_of or 1, device)


def tiles(height: int, width: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (top, left, height, width) of tiles of at most TILE pixels that overlap by at least OVERLAP."""
    for top, h in _spans(height):
        for left, w in _spans(width):
            yield top, left, h, w


def _spans(length: int) -> list[tuple[int, int]]:
    if length <= TILE:
        return [(0, length)]
    count = math.ceil((length - OVERLAP) / (TILE - OVERLAP))
    starts = [round(place * (length - TILE) / (count - 1)) for place in range(count)]
    return [(start, TILE) for start in starts]


def _ramp(length: int, start: int, whole: int, scale: int) -> torch.Tensor:
    """Return weights along a tile's side: rising and falling over the overlap, flat at the picture's own edges."""
    weights = torch.ones(length * scale)
    edge = min(OVERLAP, length) * scale
    rise = (torch.arange(edge) + 1) / (edge + 1)
    if start > 0:
        weights[:edge] = torch.minimum(weights[:edge], rise)
    if start + length < whole:
        weights[-edge:] = torch.minimum(weights[-edge:], rise.flip(0))
    return weights
