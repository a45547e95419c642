"""A picture, or a masked part of it, through the denoising loop: image-to-image and masked blending.

What inpainting and style transfer share. The loop is the engine's; here pictures and masks become its options.
On the CPU in float32 the result is, bit for bit, that of the stock image-to-image and inpainting pipelines
with the same latents (a test holds it).

Source: SDEdit (Meng 2022) for the start; masked blending as in diffusers; 9-channel inpainting U-Nets
(Rombach 2022, section 4.5); soft masks: Differential Diffusion (Levin & Fried 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import torch
from PIL import Image

from studio.engine.control import LayControl
from studio.engine.denoise import Blend, LoopOptions, Start
from studio.engine.engine import Engine
from studio.engine.images import to_tensor
from studio.engine.replay import TakeUp
from studio.engine.result import Result
from studio.engine.store import Loaded
from studio.errors import ModelError
from studio.events import Event
from studio.inpaint.geometry import resize_mask
from studio.requests import Sampled

Array = np.ndarray[Any, Any]


def repaint(
    engine: Engine,
    loaded: Loaded,
    request: Sampled,
    picture: Image.Image,
    *,
    strength: float,
    mask: Array | None = None,
    soft: bool = False,
    should_stop: Callable[[], bool],
    take_up: TakeUp | None = None,
    lay_control: LayControl | None = None,
) -> Generator[Event, None, Result | None]:
    """Yield the loop's events; return the repainted pictures, or None when stopped (Cancelled was yielded).

    Args:
        loaded: From `engine.load`.
        request: Prompts, steps, guidance, scheduler, seed, batch.
        picture: RGB, on the model's grid.
        strength: In (0, 1]; with a mask, 1 starts from noise alone.
        mask: (h, w) in [0, 1], 0 keeps; None repaints everything.
        soft: Take values between as strengths per pixel.
        should_stop: Asked before every step.
        take_up: The run to go on with, instead of beginning anew.
        lay_control: Fits a control picture to `picture`; None: over all of it.

    Raises:
        ModelError: An inpainting model without a mask, a U-Net with channels of another purpose, or a model that
            only makes pictures from prompts.
        InvalidRequest, OutOfMemory, InvalidResult: As `Engine.sample`.
    """
    options = loop_options(loaded, picture, strength=strength, mask=mask, soft=soft)
    return (
        yield from engine.sample(
            loaded,
            request,
            picture.width,
            picture.height,
            should_stop=should_stop,
            options=options,
            take_up=take_up,
            lay_control=lay_control,
        )
    )


@torch.inference_mode()
def loop_options(
    loaded: Loaded, picture: Image.Image, *, strength: float, mask: Array | None, soft: bool
) -> LoopOptions:
    """Return what the loop needs to repaint `picture` where `mask` says; see `repaint`."""
    loaded.card.check_loop()
    model = loaded.model
    pixels = to_tensor(picture, device=model.device)
    latents = model.encode(pixels)
    free = None if mask is None else latent_mask(mask, latents)
    extra = _extra_channels(loaded, pixels, mask, free)
    from_noise = strength == 1 and mask is not None and not soft
    start = None if from_noise else Start(latents, strength)
    blend = Blend(latents, free, soft) if free is not None and extra is None else None
    return LoopOptions(start=start, blend=blend, extra_channels=extra)


def latent_mask(mask: Array, latents: torch.Tensor) -> torch.Tensor:
    """Return `mask` (h, w) as (1, 1, h', w') on the grid of `latents`; a cell is as free as its freest pixel."""
    small = resize_mask(mask.astype(np.float32), (latents.shape[3], latents.shape[2]))
    return torch.from_numpy(small)[None, None].to(latents.device)


def _extra_channels(
    loaded: Loaded, pixels: torch.Tensor, mask: Array | None, free: torch.Tensor | None
) -> torch.Tensor | None:
    """Return mask and masked picture, (1, 1 + c, h', w'), for a U-Net that has room for them behind its latents."""
    model = loaded.model
    channels = model.latent_shape(pixels.shape[3], pixels.shape[2])[0]
    room = model.unet.config.in_channels - channels
    if room == 0:
        return None
    if room != 1 + channels:
        raise ModelError(
            f"{loaded.card.name} takes {room} channels beside its latents, for something else than a mask.",
            "Choose another model.",
        )
    if mask is None or free is None:
        raise ModelError(
            f"{loaded.card.name} is an inpainting model and needs a mask.", "Choose a text-to-image model."
        )
    shown = torch.from_numpy(mask == 0)[None, None].to(pixels.device)  # (1, 1, h, w)
    masked = model.encode(pixels * shown)
    return torch.cat([(free > 0).to(masked.dtype), masked], dim=1)
