"""Tiny random-weight pipelines of every family's shape, saved as plain diffusers folders.

The weights are random but the parts are stock: what they compute is compared with stock pipelines, bit for bit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    LDMTextToImagePipeline,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    VQModel,
)
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    PreTrainedTokenizerFast,
)

from studio.engine.checksums import Checksums
from studio.engine.preview import SHIPPED_NAME, PreviewMap, save

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789,.'-"


def save_ldm(folder: Path, *, zero_snr: bool = True) -> Path:
    """Save a folder of our own model's shape: VQ with factor 16, 8 latent channels, BERT, v-prediction."""
    torch.manual_seed(0)
    vqvae = VQModel(
        down_block_types=("DownEncoderBlock2D",) * 5,
        up_block_types=("UpDecoderBlock2D",) * 5,
        block_out_channels=(8, 8, 8, 16, 16),
        norm_num_groups=4,
        latent_channels=8,
        vq_embed_dim=8,
        num_vq_embeddings=64,
        mid_block_add_attention=False,
        scaling_factor=1.3,
    )
    torch.nn.init.normal_(vqvae.quantize.embedding.weight)
    unet = _unet(in_channels=8, width=32, sample=4)
    bert = BertModel(
        BertConfig(vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=37)
    )
    scheduler = DDIMScheduler(
        prediction_type="v_prediction",
        rescale_betas_zero_snr=zero_snr,
        timestep_spacing="trailing",
        clip_sample=False,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
    )
    pipeline = LDMTextToImagePipeline(
        vqvae=vqvae, bert=bert, tokenizer=_bert_tokenizer(), unet=unet, scheduler=scheduler
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def save_sd(folder: Path, *, prediction_type: str = "epsilon", **unet: Any) -> Path:
    """Save an SD 1.x-shaped folder; "v_prediction" makes it an SD 2.x-shaped one; `unet` changes its U-Net."""
    torch.manual_seed(1)
    is_v2 = prediction_type == "v_prediction"
    scheduler = (
        DDIMScheduler(
            **_betas(), prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False, steps_offset=1
        )
        if is_v2
        else PNDMScheduler(**_betas(), skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1)
    )
    pipeline = StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_clip(hidden_act="gelu" if is_v2 else "quick_gelu")),
        tokenizer=_clip_tokenizer(folder / "bpe"),
        unet=_unet(in_channels=4, width=32, sample=16, **({"use_linear_projection": True} if is_v2 else {}), **unet),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def save_sdxl(folder: Path) -> Path:
    """Save an SDXL-shaped folder: two text encoders, pooled embedding, size conditioning."""
    torch.manual_seed(2)
    tokenizer = _clip_tokenizer(folder / "bpe")
    pipeline = StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_clip(hidden_act="quick_gelu")),
        text_encoder_2=CLIPTextModelWithProjection(_clip(hidden_act="gelu")),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=_unet(
            in_channels=4,
            width=64,
            sample=16,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            transformer_layers_per_block=(1, 2),
            projection_class_embeddings_input_dim=80,
        ),
        scheduler=EulerDiscreteScheduler(**_betas(), steps_offset=1, timestep_spacing="leading"),
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def save_pair(folder: Path) -> Path:
    """Save "sd1" and "sdxl" with preview maps below `folder`, and return it."""
    ship_preview(save_sd(folder / "sd1"))
    ship_preview(save_sdxl(folder / "sdxl"))
    return folder


def ship_preview(folder: Path) -> None:
    """Give a saved folder a made-up preview map, which spares every test the fit (that has its own test)."""
    autoencoder = folder / "vqvae" if (folder / "vqvae").is_dir() else folder / "vae"
    channels, patch, kernel = (8, 4, 3) if autoencoder.name == "vqvae" else (4, 1, 1)
    weight = torch.randn(3 * patch**2, channels, kernel, kernel, generator=torch.Generator().manual_seed(0)) / 10
    made_up = PreviewMap(weight, torch.full((3 * patch**2,), 0.5), patch, 0.5)
    save(made_up, Checksums(folder.parent / ".checksums.json").of(autoencoder), folder / SHIPPED_NAME)


def _unet(*, in_channels: int, width: int, sample: int, **changes: Any) -> UNet2DConditionModel:
    values: dict[str, Any] = {
        "sample_size": sample,
        "in_channels": in_channels,
        "out_channels": min(in_channels, 8),
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": width,
        "attention_head_dim": 4,
        "norm_num_groups": 4,
    }
    return UNet2DConditionModel(**{**values, **changes})


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=4,
    )


def _clip(*, hidden_act: str) -> CLIPTextConfig:
    return CLIPTextConfig(
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
        hidden_size=32,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=3,
        vocab_size=128,
        projection_dim=32,
        hidden_act=hidden_act,
    )


def _betas() -> dict[str, Any]:
    return {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def _clip_tokenizer(folder: Path) -> CLIPTokenizer:
    tokens = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=77)


def _bert_tokenizer() -> PreTrainedTokenizerFast:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "red", "blue", "apple", "cat", "style", "3d", "blurry"]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
