"""Enlarging a picture without denoising: Lanczos, or an upscaler's network where its file is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image

from studio.engine.addons import find_addon
from studio.engine.device import choose_device
from studio.engine.images import to_tensor
from studio.enhance.tiles import blended, tile_boxes
from studio.inpaint.geometry import Box
from studio.settings import Settings

_TILE, _OVERLAP = 256, 32  # pixels of the source, for networks: memory grows with the tile's area


@dataclass(frozen=True, slots=True)
class Enlarged:
    """An enlarged picture, what made it, and what to tell the artist."""

    picture: Image.Image
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def enlarge(picture: Image.Image, scale: int, *, upscaler: str, settings: Settings) -> Enlarged:
    """Return RGB `picture`, `scale` times as wide and as high.

    Args:
        upscaler: Id of an upscaler in the model folders; empty: Lanczos.

    Raises:
        UnknownName: There is no such upscaler.
        ModelError: Its file cannot be read.
        StudioError: The library that runs upscalers is not installed.
    """
    size = (picture.width * scale, picture.height * scale)
    if not upscaler:
        return Enlarged(picture.resize(size, Image.Resampling.LANCZOS))
    found = find_addon(settings.checkpoint_folders, "upscaler", upscaler)
    from studio.engine.upscalers import load_upscaler

    network = load_upscaler(found.path, torch.device(choose_device(settings).device))
    larger = _through(network, picture)
    return Enlarged(larger.resize(size, Image.Resampling.LANCZOS), {"upscaler_scale": network.scale})


@torch.inference_mode()
def _through(network: Any, picture: Image.Image) -> Image.Image:
    """Return the whole of `picture` through `network`, tile by tile."""
    whole, side = np.asarray(picture), min(_TILE, picture.width, picture.height)
    overlap, scale = min(_OVERLAP, side // 2), network.scale
    pieces = []
    for box in tile_boxes(picture.width, picture.height, side=side, overlap=overlap):
        pixels = to_tensor(Image.fromarray(whole[box.top : box.bottom, box.left : box.right])) * 0.5 + 0.5
        made = network(pixels.to(network.device))[0].clamp(0, 1).mul(255).round().permute(1, 2, 0)
        larger = Box(*(edge * scale for edge in (box.left, box.top, box.right, box.bottom)))
        pieces.append((larger, made.to(torch.uint8).cpu().numpy()))
    size = (picture.width * scale, picture.height * scale)
    return Image.fromarray(blended(pieces, width=size[0], height=size[1], overlap=overlap * scale))
