"""Image-to-image and masked blending against the stock pipelines, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline

from studio.engine.denoise import Plan, denoise
from studio.engine.engine import Engine
from studio.engine.images import to_tensor
from studio.engine.noise import draw, generators_of
from studio.engine.result import Result
from studio.errors import ModelError
from studio.events import Step
from studio.inpaint.repaint import loop_options, repaint
from studio.requests import Inpaint, parse
from tests.engine.run import loaded
from tests.stylize.waves import waves

PICTURE = waves(96, 64, seed=1)
MASK = np.zeros((64, 96), np.float32)
MASK[8:32, 16:48] = 1


def asked(**settings: Any) -> Inpaint:
    """A request with settings that both sides are given."""
    values = {"kind": "inpaint", "source": "0" * 64, "prompt": "a cat", "steps": 6, "seed": 5, "scheduler": "ddim"}
    made = parse({**values, **settings})
    assert isinstance(made, Inpaint)
    return made


def ours(engine: Engine, model: str, request: Inpaint, **how: Any) -> tuple[list[Step], Result]:
    """The steps and the result of the engine's loop."""
    run = repaint(engine, loaded(engine, model), request, PICTURE, should_stop=lambda: False, **how)
    steps = []
    while True:
        try:
            event = next(run)
        except StopIteration as stop:
            assert stop.value is not None
            return steps, stop.value
        if isinstance(event, Step):
            steps.append(event)


def stock(kind: Any, folder: Path, engine: Engine, request: Inpaint, **parts: Any) -> tuple[Any, dict[str, Any]]:
    """The stock pipeline with our scheduler (and `parts` beside its own), and the arguments both share."""
    pipeline = kind.from_pretrained(folder, **parts)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = loaded(engine, folder.name).model.new_scheduler(request.scheduler, steps=request.steps)
    shared = {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "guidance_scale": request.guidance_scale,
        "num_inference_steps": request.steps,
        "generator": torch.Generator().manual_seed(request.seed),
    }
    return pipeline, shared


@pytest.mark.parametrize("scheduler", ["ddim", "euler", "euler_a", "dpmpp_2m"])
@pytest.mark.parametrize("strength", [0.3, 0.8, 1.0])
def test_image_to_image_is_the_stock_pipelines(engine: Engine, models: Path, scheduler: str, strength: float) -> None:
    request = asked(scheduler=scheduler, negative_prompt="a dog")
    pipeline, shared = stock(StableDiffusionImg2ImgPipeline, models / "tiny-sd", engine, request)
    latents = loaded(engine, "tiny-sd").model.encode(to_tensor(PICTURE))
    expected = pipeline(image=latents, strength=strength, **shared).images[0]
    steps, result = ours(engine, "tiny-sd", request, strength=strength)
    assert result.images[0].tobytes() == expected.tobytes()
    assert len(steps) == int(6 * strength) and steps[0].preview is not None


@pytest.mark.parametrize("scheduler", ["ddim", "euler", "dpmpp_2m"])
@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("model", ["tiny-sd", "tiny-sd-inpainting"])
def test_masked_repainting_is_the_stock_inpainting_pipelines(
    engine: Engine, models: Path, model: str, scheduler: str, strength: float
) -> None:
    request = asked(scheduler=scheduler)
    pipeline, shared = stock(StableDiffusionInpaintPipeline, models / model, engine, request)
    encode = loaded(engine, model).model.encode
    pixels, mask = to_tensor(PICTURE), torch.from_numpy(MASK)[None, None]
    expected = pipeline(
        image=encode(pixels),
        mask_image=mask,
        masked_image_latents=encode(pixels * (mask < 0.5)),
        strength=strength,
        height=64,
        width=96,
        **shared,
    ).images[0]
    _, result = ours(engine, model, request, strength=strength, mask=MASK)
    assert result.images[0].tobytes() == expected.tobytes()


@pytest.mark.parametrize("model", ["tiny-ldm", "tiny-sd"])
def test_outside_the_mask_the_latents_are_the_pictures(engine: Engine, model: str) -> None:
    request = asked()
    picture = loaded(engine, model).model
    seen: list[torch.Tensor] = []
    decode = picture.decode
    picture.decode = lambda latents: (seen.append(latents), decode(latents))[1]
    try:
        ours(engine, model, request, strength=1.0, mask=MASK)
    finally:
        del picture.decode
    known = picture.encode(to_tensor(PICTURE))
    factor = 64 // known.shape[2]
    cells = torch.nn.functional.max_pool2d(torch.from_numpy(MASK)[None], factor)[0]
    outside = cells == 0
    assert torch.equal(seen[0][0][:, outside], known[0][:, outside])
    assert not torch.equal(seen[0], known)


def test_picture_i_of_a_batch_is_the_picture_made_alone(engine: Engine) -> None:
    _, together = ours(engine, "tiny-sd", asked(batch=3), strength=0.7, mask=MASK)
    _, alone = ours(engine, "tiny-sd", asked(seed=7), strength=0.7, mask=MASK)
    assert together.seeds == (5, 6, 7)
    assert together.images[2].tobytes() == alone.images[0].tobytes()


def test_a_soft_mask_frees_each_cell_for_its_share_of_the_run(engine: Engine) -> None:
    """The model is random, so not its taste is looked at but how long each cell was held to the picture."""
    ramp = np.repeat(np.linspace(0, 1, 12, dtype=np.float32), 8)[None].repeat(64, 0)
    model = loaded(engine, "tiny-sd")
    options = loop_options(model, PICTURE, strength=1.0, mask=ramp, soft=True)
    known = model.model.encode(to_tensor(PICTURE))
    request = asked(steps=11)
    plan = Plan(
        model.model.condition("a cat", "", guidance_scale=1.0, width=96, height=64),
        model.model.latent_shape(96, 64),
        request.scheduler,
        request.steps,
        (5,),
    )
    scheduler = model.model.new_scheduler(request.scheduler, steps=request.steps)
    scheduler.set_timesteps(request.steps)
    noise = draw((1, *plan.shape), generators_of(plan.seeds), torch.device("cpu"))
    held = np.zeros(12, int)
    for step in denoise(model.model, plan, options, should_stop=lambda: False):
        following = scheduler.timesteps[step.index : step.index + 1]
        expected = known if step.is_last else scheduler.add_noise(known, noise, following)
        held += (step.latents == expected)[0].all(dim=0).all(dim=0).numpy()
    assert held[0] == 11 and held[-1] == 0 and (np.diff(held) <= 0).all()
    assert np.abs(held - 11 * (1 - ramp[0, ::8])).max() <= 1


def test_a_model_for_inpainting_asks_for_a_mask(engine: Engine) -> None:
    with pytest.raises(ModelError, match="needs a mask"):
        ours(engine, "tiny-sd-inpainting", asked(), strength=0.5)
