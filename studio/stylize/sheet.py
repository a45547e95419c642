"""The contact sheet: several pictures in a labelled grid."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_GAP = 12
_INK, _PAPER = (38, 38, 42), (247, 246, 243)


def contact_sheet(pictures: Sequence[Image.Image], labels: Sequence[str], *, cell: int = 320) -> Image.Image:
    """Return `pictures` in a grid, each fitted into a square of `cell` pixels with its label below."""
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    font = ImageFont.load_default(size=max(10, cell // 18))
    line = math.ceil(sum(font.getmetrics()) * 1.6) if isinstance(font, ImageFont.FreeTypeFont) else 20
    pitch_x, pitch_y = cell + _GAP, cell + line + _GAP
    sheet = Image.new("RGB", (columns * pitch_x + _GAP, rows * pitch_y + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        left, top = _GAP + place % columns * pitch_x, _GAP + place // columns * pitch_y
        small = picture.convert("RGBA")
        small.thumbnail((cell, cell), Image.Resampling.LANCZOS)
        sheet.paste(small, (left + (cell - small.width) // 2, top + (cell - small.height) // 2), small)
        draw.text((left + cell / 2, top + cell + line / 2), label, fill=_INK, font=font, anchor="mm")
    return sheet
