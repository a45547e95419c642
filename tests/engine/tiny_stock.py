"""Tiny random-weight pipelines that our loop does not hold: SD 3, FLUX, aMUSEd, as plain diffusers folders."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    AmusedPipeline,
    AmusedScheduler,
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    UVit2DModel,
    VQModel,
)
from transformers import CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel

from tests.engine.tiny import _bert_tokenizer, _clip, _clip_tokenizer


def save_sd3(folder: Path) -> Path:
    """Save an SD 3-shaped folder, without its third text encoder."""
    torch.manual_seed(3)
    tokenizer = _clip_tokenizer(folder / "bpe")
    pipeline = StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=8, patch_size=1, in_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=4,
            caption_projection_dim=32, joint_attention_dim=64, pooled_projection_dim=64, out_channels=4,
        ),
        text_encoder=CLIPTextModelWithProjection(_clip(hidden_act="quick_gelu")),
        text_encoder_2=CLIPTextModelWithProjection(_clip(hidden_act="gelu")),
        text_encoder_3=None,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        tokenizer_3=None,
        vae=_vae(latent_channels=4),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        image_encoder=None,
        feature_extractor=None,
    )  # fmt: skip
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def save_flux(folder: Path) -> Path:
    """Save a FLUX-shaped folder: packed latents, CLIP and T5."""
    torch.manual_seed(4)
    t5 = T5Config(d_model=32, d_kv=8, d_ff=37, num_layers=1, num_heads=4, vocab_size=64, feed_forward_proj="gated-gelu")
    pipeline = FluxPipeline(
        transformer=FluxTransformer2DModel(
            patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
            num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=(4, 4, 8),
        ),
        text_encoder=CLIPTextModel(_clip(hidden_act="quick_gelu")),
        text_encoder_2=T5EncoderModel(t5),
        tokenizer=_clip_tokenizer(folder / "bpe"),
        tokenizer_2=_bert_tokenizer(),
        vae=_vae(latent_channels=4),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )  # fmt: skip
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def save_amused(folder: Path) -> Path:
    """Save an aMUSEd-shaped folder: masked tokens over a VQ autoencoder."""
    torch.manual_seed(5)
    vqvae = VQModel(
        block_out_channels=(8, 8, 8), down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3, latent_channels=8, norm_num_groups=4, num_vq_embeddings=32,
        sample_size=16, mid_block_add_attention=False, lookup_from_codebook=True,
    )  # fmt: skip
    torch.nn.init.normal_(vqvae.quantize.embedding.weight)
    pipeline = AmusedPipeline(
        transformer=UVit2DModel(
            hidden_size=8, cond_embed_dim=32, micro_cond_encode_dim=2, micro_cond_embed_dim=10, encoder_hidden_size=32,
            vocab_size=33, codebook_size=32, in_channels=8, block_out_channels=8, num_res_blocks=1, downsample=True,
            upsample=True, block_num_heads=1, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
            hidden_dropout=0.0, attention_dropout=0.0,
        ),
        text_encoder=CLIPTextModelWithProjection(_clip(hidden_act="quick_gelu")),
        tokenizer=_clip_tokenizer(folder / "bpe"),
        vqvae=vqvae,
        scheduler=AmusedScheduler(mask_token_id=32),
    )  # fmt: skip
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def _vae(*, latent_channels: int) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=latent_channels, norm_num_groups=4,
        scaling_factor=1.5, shift_factor=0.06, use_quant_conv=False, use_post_quant_conv=False,
    )  # fmt: skip
