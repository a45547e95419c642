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
from diffusers import LDMTextToImagePipeline

from studio.engine.denoise import LoopOptions
from studio.engine.engine import Engine
from studio.engine.noise import generators_of, seeds_of
from tests.engine.run import arrays, loaded, small
from tests.engine.stock import EPSILON, Stock, ours


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


def test_guidance_ends_within_the_run_as_the_stock_pipelines_dynamic_guidance(
    engine: Engine, stock: dict[str, Stock]
) -> None:
    request = small(model="sd1", scheduler="dpmpp_2m", steps=5, guidance_scale=6.5, guidance_end=0.4)

    def unguided_after_two(pipeline: Any, step: int, timestep: Any, kept: dict[str, Any]) -> dict[str, Any]:
        if step == 1:  # from zero: two steps are done
            pipeline._guidance_scale = 0.0
            kept["prompt_embeds"] = kept["prompt_embeds"].chunk(2)[-1]
        return kept

    theirs = stock["sd1"](
        request,
        callback_on_step_end=unguided_after_two,
        callback_on_step_end_tensor_inputs=["latents", "prompt_embeds"],
    )
    np.testing.assert_array_equal(ours(engine, request), theirs)
    assert not np.array_equal(theirs, ours(engine, request.with_changes(guidance_end=1.0)))


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
