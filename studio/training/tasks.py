"""The list of tasks: one maker each. A new task is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import VQModel
from torch import Tensor

from studio.errors import StudioError
from studio.training.augment import plain
from studio.training.autoencoder import AutoencoderTask
from studio.training.config import AutoencoderConfig, DiffusionConfig, TaskConfig, TokensConfig
from studio.training.diffusion import DiffusionTask
from studio.training.latents import EncodedScenes, codes_digest, open_scenes
from studio.training.pack import Pack
from studio.training.stream import PackSource, Source, to_pm1
from studio.training.task import Task
from studio.training.text import TextEncoder
from studio.training.tokens import TokensTask


def make_task(config: TaskConfig, accelerator: Accelerator, pack: Pack) -> Task:
    """Build the task that ``config`` asks for."""
    return _MAKERS[config.task](config, accelerator, pack)  # type: ignore[attr-defined]


def make_source(config: TaskConfig, pack: Pack) -> Source:
    """Return the samples for ``config``: crops without captions for autoencoders, whole scenes for the others."""
    if isinstance(config, AutoencoderConfig):
        return PackSource(pack, crop=True, captions=False)
    if isinstance(config, DiffusionConfig | TokensConfig) and config.scenes:
        return open_scenes(Path(config.scenes))
    return PackSource(pack)


def held_out_pictures(pack: Pack, *, count: int, size: int = 256) -> Tensor:
    """Return ``count`` held-out pictures spread over the split, (n, 3, size, size) in [-1, 1]."""
    numbers = np.concatenate([pack.indices("heldout_picture"), pack.indices("heldout_thing")])
    if len(numbers) == 0:
        numbers = pack.indices("train")
    chosen = np.random.default_rng(0).permutation(numbers)[:count]
    return to_pm1(torch.from_numpy(np.stack([plain(pack, int(i), size).picture for i in chosen])))


def _autoencoder(config: Any, accelerator: Accelerator, pack: Pack) -> Task:
    return AutoencoderTask(config, accelerator, held_out_pictures(pack, count=24))


def _frozen(config: Any) -> tuple[VQModel, TextEncoder, EncodedScenes | None]:
    """Load what tasks on codes stand on: autoencoder, text encoder, scenes encoded ahead."""
    for name in ("vqvae", "text_encoder"):
        if not Path(getattr(config, name) or "-").is_dir():
            raise StudioError(f"{name} is {getattr(config, name)!r}, which is no folder.", hint=f"Set {name}.")
    vqvae = VQModel.from_pretrained(config.vqvae, torch_dtype=torch.float32)
    text = TextEncoder.load(Path(config.text_encoder), length=config.context_tokens)
    scenes = open_scenes(Path(config.scenes)) if config.scenes else None
    if scenes is not None and scenes.codes_digest != codes_digest(vqvae):
        raise StudioError(f"The scenes in {config.scenes} belong to another codebook.", hint="Encode them again.")
    return vqvae, text, scenes


def _diffusion(config: Any, accelerator: Accelerator, _: Pack) -> Task:
    return DiffusionTask(config, accelerator, *_frozen(config))


def _tokens(config: Any, accelerator: Accelerator, _: Pack) -> Task:
    return TokensTask(config, accelerator, *_frozen(config))


_MAKERS: dict[str, Callable[[Any, Accelerator, Pack], Task]] = {
    "vqvae": _autoencoder,
    "vqgan": _autoencoder,
    "diffusion": _diffusion,
    "tokens": _tokens,
}
