"""Stable Diffusion of random weights, built on the device: what speed depends on is there, nothing is downloaded.

"sd15" and "sdxl" have the published shapes; "small" is for a CPU. Weights are drawn as the layers draw them, so
activations stay finite; their pictures are noise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from studio.engine.catalog import ModelCard
from studio.engine.device import Placement
from studio.engine.families.clip_tokenizer import clip_tokenizer
from studio.engine.families.parts import place
from studio.engine.families.stable_diffusion import StableDiffusion, assemble
from studio.engine.preview import PreviewMap
from studio.engine.schedulers import NoiseSchedule
from studio.engine.store import Loaded

SIDES = {"small": 128, "sd15": 512, "sdxl": 1024}
_UNETS: dict[str, dict[str, Any]] = {
    "small": {"block_out_channels": (32, 64), "cross_attention_dim": 64, "layers_per_block": 1,
              "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
              "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D")},
    "sd15": {"cross_attention_dim": 768},
    "sdxl": {"block_out_channels": (320, 640, 1280), "cross_attention_dim": 2048, "attention_head_dim": (5, 10, 20),
             "use_linear_projection": True, "transformer_layers_per_block": (1, 2, 10),
             "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
             "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
             "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
             "projection_class_embeddings_input_dim": 2816},
}  # fmt: skip
_TEXTS = {"small": (64, 2, 4), "sd15": (768, 12, 12), "sdxl": (768, 12, 12)}  # width, layers, heads


def random_loaded(name: str, *, device: str, dtype: str) -> Loaded:
    """Return a model of the shape `name` ("small", "sd15", "sdxl") with random weights, ready for the engine."""
    placement = Placement(device, dtype)
    is_xl, side = name == "sdxl", SIDES[name]
    card = ModelCard(
        id=f"random-{name}",
        name=f"random {name}",
        family="stable_diffusion",
        architecture="sdxl" if is_xl else "sd1",
        path=Path(name),
        schedule=NoiseSchedule(),
        width=side,
        height=side,
        grid=8,
        presets=(),
    )
    config = EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").config
    parts = _parts(name, placement)
    pipeline = assemble(card, parts, dict(config), force_zeros_for_empty_prompt=True)
    pipeline.set_progress_bar_config(disable=True)
    preview = PreviewMap(torch.randn(3, 4, 1, 1, device=device) / 4, torch.full((3,), 0.5, device=device), 1, 0.0)
    model = StableDiffusion(card, pipeline, dict(config), placement)
    return Loaded(card, model, f"random {name}", preview, placement)


def _parts(name: str, placement: Placement) -> dict[str, Any]:
    width, layers, heads = _TEXTS[name]
    torch.manual_seed(0)
    with torch.device(placement.torch_device):
        parts: dict[str, Any] = {
            "unet": UNet2DConditionModel(sample_size=SIDES[name] // 8, **_UNETS[name]),
            "vae": _autoencoder(name),
            "text_encoder": CLIPTextModel(_text(width, layers, heads, "quick_gelu")),
        }
        if name == "sdxl":
            parts["text_encoder_2"] = CLIPTextModelWithProjection(_text(1280, 32, 20, "gelu"))
    for key, part in parts.items():
        parts[key] = place(part.to(placement.torch_dtype).eval().requires_grad_(False), placement.torch_device)
    parts["tokenizer"] = clip_tokenizer()
    if name == "sdxl":
        parts["tokenizer_2"] = clip_tokenizer(pad_token="!")
    return parts


def _autoencoder(name: str) -> AutoencoderKL:
    channels = (32, 32, 32, 32) if name == "small" else (128, 256, 512, 512)
    return AutoencoderKL(
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1 if name == "small" else 2,
        latent_channels=4,
        scaling_factor=0.13025 if name == "sdxl" else 0.18215,
    )


def _text(width: int, layers: int, heads: int, activation: str) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        projection_dim=width,
        hidden_act=activation,
        bos_token_id=49406,
        eos_token_id=49407,
    )
