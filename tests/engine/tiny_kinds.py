"""A tiny random-weight folder of every further pipeline class that runs as it is, by class name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler
from transformers import CLIPTextModel, PreTrainedTokenizerFast, T5Config, T5EncoderModel

from tests.engine.tiny import _bert_tokenizer, _betas, _clip, _clip_tokenizer, _unet, _vae

_CHAT = "{% for message in messages %}{{ message['content'] }} {% endfor %}"


def save_kind(name: str, folder: Path) -> Path:
    """Save a folder of the pipeline class `name`."""
    torch.manual_seed(8)
    parts = KINDS[name](folder)
    cls: Any = getattr(diffusers, name)
    pipeline = cls(**{"scheduler": FlowMatchEulerDiscreteScheduler(), "vae": _kl(4), **parts})
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def _kl(channels: int) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=channels, norm_num_groups=4, scaling_factor=1.5,
        shift_factor=0.06,
    )  # fmt: skip


def _t5() -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(d_model=32, d_kv=8, d_ff=37, num_layers=1, num_heads=4, vocab_size=64, feed_forward_proj="gated-gelu")
    )


def _tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = _bert_tokenizer()
    tokenizer.chat_template = _CHAT
    return tokenizer


def _gemma() -> Any:
    config = transformers.Gemma2Config(
        vocab_size=64, hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, head_dim=8, attn_implementation="eager",
    )  # fmt: skip
    return transformers.Gemma2Model(config)


def _chroma(folder: Path) -> dict[str, Any]:
    transformer = diffusers.ChromaTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=32, axes_dims_rope=(4, 4, 8), approximator_hidden_dim=32, approximator_layers=1,
        approximator_num_channels=16,
    )  # fmt: skip
    return {"transformer": transformer, "text_encoder": _t5(), "tokenizer": _tokenizer()}


def _auraflow(folder: Path) -> dict[str, Any]:
    transformer = diffusers.AuraFlowTransformer2DModel(
        sample_size=8, patch_size=2, in_channels=4, num_mmdit_layers=1, num_single_dit_layers=1, attention_head_dim=8,
        num_attention_heads=4, caption_projection_dim=32, joint_attention_dim=32, out_channels=4,
        pos_embed_max_size=256,
    )  # fmt: skip
    config = transformers.UMT5Config(
        d_model=32, d_kv=8, d_ff=37, num_layers=1, num_heads=4, vocab_size=64, feed_forward_proj="gated-gelu"
    )
    encoder = transformers.UMT5EncoderModel(config)
    return {"transformer": transformer, "text_encoder": encoder, "tokenizer": _tokenizer()}


def _pixart(folder: Path) -> dict[str, Any]:
    transformer = diffusers.PixArtTransformer2DModel(
        sample_size=32, num_layers=1, patch_size=2, attention_head_dim=8, num_attention_heads=3, caption_channels=32,
        in_channels=4, cross_attention_dim=24, out_channels=8,
    )  # fmt: skip
    scheduler = diffusers.DPMSolverMultistepScheduler()
    return {"transformer": transformer, "text_encoder": _t5(), "tokenizer": _tokenizer(), "scheduler": scheduler}


def _sana(folder: Path) -> dict[str, Any]:
    transformer = diffusers.SanaTransformer2DModel(
        patch_size=1, in_channels=4, out_channels=4, num_layers=1, num_attention_heads=2, attention_head_dim=4,
        num_cross_attention_heads=2, cross_attention_head_dim=4, cross_attention_dim=8, caption_channels=8,
        sample_size=16,
    )  # fmt: skip
    vae = diffusers.AutoencoderDC(
        in_channels=3, latent_channels=4, attention_head_dim=2,
        encoder_block_types=("ResBlock",) * 6, decoder_block_types=("ResBlock",) * 6,
        encoder_block_out_channels=(8,) * 6, decoder_block_out_channels=(8,) * 6,
        encoder_qkv_multiscales=((),) * 6, decoder_qkv_multiscales=((),) * 6,
        encoder_layers_per_block=(1,) * 6, decoder_layers_per_block=(1,) * 6, downsample_block_type="conv",
        upsample_block_type="interpolate", decoder_norm_types="rms_norm", decoder_act_fns="silu",
    )  # fmt: skip
    return {"transformer": transformer, "vae": vae, "text_encoder": _gemma(), "tokenizer": _tokenizer()}


def _lumina2(folder: Path) -> dict[str, Any]:
    transformer = diffusers.Lumina2Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=4, hidden_size=8, num_layers=1, num_refiner_layers=1,
        num_attention_heads=1, num_kv_heads=1, multiple_of=16, axes_dim_rope=(4, 2, 2), axes_lens=(300, 64, 64),
        cap_feat_dim=8,
    )  # fmt: skip
    return {"transformer": transformer, "text_encoder": _gemma(), "tokenizer": _tokenizer()}


def _hunyuan(folder: Path) -> dict[str, Any]:
    transformer = diffusers.HunyuanDiT2DModel(
        sample_size=16, num_layers=2, patch_size=2, attention_head_dim=8, num_attention_heads=3, in_channels=4,
        cross_attention_dim=32, cross_attention_dim_t5=32, pooled_projection_dim=16, hidden_size=24,
    )  # fmt: skip
    config = transformers.BertConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=37
    )
    return {
        "transformer": transformer,
        "text_encoder": transformers.BertModel(config),
        "tokenizer": _tokenizer(),
        "text_encoder_2": _t5(),
        "tokenizer_2": _tokenizer(),
        "scheduler": diffusers.DDPMScheduler(prediction_type="v_prediction"),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


def _cogview4(folder: Path) -> dict[str, Any]:
    transformer = diffusers.CogView4Transformer2DModel(
        patch_size=2, in_channels=4, num_layers=1, attention_head_dim=4, num_attention_heads=4, out_channels=4,
        text_embed_dim=32, time_embed_dim=8, condition_dim=4,
    )  # fmt: skip
    config = transformers.GlmConfig(
        vocab_size=64, hidden_size=32, intermediate_size=8, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    scheduler = FlowMatchEulerDiscreteScheduler(
        base_shift=0.25, max_shift=0.75, base_image_seq_len=256, use_dynamic_shifting=True, time_shift_type="linear"
    )
    encoder = transformers.GlmModel(config)
    return {"transformer": transformer, "text_encoder": encoder, "tokenizer": _tokenizer(), "scheduler": scheduler}


def _z_image(folder: Path) -> dict[str, Any]:
    transformer = diffusers.ZImageTransformer2DModel(
        all_patch_size=(2,), all_f_patch_size=(1,), in_channels=4, dim=32, n_layers=1, n_refiner_layers=1, n_heads=2,
        n_kv_heads=2, cap_feat_dim=16, axes_dims=[8, 4, 4], axes_lens=[256, 32, 32],
    )  # fmt: skip
    config = transformers.Qwen3Config(
        vocab_size=64, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=512,
    )  # fmt: skip
    return {"transformer": transformer, "text_encoder": transformers.Qwen3Model(config), "tokenizer": _tokenizer()}


def _qwen_image(folder: Path) -> dict[str, Any]:
    transformer = diffusers.QwenImageTransformer2DModel(
        patch_size=2, in_channels=16, out_channels=4, num_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=16, axes_dims_rope=(8, 4, 4),
    )  # fmt: skip
    vae = diffusers.AutoencoderKLQwenImage(
        base_dim=12, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True],
        latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
    )  # fmt: skip
    text = {
        "vocab_size": 64, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 2, "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default"},
    }  # fmt: skip
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
    config = transformers.Qwen2_5_VLConfig(text_config=text, vision_config=vision)
    encoder = transformers.Qwen2_5_VLForConditionalGeneration(config)
    return {"transformer": transformer, "vae": vae, "text_encoder": encoder, "tokenizer": _tokenizer()}


def _lcm(folder: Path) -> dict[str, Any]:
    return {
        "vae": _vae(),
        "text_encoder": CLIPTextModel(_clip(hidden_act="quick_gelu")),
        "tokenizer": _clip_tokenizer(folder / "bpe"),
        "unet": _unet(in_channels=4, width=32, sample=16, time_cond_proj_dim=16),
        "scheduler": diffusers.LCMScheduler(**_betas()),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


KINDS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "ChromaPipeline": _chroma,
    "AuraFlowPipeline": _auraflow,
    "PixArtAlphaPipeline": _pixart,
    "PixArtSigmaPipeline": _pixart,
    "SanaPipeline": _sana,
    "Lumina2Pipeline": _lumina2,
    "HunyuanDiTPipeline": _hunyuan,
    "CogView4Pipeline": _cogview4,
    "ZImagePipeline": _z_image,
    "QwenImagePipeline": _qwen_image,
    "LatentConsistencyModelPipeline": _lcm,
}
