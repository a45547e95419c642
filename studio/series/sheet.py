"""A grid as one picture: cells in rows and columns, with a legend along the edges."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

MAX_SIDE = 6000  # pixels of a sheet; larger cells are drawn smaller, their own files keep their size
_GAP = 8
_INK, _FAINT, _PAPER, _EMPTY = (38, 38, 42), (110, 108, 104), (247, 246, 243), (232, 230, 225)
_WIDE_FONTS = (
    "NotoSansCJK-Regular.ttc", "NotoSansSC-Regular.otf", "msyh.ttc", "PingFang.ttc", "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf", "NotoSans-Regular.ttf", "DejaVuSans.ttf",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Labels:
    """What stands above the columns, beside the rows, and over the blocks; each with the name of what varies."""

    columns: Sequence[str]
    rows: Sequence[str] = ("",)
    blocks: Sequence[str] = ("",)


def draw_sheet(pictures: Sequence[Image.Image | None], labels: Labels) -> Image.Image:
    """Return the pictures as one, along x, then y, then z; None leaves a place empty."""
    wide, high, deep = len(labels.columns), len(labels.rows), len(labels.blocks)
    assert len(pictures) == wide * high * deep, "one picture, or None, for every place"
    size = _cell_size(pictures, wide, high * deep)
    font = _font(max(11, min(size) // 16), "".join([*labels.columns, *labels.rows, *labels.blocks]))
    line = round(sum(font.getmetrics()) * 1.5)
    margin = min(max((round(font.getlength(text)) for text in labels.rows), default=0) + 2 * _GAP, size[0])
    margin = margin if any(labels.rows) else _GAP
    block = (line if any(labels.blocks) else 0) + line + high * (size[1] + _GAP) + _GAP
    sheet = Image.new("RGB", (margin + wide * (size[0] + _GAP), deep * block), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for z in range(deep):
        top = z * block
        if any(labels.blocks):
            pen.text((margin, top + line / 2), labels.blocks[z], fill=_INK, font=font, anchor="lm")
            top += line
        for x, text in enumerate(labels.columns):
            centre = margin + x * (size[0] + _GAP) + size[0] / 2
            pen.text((centre, top + line / 2), _cut(text, font, size[0]), fill=_FAINT, font=font, anchor="mm")
        for y, text in enumerate(labels.rows):
            middle = top + line + y * (size[1] + _GAP) + size[1] / 2
            pen.text((margin - _GAP, middle), _cut(text, font, margin - _GAP), fill=_FAINT, font=font, anchor="rm")
            for x in range(wide):
                corner = (margin + x * (size[0] + _GAP), top + line + y * (size[1] + _GAP))
                _place(sheet, pictures[(z * high + y) * wide + x], corner, size)
    return sheet


def _cell_size(pictures: Sequence[Image.Image | None], wide: int, high: int) -> tuple[int, int]:
    """Return the largest picture's size, made smaller until the sheet is no larger than it may be."""
    sizes = [picture.size for picture in pictures if picture is not None] or [(256, 256)]
    width, height = (max(sides) for sides in zip(*sizes, strict=True))
    scale = min(1.0, MAX_SIDE / (wide * width), MAX_SIDE / (high * height))
    return max(16, round(width * scale)), max(16, round(height * scale))


def _place(sheet: Image.Image, picture: Image.Image | None, corner: tuple[int, int], size: tuple[int, int]) -> None:
    if picture is None:
        ImageDraw.Draw(sheet).rectangle((*corner, corner[0] + size[0] - 1, corner[1] + size[1] - 1), fill=_EMPTY)
        return
    small = picture.convert("RGBA")
    small.thumbnail(size, Image.Resampling.LANCZOS)
    sheet.paste(small, (corner[0] + (size[0] - small.width) // 2, corner[1] + (size[1] - small.height) // 2), small)


def _font(size: int, text: str) -> ImageFont.FreeTypeFont:
    """Return Pillow's own font, or one of the system's where the words need other letters."""
    if any(ord(letter) > 0x24F for letter in text):
        for name in _WIDE_FONTS:
            with suppress(OSError):
                return ImageFont.truetype(name, size)
    font = ImageFont.load_default(size=size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _cut(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Return `text`, shortened with an ellipsis to fit into `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
