"""Tiny real models and pictures, so that training is tested on the real classes within seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import VQModel
from numpy.typing import NDArray
from transformers import BertConfig, BertModel, BertTokenizerFast

from studio.training.autoencoder import AutoencoderTask
from studio.training.config import AutoencoderConfig, DiffusionConfig, Phase, TokensConfig
from studio.training.diffusion import DiffusionTask
from studio.training.stream import to_pm1
from studio.training.text import TextEncoder
from studio.training.tokens import TokensTask

SIDE = 32
NAMES = ("red", "green", "blue", "yellow")
COLOURS = ((220, 40, 40), (40, 200, 60), (40, 70, 220), (230, 220, 50))


class Squares:
    """A coloured square on white: which colour and where is decided by the generator."""

    def __init__(self, *, fixed: bool = False) -> None:
        self.fixed = fixed  # always the same few pictures

    def sample(self, rng: np.random.Generator, size: int) -> tuple[NDArray[np.uint8], str, int]:
        if self.fixed:
            rng = np.random.default_rng(int(rng.integers(4)))
        number = int(rng.integers(4))
        picture = np.full((size, size, 3), 255, np.uint8)
        x, y = (int(v) for v in rng.integers(0, size // 2, 2))
        picture[y : y + size // 2, x : x + size // 2] = COLOURS[number]
        return picture, f"a {NAMES[number]} square", number


def pictures(count: int = 4) -> torch.Tensor:
    """Return (count, 3, SIDE, SIDE) in [-1, 1]."""
    drawn = [Squares().sample(np.random.default_rng(i), SIDE)[0] for i in range(count)]
    return to_pm1(torch.from_numpy(np.stack(drawn)))


def autoencoder_config(**given: object) -> AutoencoderConfig:
    """Return a run of 12 steps that takes seconds."""
    values: dict[str, object] = {
        "task": "vqvae", "data": "none", "steps": 12, "phases": (Phase(until=1, size=SIDE, batch_size=4),),
        "block_out_channels": (8, 16), "norm_groups": 4, "codes": 16, "code_dim": 4, "unquantised_steps": 4,
        "perceptual": "none", "precision": "fp32", "workers": 0, "log_every": 4, "save_every": 100, "grid_every": 100,
        "warmup_steps": 2, "gan_channels": 4, "fast_norms": False,
    }  # fmt: skip
    return AutoencoderConfig(**{**values, **given})  # type: ignore[arg-type]


def autoencoder_task(config: AutoencoderConfig, accelerator: Accelerator | None = None) -> AutoencoderTask:
    return AutoencoderTask(config, accelerator or Accelerator(cpu=True), pictures())


def vqmodel() -> VQModel:
    """Return an autoencoder 32 -> 8 with unit-norm codes."""
    torch.manual_seed(0)
    model = VQModel(
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 8, 16), layers_per_block=1, norm_num_groups=4, latent_channels=4, vq_embed_dim=4,
        num_vq_embeddings=16, mid_block_add_attention=False, scaling_factor=2.0, sample_size=SIDE,
    )  # fmt: skip
    codes = torch.nn.functional.normalize(torch.randn(16, 4), dim=1)
    model.quantize.embedding.weight.data.copy_(codes)
    return model


def text_encoder(folder: Path) -> TextEncoder:
    """Return a BERT with one small layer and a vocabulary of a dozen words."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "square", "on", *NAMES]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=80,
    )  # fmt: skip
    return TextEncoder(BertModel(config, add_pooling_layer=False), BertTokenizerFast.from_pretrained(folder), length=77)


def diffusion_task(folder: Path, **given: object) -> DiffusionTask:
    values: dict[str, object] = {
        "data": "none", "vqvae": "none", "text_encoder": "none", "steps": 12, "precision": "fp32", "workers": 0,
        "phases": (Phase(until=1, size=SIDE, batch_size=4),), "block_out_channels": (16, 32), "norm_groups": 4,
        "attention_head_dim": 8, "log_every": 4, "save_every": 100, "grid_every": 100, "fast_norms": False,
        "warmup_steps": 2,
    }  # fmt: skip
    config = DiffusionConfig(**{**values, **given})  # type: ignore[arg-type]
    return DiffusionTask(config, Accelerator(cpu=True), vqmodel(), text_encoder(folder))


def tokens_task(folder: Path, **given: object) -> TokensTask:
    values: dict[str, object] = {
        "data": "none", "vqvae": "none", "text_encoder": "none", "steps": 12, "precision": "fp32", "workers": 0,
        "phases": (Phase(until=1, size=SIDE, batch_size=4),), "hidden_size": 32, "layers": 2, "heads": 2,
        "log_every": 4, "save_every": 100, "grid_every": 100, "warmup_steps": 2,
    }  # fmt: skip
    config = TokensConfig(**{**values, **given})  # type: ignore[arg-type]
    return TokensTask(config, Accelerator(cpu=True), vqmodel(), text_encoder(folder))
