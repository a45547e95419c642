"""The loop against the stock diffusers pipelines: the same pixels, bit for bit, on the CPU in float32.

The stock pipelines predict a batch in one call; ours, on the CPU, one picture after another (see
`studio.engine.denoise`). So a batch is compared twice: predicted together with the stock batch, and one after
another with stock runs of one picture each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DiffusionPipeline,
    LDMTextToImagePipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)

from studio.engine.denoise import Blend, LoopOptions, Start
from studio.engine.engine import Engine, Result
from studio.engine.noise import generators_of, seeds_of
from studio.engine.schedulers import SCHEDULERS, make
from studio.requests import TextToImage
from tests.engine.run import arrays, loaded, never, small

CHOICES = {choice.id: choice for choice in SCHEDULERS}
STOCK: dict[str, Any] = {
    "sd1": StableDiffusionPipeline,
    "sd2": StableDiffusionPipeline,
    "sdxl": StableDiffusionXLPipeline,
    "lcm": StableDiffusionPipeline,
    "ldm": LDMTextToImagePipeline,
}


class Stock:
    """The stock pipeline of a tiny model, run the way its own documentation says."""

    def __init__(self, folder: Path, cls: Any) -> None:
        extra = {"safety_checker": None, "requires_safety_checker": False} if "StableDiffusionP" in str(cls) else {}
        self.pipeline: DiffusionPipeline = cls.from_pretrained(folder, use_safetensors=True, **extra)
        self.pipeline.set_progress_bar_config(disable=True)
        self.config = dict(self.pipeline.scheduler.config)

    def __call__(self, request: TextToImage, **extra: Any) -> np.ndarray:
        self.pipeline.scheduler = make(CHOICES[request.scheduler], self.config)
        return arrays(
            self.pipeline(
                prompt=request.prompt,
                negative_prompt=request.negative_prompt or None,
                num_inference_steps=request.steps,
                guidance_scale=request.guidance_scale,
                num_images_per_prompt=request.batch,
                generator=generators_of(seeds_of(request.seed, request.batch)),
                **{"width": request.width, "height": request.height, **extra},
            ).images
        )


@pytest.fixture(scope="module")
def stock(model_folder: Path) -> dict[str, Stock]:
    return {name: Stock(model_folder / name, STOCK[name]) for name in ("sd1", "sd2", "sdxl", "lcm")}


def ours(engine: Engine, request: TextToImage, options: LoopOptions | None = None) -> np.ndarray:
    """Return the pictures of a request run with `options`."""
    model = loaded(engine, request.model)
    run = engine.sample(model, request, request.width, request.height, should_stop=never, options=options)
    with torch.inference_mode():
        while True:
            try:
                next(run)
            except StopIteration as stop:
                assert isinstance(stop.value, Result)
                return arrays(stop.value.images)


EPSILON = ("dpmpp_2m", "dpmpp_2m_karras", "dpmpp_sde", "ddim", "euler", "euler_a", "unipc", "lcm")


@pytest.mark.parametrize("scheduler", EPSILON)
@pytest.mark.parametrize("model", ["sd1", "sd2", "sdxl"])
def test_every_scheduler_gives_the_stock_pipelines_pixels(
    engine: Engine, stock: dict[str, Stock], model: str, scheduler: str
) -> None:
    if model == "sd2" and scheduler == "lcm":
        assert "lcm" in [c.id for c in loaded(engine, model).card.schedulers]
    request = small(model=model, scheduler=scheduler, steps=4, guidance_scale=6.5, negative_prompt="blurry")
    np.testing.assert_array_equal(ours(engine, request), stock[model](request))


@pytest.mark.parametrize("model", ["sd1", "sd2", "sdxl"])
@pytest.mark.parametrize(
    "values",
    [
        {"width": 128, "height": 64},
        {"width": 72, "height": 88, "negative_prompt": "blurry"},
        {"guidance_scale": 1.0},
        {"steps": 1},
        {"steps": 17, "scheduler": "dpmpp_2m_karras"},
        {"prompt": "a cat, " * 60},
    ],
    ids=str,
)
def test_sizes_guidance_and_prompts_give_the_stock_pipelines_pixels(
    engine: Engine, stock: dict[str, Stock], model: str, values: dict[str, Any]
) -> None:
    request = small(model=model, **values)
    np.testing.assert_array_equal(ours(engine, request), stock[model](request))


@pytest.mark.parametrize("scheduler", ["euler_a", "dpmpp_sde", "dpmpp_2m"])
@pytest.mark.parametrize("model", ["sd1", "sd2", "sdxl"])
def test_a_batch_predicted_together_is_the_stock_batch(
    engine: Engine, stock: dict[str, Stock], model: str, scheduler: str
) -> None:
    request = small(model=model, scheduler=scheduler, batch=3, negative_prompt="blurry")
    np.testing.assert_array_equal(ours(engine, request, LoopOptions(together=True)), stock[model](request))


@pytest.mark.parametrize("scheduler", ["euler_a", "dpmpp_sde", "dpmpp_2m", "lcm"])
@pytest.mark.parametrize("model", ["sd1", "sdxl"])
def test_picture_i_of_a_batch_is_the_stock_picture_made_alone_with_its_seed(
    engine: Engine, stock: dict[str, Stock], model: str, scheduler: str
) -> None:
    request = small(model=model, scheduler=scheduler, batch=3, seed=2**32 - 2)
    pictures = ours(engine, request)
    for picture, seed in zip(pictures, seeds_of(request.seed, 3), strict=True):
        alone = small(model=model, scheduler=scheduler, seed=seed)
        np.testing.assert_array_equal(picture, ours(engine, alone)[0])
        np.testing.assert_array_equal(picture, stock[model](alone)[0])


def test_a_distilled_model_takes_the_guidance_scale_as_an_input(engine: Engine, stock: dict[str, Stock]) -> None:
    request = small(model="lcm", scheduler="lcm", steps=4, guidance_scale=8)
    np.testing.assert_array_equal(ours(engine, request), stock["lcm"](request))


@pytest.mark.parametrize("size", [64, 96])
@pytest.mark.parametrize("negative", ["", "blurry"])
@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_our_own_family_gives_the_stock_latent_diffusion_pipelines_pixels(
    engine: Engine, model_folder: Path, size: int, negative: str, guidance: float
) -> None:
    request = small(
        model="ldm",
        scheduler="ddim",
        steps=5,
        width=size,
        height=size,
        negative_prompt=negative,
        guidance_scale=guidance,
    )
    pipeline = Stock(model_folder / "ldm", LDMTextToImagePipeline).pipeline
    tokenizer = pipeline.tokenizer
    # the stock pipeline knows no negative prompt, but asks the tokenizer for "" in its place
    pipeline.tokenizer = lambda texts, **kw: tokenizer([text or negative for text in texts], **kw)
    # it takes the latents to be an eighth of the size, whatever the autoencoder
    latent_sized = size // 16 * 8
    theirs = pipeline(
        [request.prompt],
        height=latent_sized,
        width=latent_sized,
        num_inference_steps=request.steps,
        guidance_scale=guidance,
        generator=generators_of([request.seed]),
    ).images
    np.testing.assert_array_equal(ours(engine, request), arrays(theirs))


@pytest.mark.parametrize("scheduler", EPSILON)
@pytest.mark.parametrize("strength", [0.3, 0.75, 1.0])
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
