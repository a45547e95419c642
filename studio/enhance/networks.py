"""Enlarging a picture without denoising: Lanczos, or an upscaler's network where its file is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image

from studio.engine.addons import AddOn, find_addon
from studio.engine.device import choose_device
from studio.engine.images import to_pictures, to_tensor
from studio.engine.upscalers import Upscaler, load_upscaler
from studio.events import Cancelled, Event, Loading, Step
from studio.settings import Settings

_PREVIEW_SIDE = 256


@dataclass(frozen=True, slots=True)
class Enlarged:
    """An enlarged picture, what made it, and what to tell the artist."""

    picture: Image.Image
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Networks:
    """The upscalers in the model folders; the one used last stays loaded."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: tuple[tuple[str, int, int], Upscaler] | None = None

    def find(self, name: str) -> AddOn:
        """Return the upscaler called `name`; raises UnknownName, or ModelError where its file cannot be used."""
        return find_addon(self._settings.checkpoint_folders, "upscaler", name)

    def load(self, found: AddOn) -> Generator[Loading, None, Upscaler]:
        """Yield Loading, unless it is loaded already, and return the network.

        Raises:
            ModelError: Its file cannot be read, or the library that runs upscalers is not installed.
        """
        stamp = found.stamp()
        if self._kept is None or self._kept[0] != stamp:
            yield Loading(found.name or found.id)
            self._kept = None
            self._kept = stamp, load_upscaler(found.path, torch.device(choose_device(self._settings).device))
        return self._kept[1]


def enlarge(
    picture: Image.Image, scale: int, *, upscaler: str, networks: Networks, should_stop: Callable[[], bool]
) -> Generator[Event, None, Enlarged | None]:
    """Return RGB `picture`, `scale` times as wide and as high; None when stopped, within a tile.

    Yields Loading, a Step for each tile, and Cancelled.

    Args:
        upscaler: Id of an upscaler in the model folders; empty: Lanczos.

    Raises:
        UnknownName: There is no such upscaler.
        ModelError: Its file cannot be read, or the library that runs upscalers is not installed.
    """
    size = (picture.width * scale, picture.height * scale)
    if not upscaler:
        return Enlarged(picture.resize(size, Image.Resampling.LANCZOS))
    network = yield from networks.load(networks.find(upscaler))
    larger = yield from _through(network, picture, should_stop)
    if larger is None:
        return None
    return Enlarged(larger.resize(size, Image.Resampling.LANCZOS), {"upscaler_scale": network.scale})


def preview_of(picture: Image.Image) -> Image.Image:
    """Return `picture`, small."""
    small = picture.copy()
    small.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE), Image.Resampling.BOX)
    return small


def _through(
    network: Upscaler, picture: Image.Image, should_stop: Callable[[], bool]
) -> Generator[Event, None, Image.Image | None]:
    """Return the whole of `picture` through `network`; what is seen meanwhile is the picture as it was."""
    began, done = time.perf_counter(), 0
    for made in network.in_tiles(to_tensor(picture) * 0.5 + 0.5):
        done = made.done
        yield Step(done, made.total, preview_of(picture) if done == 1 else None, time.perf_counter() - began)
        if made.image_01 is not None:
            return to_pictures(made.image_01 * 2 - 1)[0]
        if should_stop():
            break
    yield Cancelled(at_step=done)
    return None
