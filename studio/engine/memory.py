"""Memory: what a run will need, what fits, and how to come back from having run out."""

from __future__ import annotations

import gc
import traceback
from typing import Any

import torch

from studio.errors import OutOfMemory

_DECODER_COPIES = 12  # full-size activations of the decoder's narrowest level alive at once, with their inputs
_UNET_COPIES = 24  # the same for the U-Net at latent size; attention is computed in slices and adds little
_ONEDNN = "could not create a primitive"  # its convolutions ask for memory of their own and hide why they failed
_SAYINGS = (  # of a RuntimeError that is one of memory
    "not enough memory",  # torch's CPU allocator
    "out of memory",  # CUDA's and cuDNN's
    _ONEDNN,
    "could not create a memory object",
    "could not execute a primitive",
    "bad_alloc",
    "annot allocate memory",
)


def estimate_bytes(model: Any, width: int, height: int, rows: int) -> int:
    """Return about how many bytes the activations of a run with `rows` pictures at once take."""
    if hasattr(model, "estimate_bytes"):
        return int(model.estimate_bytes(width, height, rows))
    item = torch.finfo(model.autoencoder.dtype).bits // 8
    decoder = _DECODER_COPIES * model.autoencoder.config.block_out_channels[0] * width * height * item
    _, h, w = model.latent_shape(width, height)
    channels = model.unet.config.block_out_channels
    width_of_unet = channels if isinstance(channels, int) else channels[0]  # a prior's transformer has one width
    unet = _UNET_COPIES * 2 * width_of_unet * h * w * model.dtype.itemsize
    return (max(decoder, unet) + unet) * rows


def largest_fitting(model: Any, width: int, height: int, rows: int, free_bytes: int) -> tuple[int, int, int]:
    """Return the largest (width, height, pictures) below the given setting whose estimate is under `free_bytes`.

    Fewer pictures come before smaller ones, since a batch can be made in turn; at least one cell remains.
    """
    for count in range(rows - 1, 0, -1):
        if estimate_bytes(model, width, height, count) <= free_bytes:
            return width, height, count
    grid = model.card.grid
    for share in (0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125):
        w, h = (max(grid, 64, int(side * share) // grid * grid) for side in (width, height))
        if (w, h) != (width, height) and estimate_bytes(model, w, h, 1) <= free_bytes:
            return w, h, 1
    return max(grid, 64), max(grid, 64), 1


def check_fits(model: Any, width: int, height: int, rows: int, free_bytes: int) -> None:
    """Raise OutOfMemory, naming what would fit, when a run needs more than `free_bytes`."""
    need = estimate_bytes(model, width, height, rows)
    if need > free_bytes:
        raise _too_much(
            f"This needs about {need / 1e9:.1f} GB; {free_bytes / 1e9:.1f} GB is free.",
            largest_fitting(model, width, height, rows, free_bytes),
        )


def explain(model: Any | None, width: int, height: int, rows: int, free_bytes: int) -> OutOfMemory:
    """Return the error for a run that did run out, with a setting of at most half its need."""
    if model is None:
        return OutOfMemory("There is not enough memory for this.", "Close other programs, or use a smaller model.")
    limit = min(free_bytes, estimate_bytes(model, width, height, rows) // 2)
    return _too_much(
        f"There is not enough memory for {width}×{height}" + (f" × {rows} pictures." if rows > 1 else "."),
        largest_fitting(model, width, height, rows, limit),
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether `error` says that memory ran out: every allocator under torch says so differently."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(saying in str(error) for saying in _SAYINGS)


def spoils_thread(error: BaseException | None) -> bool:
    """Return whether `error` makes oneDNN fail on this thread for good: its code generator never resets a failure."""
    return _ONEDNN in str(error)


def release(error: BaseException | None = None) -> None:
    """Give memory back: tensors held by `error`'s frames, garbage cycles, and torch's cached blocks."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _too_much(message: str, fits: tuple[int, int, int]) -> OutOfMemory:
    width, height, rows = fits
    pictures = f" with {rows} pictures at a time" if rows > 1 else ""
    return OutOfMemory(message, f"Try {width}×{height}{pictures}.")
