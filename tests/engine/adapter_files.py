"""LoRA and embedding files of random weights for the tiny models, as people save them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

UNET_LAYERS = ["to_q", "to_k", "to_v", "to_out.0"]


def save_lora(
    model: Path, folder: Path, name: str, *, seed: int = 0, text: bool = True, metadata: dict[str, str] | None = None
) -> Path:
    """Save `folder/name.safetensors`, a LoRA of the tiny model in the folder `model`, in diffusers' form."""
    torch.manual_seed(seed)
    is_xl = (model / "text_encoder_2").is_dir()
    cls: Any = StableDiffusionXLPipeline if is_xl else StableDiffusionPipeline
    pipe = cls.from_pretrained(model)
    layers: dict[str, Any] = {"unet_lora_layers": _adapted(pipe.unet, UNET_LAYERS)}
    for part in ("text_encoder", "text_encoder_2") if text and is_xl else ("text_encoder",) if text else ():
        layers[f"{part}_lora_layers"] = _adapted(getattr(pipe, part), ["q_proj", "v_proj"])
    cls.save_lora_weights(folder, **layers)
    path = folder / f"{name}.safetensors"
    (folder / "pytorch_lora_weights.safetensors").rename(path)
    if metadata:
        save_file(load_file(path), path, metadata=metadata)
    return path


def save_kohya(source: Path, path: Path, *, alpha: float = 1.0) -> Path:
    """Save the U-Net's part of a diffusers LoRA under the names of kohya's trainer."""
    weights: dict[str, torch.Tensor] = {}
    for key, value in load_file(source).items():
        if not key.startswith("unet."):
            continue
        layer, _, side = key.removeprefix("unet.").removesuffix(".weight").rpartition(".")
        name = "lora_unet_" + layer.replace(".", "_")
        weights[f"{name}.{'lora_down' if side == 'lora_A' else 'lora_up'}.weight"] = value
        weights[f"{name}.alpha"] = torch.tensor(alpha)
    save_file(weights, path)
    return path


def save_embedding(path: Path, *, vectors: int = 1, width: int = 32, seed: int = 0, is_xl: bool = False) -> Path:
    """Save an embedding of `vectors` tokens, in A1111's form."""
    dice = torch.Generator().manual_seed(seed)
    keys = ("clip_l", "clip_g") if is_xl else ("emb_params",)
    save_file({key: torch.randn(vectors, width, generator=dice) for key in keys}, path)
    return path


def _adapted(model: Any, layers: list[str]) -> Any:
    model.add_adapter(LoraConfig(r=2, lora_alpha=4, target_modules=layers, init_lora_weights=False))
    return get_peft_model_state_dict(model)
