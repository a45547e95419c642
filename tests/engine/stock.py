"""Stock diffusers pipelines over the tiny models, and our loop's pictures beside theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    DiffusionPipeline,
    LDMTextToImagePipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)

from studio.engine.denoise import LoopOptions
from studio.engine.engine import Engine
from studio.engine.noise import generators_of, seeds_of
from studio.engine.result import Result
from studio.engine.schedulers import SCHEDULERS, make
from studio.requests import TextToImage
from tests.engine.run import arrays, loaded, never

EPSILON = ("dpmpp_2m", "dpmpp_2m_karras", "dpmpp_sde", "ddim", "euler", "euler_a", "unipc", "lcm")
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
