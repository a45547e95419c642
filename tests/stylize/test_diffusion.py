"""Repainting with words and with a picture prompt, on tiny random-weight models, the stock pipelines as oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionControlNetImg2ImgPipeline, StableDiffusionImg2ImgPipeline
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from studio.codebook.vqgan import Vqgan
from studio.engine.engine import Engine
from studio.engine.images import to_tensor
from studio.errors import InvalidRequest, ModelError
from studio.events import Finished, Step
from studio.inpaint.context import Context
from studio.pictures import PictureStore
from studio.requests import Stylize, parse
from studio.stylize.diffusion import freedom
from studio.stylize.run import run_stylize
from tests.engine.control_files import save_controlnet
from tests.engine.run import settings_for
from tests.engine.tiny import save_ldm, save_sd
from tests.stylize.waves import waves


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ "tiny-ldm", "tiny-sd", and an IP-Adapter of random weights for the latter."""
    folder = tmp_path_factory.mktemp("models")
    save_ldm(folder / "tiny-ldm")
    save_sd(folder / "tiny-sd")
    torch.manual_seed(4)
    adapter = folder / "adapters"
    config = CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        image_size=32, patch_size=16, projection_dim=12,
    )  # fmt: skip
    CLIPVisionModelWithProjection(config).save_pretrained(adapter / "image_encoder")
    width, tokens = 32, 4
    weights = {
        "image_proj.proj.weight": torch.randn(tokens * width, 12),
        "image_proj.proj.bias": torch.randn(tokens * width),
        "image_proj.norm.weight": torch.ones(width),
        "image_proj.norm.bias": torch.zeros(width),
    }
    pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(folder / "tiny-sd")
    crossing = [name for name in pipeline.unet.attn_processors if "attn2" in name]
    for place, name in enumerate(crossing):
        attention = pipeline.unet.get_submodule(name.removesuffix(".processor"))
        for part in ("to_k_ip", "to_v_ip"):
            weights[f"ip_adapter.{2 * place + 1}.{part}.weight"] = torch.randn(attention.to_k.out_features, width)
    save_file(weights, adapter / "ip-adapter_sd15.safetensors")
    return folder


@pytest.fixture(scope="module")
def context(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Context:
    """A real engine on the CPU in float32."""
    data_dir = tmp_path_factory.mktemp("data")
    settings = settings_for(data_dir, models, memory_gb=4)
    engine = Engine(settings, read_picture=PictureStore(data_dir / "inputs").get)
    vqgan = Vqgan.load(models / "tiny-ldm")
    return Context.of(engine, lambda model: vqgan)


def asked(context: Context, **settings: Any) -> Stylize:
    """A request for the waves of seed 1."""
    store = PictureStore(context.engine.settings.data_dir / "inputs")
    content, style = store.put(waves(64, 64, seed=1)), store.put(waves(48, 48, seed=2))
    values = {"kind": "stylize", "content": content, "references": [style], "prompt": "ink", "seed": 5, "steps": 6}
    made = parse({**values, "scheduler": "ddim", "model": "tiny-sd", "size": 64, "structure": 0, **settings})
    assert isinstance(made, Stylize)
    return made


def run(request: Stylize, context: Context) -> tuple[list[Any], Finished]:
    """All events, and the last."""
    events = list(run_stylize(request, context, lambda: False))
    assert isinstance(events[-1], Finished)
    return events, events[-1]


def stock(context: Context, models: Path, request: Stylize, controlnet: Any = None, **extra: Any) -> bytes:
    """The stock image-to-image pipeline's picture, that of the one with a ControlNet where there is one."""
    if controlnet is None:
        pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(models / "tiny-sd")
    else:
        kind = StableDiffusionControlNetImg2ImgPipeline
        pipeline = kind.from_pretrained(models / "tiny-sd", controlnet=controlnet)
        extra |= {"height": 64, "width": 64}
    pipeline.set_progress_bar_config(disable=True)
    loaded = list(drain(context.engine.load("tiny-sd")))[-1]
    pipeline.scheduler = loaded.model.new_scheduler(request.scheduler, steps=request.steps)
    if "ip_adapter_image" in extra:
        pipeline.load_ip_adapter(str(models / "adapters"), subfolder="", weight_name="ip-adapter_sd15.safetensors")
        pipeline.set_ip_adapter_scale(1.0)
    picture = pipeline(
        prompt=request.prompt,
        image=loaded.model.encode(to_tensor(waves(64, 64, seed=1))),
        strength=request.strength,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance_scale,
        generator=torch.Generator().manual_seed(request.seed),
        **extra,
    ).images[0]
    return picture.tobytes()


def drain(loading: Any) -> Any:
    """Yield a generator's return value."""
    while True:
        try:
            next(loading)
        except StopIteration as stop:
            yield stop.value
            return


def test_repainting_with_words_is_stock_image_to_image(context: Context, models: Path) -> None:
    request = asked(context, methods=["diffusion"], strength=0.7)
    events, finished = run(request, context)
    assert finished.images[0].tobytes() == stock(context, models, request)
    assert len([e for e in events if isinstance(e, Step) and e.preview]) == 4


def test_control_pictures_steer_it_as_they_steer_stock_image_to_image(context: Context, models: Path) -> None:
    """With the style pictures as a prompt, too: the adapter is the U-Net's, the ControlNet sees the words alone."""
    net = save_controlnet(models / "tiny-sd", models / "shapes")
    shapes = waves(64, 64, seed=3)
    store = PictureStore(context.engine.settings.data_dir / "inputs")
    steered = {"control": store.put(shapes), "control_scale": 0.8, "strength": 0.7}
    said = {"controlnet": net, "control_image": shapes, "controlnet_conditioning_scale": 0.8}
    for method, more in (("diffusion", {}), ("reference", {"ip_adapter_image": waves(48, 48, seed=2)})):
        request = asked(context, methods=[method], **steered)
        finished = run(request, context)[1]
        assert finished.images[0].tobytes() == stock(context, models, request, **said, **more)
        assert finished.facts["control"]["name"] == "shapes"


def test_methods_that_do_not_denoise_take_no_control_picture(context: Context) -> None:
    with pytest.raises(InvalidRequest, match='"Colour" takes no control picture') as error:
        run(asked(context, methods=["colour"], control="0" * 64), context)
    assert '"Repaint with words"' in (error.value.hint or "")


def test_repainting_like_a_picture_is_the_stock_pipeline_with_the_adapter(context: Context, models: Path) -> None:
    request = asked(context, methods=["reference"], strength=0.7)
    finished = run(request, context)[1]
    assert finished.images[0].tobytes() == stock(context, models, request, ip_adapter_image=waves(48, 48, seed=2))
    assert finished.facts["ip_adapter"] == "ip-adapter_sd15.safetensors"


def test_the_adapter_leaves_the_model_as_it_was(context: Context) -> None:
    words = asked(context, methods=["diffusion"])
    before = run(words, context)[1].images[0].tobytes()
    with_picture = run(asked(context, methods=["reference"]), context)[1].images[0].tobytes()
    assert run(words, context)[1].images[0].tobytes() == before != with_picture


def test_our_own_model_works_too_and_makes_one_picture_per_seed(context: Context) -> None:
    finished = run(asked(context, methods=["diffusion"], model="tiny-ldm", batch=2, prompt="a cat"), context)[1]
    assert finished.seeds == (5, 6)
    assert finished.images[0].tobytes() != finished.images[1].tobytes()


def test_a_chain_refines_tokens_by_diffusion(context: Context) -> None:
    """At 0.4 of the strength: of 6 steps at strength 1 the last 2 are run (and 1 for the tokens)."""
    events, finished = run(asked(context, methods=["tokens", "diffusion"], model="tiny-ldm", strength=1), context)
    steps = [event for event in events if isinstance(event, Step)]
    assert sum(step.preview is not None for step in steps) == 3
    assert steps[-1].index == steps[-1].total
    assert finished.images[0].size == (64, 64)
    assert finished.facts["model"] == "tiny-ldm" and finished.facts["methods"] == ["tokens", "diffusion"]


def test_structure_holds_edges_longer_than_flat_parts() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, 32:] = 255
    free = freedom(picture, structure=0.8, cell=8)
    assert free[:, 24:40].max() == pytest.approx(0.2)
    assert free[:, :16].min() == 1
    assert freedom(np.full((64, 64, 3), 90, np.uint8), structure=0.8, cell=8).min() == 1


def test_a_model_that_takes_no_picture_and_a_missing_adapter_are_said(context: Context, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot take a picture as a prompt"):
        run(asked(context, methods=["reference"], model="tiny-ldm"), context)
    alone = Context(context.engine, context.read_picture, context.vqgan, tmp_path, (tmp_path,))
    with pytest.raises(ModelError, match=r"no IP-Adapter for SD 1\.5"):
        run(asked(context, methods=["reference"]), alone)


def test_words_are_needed(context: Context) -> None:
    with pytest.raises(InvalidRequest, match="takes its style from words"):
        run(asked(context, methods=["diffusion"], prompt=""), context)
