"""Bring any drawing or photograph to one frame: RGBA, 256 px, the thing centred and filling it alike.

SVG is rendered by resvg, everything else is decoded by Pillow. What cannot make a good training picture is
refused with a reason: broken, empty, too long, too small, a diagram with text.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import cv2
import numpy as np
import resvg_py
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from studio.training.pack import SIDE

FILL = 236  # px: the longer side of the thing inside the 256 px frame
MAX_ASPECT = 4.0
MAX_UPSCALING = 3.5
MAX_PIXELS = 100_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_MAX_RENDER = 2048
_TEXT = re.compile(r"<(?:svg:)?(?:text|flowRoot|image)\b")


class Unusable(Exception):
    """A picture that cannot be used for training; the text is the reason shown in the summary."""


def rasterise(source: str | Path) -> NDArray[np.uint8]:
    """Return (256, 256, 4) uint8 RGBA with straight alpha, the thing centred in the frame.

    Args:
        source: SVG markup, or the path of an SVG or bitmap file.

    Raises:
        Unusable: With the reason, for anything that makes no good training picture.
    """
    if isinstance(source, str):
        return _fit_svg(source)
    if source.suffix.lower() == ".svg":
        return _fit_svg(_read_text(source))
    return fit(load_rgba(source))


def load_rgba(path: Path) -> NDArray[np.uint8]:
    """Decode a bitmap file to (h, w, 4) uint8, upright as the camera's orientation says.

    Raises:
        Unusable: Not a picture, damaged, or larger than 100 megapixels.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Unusable(f"{image.width} x {image.height} pixels is too large")
            return np.asarray(ImageOps.exif_transpose(image).convert("RGBA"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Unusable(f"cannot be read as a picture ({_first_line(error)})") from error


def fit(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Crop to the opaque part, scale its longer side to 236 px and centre it, (h, w, 4) -> (256, 256, 4).

    A picture without transparency fills the whole frame instead, cropped to a centred square.
    """
    if rgba[..., 3].min() >= 250:
        return _cover(rgba)
    x, y, width, height = cv2.boundingRect((rgba[..., 3] > 8).astype(np.uint8))
    if width < 2 or height < 2:
        raise Unusable("empty")
    longer, shorter = max(width, height), min(width, height)
    if longer / shorter > MAX_ASPECT:
        raise Unusable(f"{width} x {height} is too long and thin")
    if longer * MAX_UPSCALING < FILL:
        raise Unusable(f"{width} x {height} is too small")
    scale = FILL / longer
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    inside = resize(rgba[y : y + height, x : x + width], size)
    out = np.zeros((SIDE, SIDE, 4), np.uint8)
    left, top = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    out[top : top + size[1], left : left + size[0]] = inside
    if (out[..., 3] > 128).mean() < 0.02:
        raise Unusable("almost empty")
    return out


def resize(rgba: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale straight-alpha RGBA to `size` = (width, height) without dark or bright rims."""
    shrinks = size[0] < rgba.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    alpha = rgba[..., 3:].astype(np.float32) / 255
    premultiplied = np.concatenate([rgba[..., :3] * alpha, alpha * 255], axis=-1)
    small = np.clip(cv2.resize(premultiplied, size, interpolation=how), 0, 255)
    rgb = small[..., :3] / np.maximum(small[..., 3:] / 255, 1e-3)
    return np.concatenate([np.clip(rgb, 0, 255), small[..., 3:]], axis=-1).round().astype(np.uint8)


def _cover(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = rgba.shape[:2]
    side = min(height, width)
    if max(height, width) / side > MAX_ASPECT:
        raise Unusable(f"{width} x {height} is too long and thin")
    if side * MAX_UPSCALING < SIDE:
        raise Unusable(f"{width} x {height} is too small")
    top, left = (height - side) // 2, (width - side) // 2
    square = rgba[top : top + side, left : left + side]
    how = cv2.INTER_AREA if side > SIDE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (SIDE, SIDE), interpolation=how), np.uint8)


def _fit_svg(markup: str) -> NDArray[np.uint8]:
    if _TEXT.search(markup):
        raise Unusable("contains text or an embedded bitmap")
    rgba = _render(markup, 320)
    box = cv2.boundingRect((rgba[..., 3] > 8).astype(np.uint8))
    longer = max(box[2:])
    if 0 < longer < FILL:  # a small drawing on a large page
        rgba = _render(markup, min(_MAX_RENDER, round(320 * FILL / longer * 1.1)))
    return fit(rgba)


def _render(markup: str, width: int) -> NDArray[np.uint8]:
    try:
        png = resvg_py.svg_to_bytes(svg_string=markup, width=width, dpi=96, skip_system_fonts=True)
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            return np.asarray(image.convert("RGBA"))
    except (ValueError, OSError) as error:
        raise Unusable(f"cannot be rendered ({_first_line(error)})") from error


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return path.read_text(encoding="latin-1")
    except OSError as error:
        raise Unusable(f"cannot be read ({_first_line(error)})") from error


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0][:120] if lines else type(error).__name__
