"""Stock pipelines of SD 1.x, 2.x and SDXL shape written as one file in the original (CompVis) layout.

The names follow the published layout of those checkpoints; this is the inverse of what the studio reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from studio.engine.families.clip_tokenizer import clip_tokenizer

Weights = dict[str, torch.Tensor]
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
OUTER = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "time_embedding.cond_proj": "time_embed.cond_proj",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
OPEN_CLIP = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "encoder.layers.": "transformer.resblocks.",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
    "final_layer_norm": "ln_final",
}


def pipeline(kind: str) -> Any:
    """Return a tiny stock pipeline of "sd1", "sd2" or "sdxl" shape with random weights."""
    torch.manual_seed(5)
    is_xl, is_v = kind == "sdxl", kind == "sd2"
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction" if is_v else "epsilon",
        steps_offset=1,
        set_alpha_to_one=False,
        clip_sample=False,
        **({"timestep_spacing": "leading"} if is_xl else {}),
    )
    parts: dict[str, Any] = {
        "unet": _unet(kind),
        "vae": AutoencoderKL(
            block_out_channels=(32, 32, 32, 32),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            scaling_factor=0.13025 if is_xl else 0.18215,
        ),
        "text_encoder": CLIPTextModel(_text("gelu" if is_v else "quick_gelu")),
        "tokenizer": clip_tokenizer(**({"pad_token": "!"} if is_v else {})),
        "scheduler": scheduler,
    }
    if is_xl:
        encoder = CLIPTextModelWithProjection(_text("gelu"))
        extra = {"text_encoder_2": encoder, "tokenizer_2": clip_tokenizer(pad_token="!"), "add_watermarker": False}
        return StableDiffusionXLPipeline(**parts, **extra)
    return StableDiffusionPipeline(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False)


def save(pipe: Any, kind: str, path: Path, *, dtype: torch.dtype = torch.float32) -> Path:
    """Write `pipe` as one file in the original layout."""
    weights = {f"model.diffusion_model.{k}": v for k, v in unet_weights(pipe.unet).items()}
    weights |= {f"first_stage_model.{k}": v for k, v in vae_weights(pipe.vae).items()}
    if kind == "sd2":
        weights |= _open_clip(pipe.text_encoder, "cond_stage_model.model.", extra_layer=True)
    else:
        prefix = "conditioner.embedders.0.transformer." if kind == "sdxl" else "cond_stage_model.transformer."
        weights |= {f"{prefix}text_model.{k}": v for k, v in pipe.text_encoder.state_dict().items()}
        weights[f"{prefix}text_model.embeddings.position_ids"] = torch.arange(77)[None]
    if kind == "sdxl":
        weights |= _open_clip(pipe.text_encoder_2, "conditioner.embedders.1.model.", extra_layer=False)
    weights["alphas_cumprod"] = torch.ones(1000)
    kept = {k: (v.to(dtype) if v.is_floating_point() else v).contiguous().clone() for k, v in weights.items()}
    save_file(kept, path, metadata={"modelspec.prediction_type": "v"} if kind == "sd2" else None)
    return path


def unet_weights(unet: UNet2DConditionModel) -> Weights:
    """Return the U-Net's weights under the original names, without prefix."""
    layers = unet.config.layers_per_block + 1
    return {_unet_name(key, layers, unet): value for key, value in unet.state_dict().items()}


def _unet_name(key: str, layers: int, unet: Any) -> str:
    for own, original in OUTER.items():
        if key.startswith(own + "."):
            return original + key[len(own) :]
    side, *rest = key.split(".")
    if side == "mid_block":
        place = {"resnets0": "0", "attentions0": "1", "resnets1": "2"}[rest[0] + rest[1]]
        return _inner(f"middle_block.{place}", rest[0], rest[2:])
    level, kind, number = int(rest[0]), rest[1], int(rest[2])
    if kind == "downsamplers":
        return f"input_blocks.{(level + 1) * layers}.0.op.{rest[-1]}"
    if kind == "upsamplers":
        slot = 2 if "CrossAttn" in unet.config.up_block_types[level] else 1
        return f"output_blocks.{level * (layers) + layers - 1}.{slot}.conv.{rest[-1]}"
    index = 1 + level * layers + number if side == "down_blocks" else level * layers + number
    block = f"{'input' if side == 'down_blocks' else 'output'}_blocks.{index}"
    return _inner(f"{block}.{0 if kind == 'resnets' else 1}", kind, rest[3:])


def _inner(block: str, kind: str, rest: list[str]) -> str:
    if kind == "resnets":
        return f"{block}.{RESNET[rest[0]]}.{rest[-1]}"
    return ".".join([block, *rest])


def vae_weights(vae: AutoencoderKL) -> Weights:
    """Return an autoencoder's weights under the original names, without prefix."""
    weights, levels = {}, len(vae.config.block_out_channels)
    for key, value in vae.state_dict().items():
        name = key
        if ".attentions.0." in key and value.ndim == 2:
            value = value[:, :, None, None]
        for own, original in (
            ("conv_norm_out", "norm_out"),
            ("conv_shortcut", "nin_shortcut"),
            ("downsamplers.0", "downsample"),
            ("upsamplers.0", "upsample"),
            ("mid_block.resnets.0", "mid.block_1"),
            ("mid_block.resnets.1", "mid.block_2"),
            ("mid_block.attentions.0.", "mid.attn_1."),
            (".group_norm.", ".norm."),
            (".to_q.", ".q."),
            (".to_k.", ".k."),
            (".to_v.", ".v."),
            (".to_out.0.", ".proj_out."),
            (".resnets.", ".block."),
            ("down_blocks.", "down."),
        ):
            name = name.replace(own, original)
        if "up_blocks." in name:
            level = int(name.split("up_blocks.")[1].split(".")[0])
            name = name.replace(f"up_blocks.{level}.", f"up.{levels - 1 - level}.")
        weights[name] = value
    return weights


def _open_clip(encoder: Any, prefix: str, *, extra_layer: bool) -> Weights:
    own = {key.removeprefix("text_model."): value for key, value in encoder.state_dict().items()}
    layers = encoder.config.num_hidden_layers
    if extra_layer:  # SD 2.x is used one layer before the last, but its files carry the last
        last = f"encoder.layers.{layers - 1}."
        own |= {k.replace(last, f"encoder.layers.{layers}."): v + 1 for k, v in own.items() if k.startswith(last)}
    weights: Weights = {}
    for key, value in own.items():
        if ".self_attn.q_proj." in key:
            joined = torch.cat([own[key.replace("q_proj", part)] for part in ("q_proj", "k_proj", "v_proj")])
            name = key.replace("self_attn.q_proj.", "attn.in_proj_")
        elif key == "text_projection.weight":
            joined, name = value.T, "text_projection"
        elif "_proj." in key and "self_attn.out_proj" not in key:
            continue
        else:
            joined, name = value, key
        for mine, original in OPEN_CLIP.items():
            name = name.replace(mine, original)
        weights[prefix + name] = joined
    return weights


def _unet(kind: str) -> UNet2DConditionModel:
    values: dict[str, Any] = {
        "sample_size": {"sd1": 64, "sd2": 96, "sdxl": 128}[kind],
        "block_out_channels": (32, 64),
        "layers_per_block": 2,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": 64,
        "attention_head_dim": 8,
    }
    if kind == "sd2":
        values |= {"attention_head_dim": (1, 1), "use_linear_projection": True}
    if kind == "sdxl":
        values |= {
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            "cross_attention_dim": 128,
            "attention_head_dim": (1, 1),
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "transformer_layers_per_block": (1, 2),
            "projection_class_embeddings_input_dim": 8 * 6 + 64,
        }
    return UNet2DConditionModel(**values)


def _text(activation: str) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=49408,
        hidden_size=64,
        intermediate_size=96,
        num_attention_heads=1,
        num_hidden_layers=3,
        projection_dim=64,
        hidden_act=activation,
        bos_token_id=49406,
        eos_token_id=49407,
        pad_token_id=1,
    )
