"""From a request to work: source, mask, canvas, crop; and from what was painted back to the whole picture."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from studio.errors import InvalidRequest
from studio.events import Event, Step
from studio.inpaint import masks
from studio.inpaint.composite import Untouched, composite, count_untouched, match_seam
from studio.inpaint.geometry import (
    Box,
    extend_canvas,
    painted_box,
    plan_crop,
    put,
    resize,
    resize_mask,
    take,
    whole_crop,
)
from studio.inpaint.prefill import prefill
from studio.pictures import LIMIT_MEGAPIXELS
from studio.requests import Inpaint

Array = np.ndarray[Any, Any]
Painting = TypeVar("Painting")

_PREVIEW_SIDE = 320


@dataclass(frozen=True, slots=True)
class Canvas:
    """What a method works on.

    Attributes:
        source: (h, w, 3 or 4) uint8, the source on its extended canvas; the rule of untouched pixels is about it.
        rgb: (h, w, 3) uint8, the same without transparency (over white), new parts filled from their surroundings.
        strength: (h, w) float32 in [0, 1], what to repaint and how strongly, the feathered edge included.
        final_mask: (h, w) uint8, how much of the repainted picture shows; 0 is untouched.
        box: The part to work on.
        notes: What was converted.
    """

    source: Array
    rgb: Array
    strength: Array
    final_mask: Array
    box: Box
    notes: tuple[str, ...]

    def crop(self, size: tuple[int, int]) -> tuple[Array, Array]:
        """Return the part to work on at `size` (width, height): RGB uint8, and strengths in [0, 1]."""
        return resize(take(self.rgb, self.box), size), resize_mask(self._work(self.strength), size)

    def restored(self, painted: Array, *, match_colours: bool) -> Array:
        """Return the whole picture with `painted` (any size, RGB), the repainted part to work on, put back."""
        patch = resize(painted, (self.box.width, self.box.height))
        if match_colours:
            patch = match_seam(patch, take(self.rgb, self.box), self._work(self.strength) > 0)
        return composite(self.source, put(self.rgb, patch, self.box), self.final_mask)

    def untouched(self, result: Array) -> Untouched:
        """Count the pixels outside the mask that differ between the source and `result`."""
        return count_untouched(self.source, result, self.final_mask)

    def _work(self, mask: Array) -> Array:
        """The mask in the part to work on; what hangs over the canvas is reflected, but never painted."""
        inside = np.zeros((self.box.height, self.box.width), mask.dtype)
        clipped = self.box.clipped(mask.shape[1], mask.shape[0])
        rows = slice(clipped.top - self.box.top, clipped.bottom - self.box.top)
        columns = slice(clipped.left - self.box.left, clipped.right - self.box.left)
        inside[rows, columns] = mask[clipped.top : clipped.bottom, clipped.left : clipped.right]
        return inside


class Preview:
    """Shows what is being painted in its place on a small picture of the whole canvas."""

    def __init__(self, canvas: Canvas) -> None:
        height, width = canvas.final_mask.shape
        self._scale = min(1.0, _PREVIEW_SIDE / max(width, height))
        size = max(round(width * self._scale), 1), max(round(height * self._scale), 1)
        self._whole, self._mask = resize(canvas.rgb, size), resize_mask(canvas.final_mask, size)
        left, top = round(canvas.box.left * self._scale), round(canvas.box.top * self._scale)
        right, bottom = round(canvas.box.right * self._scale), round(canvas.box.bottom * self._scale)
        self._box = Box(left, top, max(right, left + 1), max(bottom, top + 1))

    def of(self, preview: Image.Image, *, count: int) -> Image.Image:
        """Return the `count` pictures that `preview` shows side by side, each on the whole canvas."""
        width = preview.width // count
        wholes = []
        for index in range(count):
            part = preview.crop((index * width, 0, (index + 1) * width, preview.height)).convert("RGB")
            patch = np.asarray(part.resize((self._box.width, self._box.height), Image.Resampling.BILINEAR))
            wholes.append(composite(self._whole, put(self._whole, patch, self._box), self._mask))
        return Image.fromarray(np.concatenate(wholes, axis=1))


def shown_in_place(
    canvas: Canvas, loop: Generator[Event, None, Painting], *, count: int
) -> Generator[Event, None, Painting]:
    """Yield the events of `loop` with the previews of its `count` pictures put in their place on the whole canvas."""
    preview = Preview(canvas)
    while True:
        try:
            event = next(loop)
        except StopIteration as stop:
            return stop.value
        if isinstance(event, Step) and event.preview is not None:
            event = replace(event, preview=preview.of(event.preview, count=count))
        yield event


def prepare(request: Inpaint, read_picture: Callable[[str], Image.Image]) -> Canvas:
    """Return the canvas that `request` describes.

    Raises:
        InvalidRequest: Nothing is painted, shrinking left nothing, or the canvas would be too large.
        InvalidPicture: The source or the mask is gone.
    """
    picture = read_picture(request.source)
    notes: list[str] = []
    picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    _check_size(picture.size, request.extend)
    painted = np.zeros((picture.height, picture.width), np.float32)
    if request.mask is not None:
        reading = masks.read_mask(read_picture(request.mask), picture.size, soft=request.soft)
        painted, notes = reading.mask, [*reading.notes]
    elif not any(request.extend):
        raise InvalidRequest(masks.EMPTY, field="mask")
    painted = _grown(painted, request.grow)
    source, new = extend_canvas(np.asarray(picture), request.extend)
    painted = np.maximum(_placed(painted, request.extend), new)
    if picture.mode == "RGBA":
        notes.append("The picture has transparent parts: they count as white, and stay transparent outside the mask.")
    strength = masks.feather(painted, request.feather)
    shows = masks.feather(masks.opacity(painted) if request.soft else painted, request.feather)
    rgb = prefill(_over_white(source), new > 0, how="blur")
    size = source.shape[1], source.shape[0]
    box = whole_crop(size)
    if request.area == "masked":
        box = plan_crop(painted_box(strength), size, padding=request.padding)
    return Canvas(source, rgb, strength, masks.quantise(shows), box, tuple(notes))


def filled(crop: Array, strength: Array, request: Inpaint) -> Array:
    """Return the crop (h, w, 3) with its masked part pre-filled as the request says."""
    return prefill(crop, strength > 0, how=request.prefill, colour=request.fill_colour, seed=request.seed)


def _grown(mask: Array, pixels: int) -> Array:
    grown = masks.grow(mask, pixels)
    if mask.any() and not grown.any():
        raise InvalidRequest(
            f"Shrinking the mask by {-pixels} px leaves nothing of it.", "Shrink it less, or paint more.", field="grow"
        )
    return grown


def _placed(mask: Array, extend: tuple[int, int, int, int]) -> Array:
    left, top, right, bottom = extend
    return np.pad(mask, ((top, bottom), (left, right)))


def _over_white(picture: Array) -> Array:
    if picture.shape[2] == 3:
        return picture
    alpha = picture[..., 3:].astype(np.float32) / 255
    return np.rint(picture[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def _check_size(size: tuple[int, int], extend: tuple[int, int, int, int]) -> None:
    width, height = size[0] + extend[0] + extend[2], size[1] + extend[1] + extend[3]
    if width * height > LIMIT_MEGAPIXELS * 1e6:
        raise InvalidRequest(
            f"The picture would be {width}×{height}, {width * height / 1e6:.0f} megapixels; "
            f"the limit is {LIMIT_MEGAPIXELS}.",
            "Make it smaller, or extend it less.",
            field="extend" if any(extend) else "source",
        )
