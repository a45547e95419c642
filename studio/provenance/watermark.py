"""An invisible mark that says "made with Tessera Studio": spread spectrum in the DCT of the whole picture.

The picture's brightness, brought to 256 x 256 pixels, is turned into cosine waves; a fixed pseudo-random sign for
each wave of a middle band is added, scaled by how strong that band is in this very picture. Whoever knows the signs
adds up (wave x sign): in a picture without the mark the sum is like a fair coin's, in a marked one it is not. Working
on the whole picture at one size makes the mark survive scaling, stretching and re-encoding; cropping and rotating
destroy it. It carries no message: nothing about who made the picture, when, or with which words.

Source: Cox, Kilian, Leighton, Shamoon, "Secure Spread Spectrum Watermarking for Multimedia", IEEE Transactions on
Image Processing 6(12), 1997; the strength that takes the picture itself into account is Malvar and Florencio's,
"Improved Spread Spectrum", IEEE Transactions on Signal Processing 51(4), 2003. Ours differs in that it has one fixed
sequence and no key: everybody can look for the mark, and whoever reads this can remove it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from studio.pictures import opaque

THRESHOLD = 5.0  # standard deviations: a picture without the mark gets there once in three million
_SIDE = 256  # pixels the picture is looked at with
_LOW, _HIGH = 20, 104  # radius of the band in the DCT: below, pictures are loud; above, JPEG drops it
_RINGS = 21
_WANTED = 15.0  # standard deviations when it is made
_LEAST_RMS = 0.35  # of a ring, in grey levels of the DCT: flat pictures have rings with nothing in them
_CLIP = 3.0  # of a ring's RMS: single strong edges must not outvote the rest
_LOUDEST_RMS = 255.0 / 10 ** (36.0 / 20)  # grey levels: never louder than 36 dB PSNR, which busy pictures need
_LEAST_LOUD_RMS = 255.0 / 10 ** (49.0 / 20)  # and never so quiet that JPEG takes it away, as on a flat ground
_FIRST = 0.2  # strength of the first try, of a ring's RMS
_ROUNDS = 3
_NAME = b"tessera studio watermark 1"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a picture says of the mark; `score` is in standard deviations of what chance gives."""

    score: float

    @property
    def is_marked(self) -> bool:
        """Whether the mark is there."""
        return self.score >= THRESHOLD


def embed(image: Image.Image) -> Image.Image:
    """Return `image` (RGB, RGBA or L) with the mark; sizes from 64 x 64, smaller ones come back as they are."""
    if min(image.size) < 64:
        return image
    colour = image if image.mode in ("RGB", "RGBA") else image.convert("RGB")
    pixels, start = np.asarray(colour), detect(colour).score
    delta = _resized(_inverse(_signed_band(_luma(colour))), colour.size) * _activity(colour)
    rms = max(float(np.sqrt(np.mean(delta**2))), 1e-9)
    loudest = _LOUDEST_RMS / rms
    strength, marked = min(max(_FIRST, _LEAST_LOUD_RMS / rms), loudest), colour
    for _ in range(_ROUNDS):
        marked = _add(pixels, delta * strength)
        score = detect(marked).score
        if score >= _WANTED or strength >= loudest:
            break
        strength = min(strength * float(np.clip((_WANTED + 0.5 - start) / max(score - start, 0.5), 1.1, 4.0)), loudest)
    return marked


def detect(image: Image.Image) -> Reading:
    """Look for the mark in any picture."""
    waves, signs = _spectrum(_luma(image)).ravel(), _signs()
    total = energy = 0.0
    for ring in _rings():
        there = np.clip(waves[ring] / _rms(waves[ring]), -_CLIP, _CLIP)
        total += float(there @ signs[ring])
        energy += float(there @ there)
    return Reading(total / energy**0.5 if energy > 0 else 0.0)


def _signed_band(luma: Floats) -> Floats:
    """The mark at strength 1: each ring's RMS times its signs, (256, 256)."""
    waves, signs = _spectrum(luma).ravel(), _signs()
    band = np.zeros_like(waves)
    for ring in _rings():
        band[ring] = _rms(waves[ring]) * signs[ring]
    return band.reshape(luma.shape)


def _luma(image: Image.Image) -> Floats:
    """Brightness at 256 x 256, transparency on white."""
    return np.asarray(opaque(image).convert("L").convert("F").resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float64)


def _spectrum(luma: Floats) -> Floats:
    from scipy.fft import dctn  # slow to import, and only needed where pictures are marked

    return np.asarray(dctn(luma, norm="ortho"))


def _inverse(waves: Floats) -> Floats:
    from scipy.fft import idctn

    return np.asarray(idctn(waves, norm="ortho"))


@cache
def _rings() -> tuple[npt.NDArray[np.intp], ...]:
    """The flat places of the waves of each ring of the band, from the longest waves to the shortest."""
    axis = np.arange(_SIDE, dtype=np.float64)
    radius = np.hypot(axis[:, None], axis[None, :]).ravel()
    edges = np.linspace(_LOW, _HIGH, _RINGS + 1)
    return tuple(np.flatnonzero((radius >= inner) & (radius < outer)) for inner, outer in pairwise(edges))


def _rms(waves: Floats) -> float:
    """The RMS of a ring's waves, robustly (from the median), at least _LEAST_RMS."""
    return max(float(np.median(np.abs(waves))) / 0.6745, _LEAST_RMS)


@cache
def _signs() -> Floats:
    """The fixed sequence of -1 and 1, (65536,): SHAKE-256, so that it is the same everywhere and forever."""
    bits = np.unpackbits(np.frombuffer(hashlib.shake_256(_NAME).digest(_SIDE * _SIDE // 8), np.uint8))
    return bits.astype(np.float64) * 2 - 1


def _activity(image: Image.Image) -> Floats:
    """How much a place hides, 0.15 to 1, (height, width): the mark is louder where the picture itself is."""
    grey = image.convert("L")
    busy = np.asarray(grey, np.float64) - np.asarray(grey.filter(ImageFilter.BoxBlur(3)), np.float64)
    around = Image.fromarray(np.clip(np.abs(busy) * 8, 0, 255).astype(np.uint8)).filter(ImageFilter.BoxBlur(4))
    return 0.15 + 0.85 * np.clip(np.asarray(around, np.float64) / 48.0, 0.0, 1.0)


def _resized(delta: Floats, size: tuple[int, int]) -> Floats:
    return np.asarray(Image.fromarray(delta.astype(np.float32)).resize(size, Image.Resampling.BICUBIC), np.float64)


def _add(pixels: npt.NDArray[np.uint8], delta: Floats) -> Image.Image:
    """Add brightness to the colours, leave transparency."""
    changed: Any = pixels.astype(np.float64)
    changed[..., :3] += delta[..., None]
    return Image.fromarray(np.clip(np.rint(changed), 0, 255).astype(np.uint8))
