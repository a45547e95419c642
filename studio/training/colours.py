"""Colour words of pixels, and pixels of colour words.

Every caption that names a colour is computed here from the picture itself, never from the file name, so
that "a blue apple" is blue. Eleven words, after the basic colour terms of English (Berlin and Kay, Basic
Color Terms, 1969); the borders are in HSV and were set by eye on pictograms.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

COLOURS = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey",
)  # fmt: skip
HUES_DEGREES = {
    "red": 2.0, "orange": 29.0, "yellow": 51.0, "green": 118.0, "blue": 216.0, "purple": 275.0, "pink": 328.0,
}  # fmt: skip
_TYPICAL = {  # saturation and value that a thing of this colour has at the median, at least
    "red": (0.82, 0.8), "orange": (0.85, 0.92), "yellow": (0.75, 0.93), "green": (0.55, 0.5),
    "blue": (0.6, 0.65), "purple": (0.5, 0.6), "pink": (0.45, 0.9),
}  # fmt: skip
DOMINANT_SHARE = 0.4
_BITS = 5  # the table has 32 levels per channel
_OPAQUE = 128
_UNNAMED = len(COLOURS)


def dominant_colours(rgba: NDArray[np.uint8]) -> tuple[str, ...]:
    """Return the words that cover at least 40 % of the opaque area, largest first (none, one or two).

    Args:
        rgba: (h, w, 4) uint8 with straight alpha.
    """
    shares = _shares(rgba)
    order = np.argsort(-shares, kind="stable")
    return tuple(COLOURS[i] for i in order if shares[i] >= DOMINANT_SHARE)


def colour_of(rgb: NDArray[np.uint8]) -> str | None:
    """Return the word for one colour, (3,) uint8, or None for one between the words (skin, cream, steel)."""
    index = int(_table()[tuple(rgb >> (8 - _BITS))])
    return COLOURS[index] if index < _UNNAMED else None


def rotate_hue(rgba: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    """Turn every hue of the picture by the same angle; greys and alpha stay. (h, w, 4) -> (h, w, 4)."""
    hsv = cv2.cvtColor(rgba[..., :3], cv2.COLOR_RGB2HSV_FULL)
    shift = round(degrees / 360 * 256) % 256
    hsv[..., 0] += np.uint8(shift)  # uint8 wraps around, as hues do
    out = rgba.copy()
    out[..., :3] = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)
    return out


def recolour(rgba: NDArray[np.uint8], colour: str) -> NDArray[np.uint8] | None:
    """Return the thing in another colour, or None when its pixels do not become that colour.

    A coloured thing has its hues turned by the angle from its main hue to the new one, and is brightened where
    the turn alone would give another word (a dark green turns to olive, not to yellow); black, white, grey
    and brown replace hue and saturation and stretch the brightness. The result is measured: only if
    `dominant_colours` then names `colour` first is it returned, so the caption cannot lie.
    """
    hsv = np.asarray(cv2.cvtColor(rgba[..., :3], cv2.COLOR_RGB2HSV_FULL), np.uint8)
    opaque = rgba[..., 3] >= _OPAQUE
    if colour in HUES_DEGREES:
        mean = _main_hue(hsv, opaque)
        if mean is None:
            return None
        out = _brightened(rotate_hue(rgba, HUES_DEGREES[colour] - mean), opaque, *_TYPICAL[colour])
    else:
        out = rgba.copy()
        out[..., :3] = _tinted(hsv, colour, opaque)
    named = dominant_colours(out)
    return out if named and named[0] == colour else None


def paint(colour: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a flat colour that the word describes, (3,) uint8."""
    choices = _swatches()[colour]
    return choices[int(rng.integers(len(choices)))]


def _shares(rgba: NDArray[np.uint8]) -> NDArray[np.float64]:
    small = rgba[:: max(1, rgba.shape[0] // 64), :: max(1, rgba.shape[1] // 64)]
    pixels = small[small[..., 3] >= _OPAQUE][:, :3] >> (8 - _BITS)
    if not len(pixels):
        return np.zeros(len(COLOURS))
    words = _table()[pixels[:, 0], pixels[:, 1], pixels[:, 2]]
    return np.bincount(words, minlength=len(COLOURS) + 1)[: len(COLOURS)] / len(words)


def _main_hue(hsv: NDArray[np.uint8], opaque: NDArray[np.bool_]) -> float | None:
    """Commonest hue in degrees of the coloured part, or None for a grey thing."""
    coloured = opaque & (hsv[..., 1] > 70) & (hsv[..., 2] > 60)
    if coloured.sum() < 0.25 * max(1, opaque.sum()):
        return None
    counts = np.bincount(hsv[..., 0][coloured], minlength=256).astype(np.float64)
    smooth = np.convolve(np.concatenate([counts[-12:], counts, counts[:12]]), np.hanning(27)[1:-1], "valid")
    return float(smooth.argmax()) * 360 / 256


def _brightened(
    rgba: NDArray[np.uint8], opaque: NDArray[np.bool_], saturation: float, value: float
) -> NDArray[np.uint8]:
    """Raise saturation and value by gamma curves until their medians reach these, if they lie below."""
    hsv = np.asarray(cv2.cvtColor(rgba[..., :3], cv2.COLOR_RGB2HSV_FULL), np.uint8)
    coloured = opaque & (hsv[..., 1] > 70) & (hsv[..., 2] > 60)
    for channel, wanted in ((1, saturation), (2, value)):
        median = float(np.median(hsv[..., channel][coloured])) / 255 if coloured.any() else 1.0
        if median < wanted:
            gamma = np.log(wanted) / np.log(max(median, 0.05))
            curve = np.round(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
            hsv[..., channel] = curve[hsv[..., channel]]
    out = rgba.copy()
    out[..., :3] = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)
    return out


def _tinted(hsv: NDArray[np.uint8], colour: str, opaque: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """One hue for the whole thing; brightness stretched into the range where the word holds."""
    value = hsv[..., 2].astype(np.float32)
    saturation = hsv[..., 1].astype(np.float32)
    tone = value * (1 - 0.35 * saturation / 255)
    inside = tone[opaque]
    low, high = np.percentile(inside, [3, 97]) if inside.size else (0.0, 255.0)
    middle, reach = (low + high) / 2, max(high - low, 60.0)  # a flat thing stays in the middle of the range
    tone = np.clip((tone - middle) / reach + 0.5, 0, 1)
    hue, sat, dark, bright = {
        "black": (0, 0, 8, 62), "white": (0, 0, 212, 255), "grey": (0, 0, 95, 205), "brown": (17, 150, 55, 165),
    }[colour]  # fmt: skip
    flat = np.empty_like(hsv)
    flat[..., 0], flat[..., 1] = hue, sat
    flat[..., 2] = dark + tone * (bright - dark)
    return np.asarray(cv2.cvtColor(flat, cv2.COLOR_HSV2RGB_FULL), np.uint8)


@cache
def _table() -> NDArray[np.uint8]:
    """Colour word index of every quantised RGB value, (32, 32, 32)."""
    levels = (np.arange(1 << _BITS, dtype=np.float32) * 8 + 4) / 255
    rgb = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1)
    hsv = cv2.cvtColor(rgb.reshape(-1, 1, 3), cv2.COLOR_RGB2HSV).reshape(-1, 3)
    index = {word: i for i, word in enumerate(COLOURS)}
    return np.array([index.get(_word(*row) or "", _UNNAMED) for row in hsv.tolist()], np.uint8).reshape(rgb.shape[:3])


def _word(hue: float, saturation: float, value: float) -> str | None:
    """Name one HSV colour: hue in degrees, saturation and value 0 to 1. None for what has no sure name."""
    if value < 0.17 or (value < 0.3 and saturation < 0.4):
        return "black"
    if saturation < 0.13:
        return "white" if value > 0.84 else "grey"
    if 165 < hue < 250 and saturation < 0.4:  # steel, slate
        return "white" if value > 0.95 and saturation < 0.16 else "grey" if saturation < 0.3 else None
    if saturation < 0.22:
        return "white" if value > 0.96 and saturation < 0.16 else "grey" if value < 0.62 else None
    if hue < 12 or hue >= 345:
        return _reddish(hue, saturation, value)
    if hue < 37:
        return _orangish(saturation, value)
    if hue < 68:
        return _yellowish(hue, saturation, value)
    if hue < 184:
        return "green"
    if hue < 252:
        return "blue"
    if hue < 296:
        return "purple"
    return "pink" if value > 0.66 or hue > 335 else "purple"


def _reddish(hue: float, saturation: float, value: float) -> str | None:
    if saturation < 0.58 and value > 0.72:
        return "pink" if hue < 6 or hue >= 345 or value > 0.9 else None
    if hue < 40 and value < 0.62 and (hue > 7 or saturation < 0.6):
        return "brown"
    return "red" if saturation > 0.5 else None


def _orangish(saturation: float, value: float) -> str | None:
    if value < 0.74:
        return "brown"
    return "orange" if saturation > 0.55 else None  # pale orange is skin, sand, cream


def _yellowish(hue: float, saturation: float, value: float) -> str | None:
    if value > 0.76:
        return "yellow" if saturation > 0.35 else None
    if hue < 48:
        return "brown" if value < 0.62 else None
    return "green" if hue > 58 else None


@cache
def _swatches() -> dict[str, NDArray[np.uint8]]:
    """Clean sample colours for each word: bright, light and dark ones near the middle of its range."""
    rng = np.random.default_rng(0)
    middles = {**HUES_DEGREES, "brown": 22.0}
    found: dict[str, list[NDArray[np.uint8]]] = {word: [] for word in COLOURS}
    for word, middle in middles.items():
        spread = 22 if word in ("green", "blue") else 12 if word in ("purple", "pink") else 6
        least = np.maximum(np.array(_TYPICAL.get(word, (0.0, 0.0))) - (0.15, 0.12), (0.45, 0.4))
        for hue, *strength in rng.random((400, 3)):
            degrees = (middle + (hue * 2 - 1) * spread) % 360
            saturation, value = least + (1 - least) * strength
            hsv = np.array([[[degrees * 255 / 360, saturation * 255, value * 255]]])
            rgb = np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB_FULL)[0, 0], np.uint8)
            if colour_of(rgb) == word:
                found[word].append(rgb)
    for word, low, high in (("black", 0, 34), ("grey", 95, 200), ("white", 245, 255)):
        found[word] = [np.full(3, v, np.uint8) for v in range(low, high + 1, 2)]
    return {word: np.stack(samples) for word, samples in found.items()}
