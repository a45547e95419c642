"""Contact sheets of pictures, for watching a run."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

_GAP = 4


def to_uint8(pictures: Tensor) -> np.ndarray:
    """Turn (b, 3, h, w) in [-1, 1] into (b, h, w, 3) uint8, rounding."""
    scaled = ((pictures.detach().float().cpu() + 1) * 127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).numpy()


def picture_grid(pictures: Tensor, *, columns: int, labels: list[str] | None = None) -> Image.Image:
    """Lay out pictures (b, 3, h, w) in [-1, 1] row by row, with a line of text under each when ``labels`` is given."""
    tiles = to_uint8(pictures)
    height, width = tiles.shape[1:3]
    text = 14 if labels else 0
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * (width + _GAP) + _GAP, rows * (height + _GAP + text) + _GAP), (96, 96, 96))
    pen = ImageDraw.Draw(sheet)
    for i, tile in enumerate(tiles):
        x = _GAP + (i % columns) * (width + _GAP)
        y = _GAP + (i // columns) * (height + _GAP + text)
        sheet.paste(Image.fromarray(tile), (x, y))
        if labels:
            pen.text((x + 2, y + height), labels[i][: width // 6], fill=(255, 255, 255))
    return sheet
