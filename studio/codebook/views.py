"""Pictures of a token map: its codes, how well they fit, how sure they are, how often they are used."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from studio.codebook.atlas import Atlas
from studio.codebook.tokens import TokenMap, check_same_model
from studio.codebook.usage import Usage
from studio.errors import InvalidRequest

UNKNOWN = (96, 96, 96)  # edited tokens have no measurement


def codes_view(tokens: TokenMap, atlas: Atlas) -> Image.Image:
    """Draw each token as its code's swatch, side by side: what the codes say before the decoder blends them."""
    check_same_model(tokens.checksum, atlas.checksum, "token map")
    rows, columns = tokens.shape
    tiles = atlas.swatches[tokens.codes]  # (h, w, s, s, 3)
    pixels = tiles.swapaxes(1, 2).reshape(rows * atlas.cell, columns * atlas.cell, 3)
    return _cropped(pixels, tokens)


def error_view(tokens: TokenMap) -> Image.Image:
    """Draw the distance of each token to its code: bright where the codebook has nothing that fits."""
    return _heat(_measured(tokens, tokens.distance), tokens, cv2.COLORMAP_INFERNO)


def margin_view(tokens: TokenMap) -> Image.Image:
    """Draw how clearly each code won over the second choice: dark tokens could as well be another code."""
    return _heat(_measured(tokens, tokens.margin), tokens, cv2.COLORMAP_VIRIDIS)


def usage_view(tokens: TokenMap, usage: Usage | None = None) -> Image.Image:
    """Draw how common each token's code is, in this picture or over `usage`: bright is common (log scale)."""
    if usage is not None:
        check_same_model(usage.checksum, tokens.checksum, "count of codes")
    counts = tokens.counts if usage is None else usage.counts
    return _heat(np.log1p(counts[tokens.codes].astype(np.float32)), tokens, cv2.COLORMAP_CIVIDIS)


def difference(first: Image.Image, second: Image.Image, *, gain: float = 1.0) -> Image.Image:
    """Draw the absolute difference of two pictures of one size, times `gain`."""
    if first.size != second.size:
        raise InvalidRequest(f"The pictures have different sizes: {first.size} and {second.size}.")
    a, b = (np.asarray(p.convert("RGB"), dtype=np.float32) for p in (first, second))
    return Image.fromarray((np.abs(a - b) * gain).clip(0, 255).astype(np.uint8))


def _measured(tokens: TokenMap, values: NDArray[np.float32] | None) -> NDArray[np.float32]:
    if values is None:
        raise InvalidRequest(
            "This token map was not made from a picture, so nothing was measured.",
            "Start from a picture to see this view.",
        )
    return values


def _heat(values: NDArray[np.float32], tokens: TokenMap, colours: int) -> Image.Image:
    known = np.isfinite(values)
    low, high = (values[known].min(), values[known].max()) if known.any() else (0.0, 1.0)
    scaled = np.where(known, (values - low) / max(float(high - low), 1e-12), 0) * 255
    rgb = np.array(cv2.applyColorMap(scaled.astype(np.uint8), colours)[..., ::-1], np.uint8)  # BGR -> RGB
    rgb[~known] = UNKNOWN
    return _cropped(rgb.repeat(tokens.factor, 0).repeat(tokens.factor, 1), tokens)


def _cropped(pixels: NDArray[np.uint8], tokens: TokenMap) -> Image.Image:
    width, height = tokens.size
    return Image.fromarray(np.ascontiguousarray(pixels[:height, :width]))
