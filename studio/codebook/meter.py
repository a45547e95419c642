"""The compression meter: what a picture's codes cost in bits, and what they keep, beside JPEG and WebP.

Bits per pixel: raw is log2 K per token; entropy is the order-0 entropy of this picture's own codes (a bound for
coders without context, the table of frequencies not counted); packed is the payload that a share string carries.
PSNR is over RGB in 8 bits; SSIM is the mean over the three channels with the Gaussian window of Wang et al.,
"Image Quality Assessment: From Error Visibility to Structural Similarity" (2004), sigma 1.5, data range 255.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from math import inf, log2, log10

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from studio.codebook.share import pack
from studio.codebook.tokens import TokenMap
from studio.codebook.usage import entropy_bits
from studio.errors import InvalidRequest

WINDOW = 11


@dataclass(frozen=True, slots=True)
class Fidelity:
    """One way of keeping the picture: its size and what is left. `quality` is the codec's setting."""

    name: str
    bytes: int
    psnr: float
    ssim: float
    quality: int | None = None
    fits: bool = True


@dataclass(frozen=True, slots=True)
class Meter:
    """Bits per pixel of the codes in three countings, and the codes beside JPEG and WebP."""

    raw_bpp: float
    entropy_bpp: float
    packed_bpp: float
    codes: Fidelity
    others: tuple[Fidelity, ...]

    def describe(self) -> list[str]:
        """Say it in lines for a page or a terminal."""
        lines = [
            f"bits per pixel: raw {self.raw_bpp:.4f}, entropy {self.entropy_bpp:.4f}, packed {self.packed_bpp:.4f}"
        ]
        for way in (self.codes, *self.others):
            note = "" if way.fits else " (its smallest: cannot be as small as the codes)"
            lines.append(f"{way.name}: {way.bytes:,} bytes, PSNR {way.psnr:.2f} dB, SSIM {way.ssim:.4f}{note}")
        return lines


def measure(original: Image.Image, tokens: TokenMap, decoded: Image.Image) -> Meter:
    """Compare `decoded` (the picture of `tokens`) and JPEG and WebP of at most the same size with `original`."""
    original = original.convert("RGB")
    pixels = tokens.size[0] * tokens.size[1]
    payload = len(pack(tokens.codes, tokens.codebook_size)[1])
    return Meter(
        raw_bpp=tokens.codes.size * log2(tokens.codebook_size) / pixels,
        entropy_bpp=tokens.codes.size * entropy_bits(tokens.counts) / pixels,
        packed_bpp=8 * payload / pixels,
        codes=Fidelity("codes", payload, psnr(original, decoded), ssim(original, decoded)),
        others=tuple(_at_size(original, kind, payload) for kind in ("JPEG", "WEBP")),
    )


def psnr(first: Image.Image, second: Image.Image) -> float:
    """Return the peak signal-to-noise ratio in dB over RGB; infinite for equal pictures."""
    a, b = _pair(first, second)
    error = float(((a - b) ** 2).mean())
    return 10 * log10(255**2 / error) if error else inf


def ssim(first: Image.Image, second: Image.Image) -> float:
    """Return the structural similarity in [-1, 1]; raises InvalidRequest below 11 pixels a side."""
    a, b = _pair(first, second)
    if min(a.shape[:2]) < WINDOW:
        raise InvalidRequest(f"SSIM needs {WINDOW} pixels a side; the picture has {a.shape[1]} x {a.shape[0]}.")
    mean_a, mean_b = _blur(a), _blur(b)
    var_a, var_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    )
    edge = WINDOW // 2  # windows that reach past the border are not counted
    return float(similarity[edge:-edge, edge:-edge].mean())


def _blur(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.GaussianBlur(values, (WINDOW, WINDOW), 1.5, borderType=cv2.BORDER_REFLECT), np.float64)


def _pair(first: Image.Image, second: Image.Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if first.size != second.size:
        raise InvalidRequest(f"The pictures have different sizes: {first.size} and {second.size}.")
    return np.asarray(first.convert("RGB"), np.float64), np.asarray(second.convert("RGB"), np.float64)


def _at_size(original: Image.Image, kind: str, limit: int) -> Fidelity:
    """Return the best quality of a codec within `limit` bytes, by bisection; its smallest where none fits."""
    low, high = 1, 95
    best, quality = _encoded(original, kind, low), low
    while low <= high and len(best) <= limit:
        middle = (low + high) // 2
        data = _encoded(original, kind, middle)
        if len(data) <= limit:
            best, quality, low = data, middle, middle + 1
        else:
            high = middle - 1
    decoded = Image.open(io.BytesIO(best), formats=(kind,)).convert("RGB")
    scores = psnr(original, decoded), ssim(original, decoded)
    return Fidelity("WebP" if kind == "WEBP" else kind, len(best), *scores, quality=quality, fits=len(best) <= limit)


def _encoded(picture: Image.Image, kind: str, quality: int) -> bytes:
    buffer = io.BytesIO()
    options = {"method": 6} if kind == "WEBP" else {"optimize": True}
    picture.save(buffer, kind, quality=quality, **options)  # type: ignore[arg-type]
    return buffer.getvalue()
