"""Start pictures and masks in our loop against the stock image-to-image and inpainting pipelines, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline

from studio.engine.denoise import Blend, LoopOptions, Start
from studio.engine.engine import Engine
from studio.engine.noise import generators_of
from studio.engine.schedulers import make
from tests.engine.run import arrays, small
from tests.engine.stock import CHOICES, EPSILON, Stock, ours


@pytest.mark.parametrize(
    ("scheduler", "strength"), [*((scheduler, 0.75) for scheduler in EPSILON), ("dpmpp_sde", 0.3), ("euler_a", 1.0)]
)
def test_a_start_picture_gives_the_stock_image_to_image_pixels(
    engine: Engine, stock: dict[str, Stock], scheduler: str, strength: float
) -> None:
    pipeline = StableDiffusionImg2ImgPipeline.from_pipe(stock["sd1"].pipeline, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    request = small(model="sd1", scheduler=scheduler, steps=5)
    pipeline.scheduler = make(CHOICES[scheduler], stock["sd1"].config)
    theirs = pipeline(
        prompt=request.prompt,
        image=latents,
        strength=strength,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance_scale,
        generator=generators_of([request.seed]),
    ).images
    mine = ours(engine, request, LoopOptions(start=Start(latents, strength)))
    np.testing.assert_array_equal(mine, arrays(theirs))


@pytest.mark.parametrize("scheduler", ["ddim", "euler", "dpmpp_2m", "euler_a", "unipc"])
def test_a_hard_mask_gives_the_stock_inpainting_latents(
    engine: Engine, stock: dict[str, Stock], scheduler: str
) -> None:
    pipeline = StableDiffusionInpaintPipeline.from_pipe(stock["sd1"].pipeline, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = make(CHOICES[scheduler], stock["sd1"].config)
    known = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 24:] = 1
    request = small(model="sd1", scheduler=scheduler, steps=4)
    theirs = pipeline(
        prompt=request.prompt,
        image=known,
        mask_image=mask,
        masked_image_latents=torch.zeros_like(known),
        strength=1.0,
        width=64,
        height=64,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance_scale,
        generator=generators_of([request.seed]),
    ).images
    small_mask = torch.nn.functional.interpolate(mask, size=(8, 8))
    mine = ours(engine, request, LoopOptions(blend=Blend(known, small_mask)))
    np.testing.assert_array_equal(mine, arrays(theirs))
