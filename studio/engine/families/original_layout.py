"""Configurations of Stable Diffusion's parts, inferred from the shapes in a single file's header. No torch.

Widths, depths and channels are read off; what shapes cannot tell (heads, activation, scaling) follows from the
architecture, as published with SD 1.x, SD 2.x and SDXL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from studio.engine.catalog import ModelCard
from studio.engine.checkpoint import Header, Tensor

UNET, AUTOENCODER = "model.diffusion_model.", "first_stage_model."
CLIP_PREFIX = {"sd1": "cond_stage_model.transformer.", "sdxl": "conditioner.embedders.0.transformer."}
OPEN_CLIP_PREFIX = {"sd2": "cond_stage_model.model.", "sdxl": "conditioner.embedders.1.model."}
Shapes = Mapping[str, Tensor]


def unet_config(header: Header, architecture: str, *, sample_size: int) -> dict[str, Any]:
    """Return the diffusers configuration of the U-Net."""
    shapes = header.tensors
    channels, depths, layers = _levels(shapes)
    is_attending = [depth > 0 for depth in depths]
    context = next(t.shape[1] for k, t in shapes.items() if k.startswith(UNET) and k.endswith("attn2.to_k.weight"))
    proj_in = next(t for k, t in shapes.items() if k.startswith(UNET) and k.endswith(".1.proj_in.weight"))
    config: dict[str, Any] = {
        "sample_size": sample_size,
        "in_channels": shapes[UNET + "input_blocks.0.0.weight"].shape[1],
        "out_channels": shapes[UNET + "out.2.weight"].shape[0],
        "block_out_channels": channels,
        "layers_per_block": layers,
        "down_block_types": ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in is_attending],
        "up_block_types": ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(is_attending)],
        "transformer_layers_per_block": [max(depth, 1) for depth in depths],
        "cross_attention_dim": context,
        "attention_head_dim": 8 if architecture == "sd1" else [max(1, width // 64) for width in channels],
        "use_linear_projection": len(proj_in.shape) == 2,
    }
    guidance = shapes.get(UNET + "time_embed.cond_proj.weight")
    if guidance is not None:
        config["time_cond_proj_dim"] = guidance.shape[1]
    if architecture == "sdxl":
        pooled = shapes[OPEN_CLIP_PREFIX["sdxl"] + "text_projection"].shape[1]
        vector = shapes[UNET + "label_emb.0.0.weight"].shape[1]
        config |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": (vector - pooled) // 6,
            "projection_class_embeddings_input_dim": vector,
        }
    return config


def autoencoder_config(header: Header, architecture: str, *, sample_size: int) -> dict[str, Any]:
    """Return the diffusers configuration of the autoencoder."""
    shapes = header.tensors
    down = AUTOENCODER + "encoder.down.{}.block.{}.conv2.weight"
    channels: list[int] = []
    while (key := down.format(len(channels), 0)) in shapes:
        channels.append(shapes[key].shape[0])
    layers = sum(down.format(0, index) in shapes for index in range(8))
    return {
        "block_out_channels": channels,
        "down_block_types": ["DownEncoderBlock2D"] * len(channels),
        "up_block_types": ["UpDecoderBlock2D"] * len(channels),
        "layers_per_block": layers,
        "latent_channels": shapes[AUTOENCODER + "post_quant_conv.weight"].shape[0],
        "sample_size": sample_size * 2 ** (len(channels) - 1),
        "scaling_factor": 0.13025 if architecture == "sdxl" else 0.18215,
        "force_upcast": True,
    }


def clip_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the transformers configuration of a text encoder in CLIP's own names, below `prefix`."""
    shapes = header.tensors
    text = prefix + "text_model."
    vocabulary, hidden = shapes[text + "embeddings.token_embedding.weight"].shape
    inner = shapes[text + "encoder.layers.0.mlp.fc1.weight"].shape[0]
    layers = _count(shapes, text + "encoder.layers.{}.mlp.fc1.weight")
    return _text_config(vocabulary, hidden, inner, layers, "quick_gelu", hidden)


def open_clip_config(header: Header, prefix: str, *, drop_last: bool) -> dict[str, Any]:
    """Return the transformers configuration of a text encoder in OpenCLIP's names; SD 2.x drops the last layer."""
    shapes = header.tensors
    vocabulary, hidden = shapes[prefix + "token_embedding.weight"].shape
    inner = shapes[prefix + "transformer.resblocks.0.mlp.c_fc.weight"].shape[0]
    layers = _count(shapes, prefix + "transformer.resblocks.{}.mlp.c_fc.weight") - drop_last
    projection = shapes.get(prefix + "text_projection")
    return _text_config(vocabulary, hidden, inner, layers, "gelu", projection.shape[1] if projection else hidden)


def scheduler_config(card: ModelCard) -> dict[str, Any]:
    """Return the noise schedule that SD 1.x, 2.x and SDXL were trained with, with the card's prediction type."""
    schedule = card.schedule
    config: dict[str, Any] = {
        "num_train_timesteps": 1000,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "steps_offset": 1,
        "set_alpha_to_one": False,
        "clip_sample": False,
        "prediction_type": schedule.prediction_type,
    }
    if card.architecture == "sdxl":
        config["timestep_spacing"] = "leading"
    if schedule.zero_snr:
        config |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    return config


def _text_config(
    vocabulary: int, hidden: int, inner: int, layers: int, activation: str, projection: int
) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": max(1, hidden // 64),
        "max_position_embeddings": 77,
        "hidden_act": activation,
        "projection_dim": projection,
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
        "pad_token_id": 1,
    }


def _levels(shapes: Shapes) -> tuple[list[int], list[int], int]:
    """Return the U-Net's channels and transformer depth per level, and its residual layers per level."""
    channels: list[int] = []
    depths: list[int] = []
    layers = index = 0
    is_new = True
    while True:
        index += 1
        block = f"{UNET}input_blocks.{index}."
        if block + "0.op.weight" in shapes:
            is_new = True
            continue
        out = shapes.get(block + "0.out_layers.3.weight")
        if out is None:
            return channels, depths, layers
        depth = _count(shapes, block + "1.transformer_blocks.{}.attn2.to_k.weight")
        if is_new:
            channels.append(out.shape[0])
            depths.append(depth)
            is_new = False
        layers += len(channels) == 1


def _count(shapes: Shapes, pattern: str) -> int:
    number = 0
    while pattern.format(number) in shapes:
        number += 1
    return number
