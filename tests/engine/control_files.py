"""ControlNets of random weights for the tiny models, as people save them."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from safetensors.torch import save_file

_LAYERS = {  # within resnets, as tests.engine.original has them
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}


def save_controlnet(model: Path, folder: Path, *, seed: int = 0) -> ControlNetModel:
    """Save a ControlNet for the tiny model in the folder `model` as a diffusers folder, and return it.

    A fresh ControlNet adds nothing (its last layers are zero), so all weights are drawn.
    """
    unet = UNet2DConditionModel.from_pretrained(model / "unet")
    net = ControlNetModel.from_unet(
        unet, load_weights_from_unet=False, conditioning_embedding_out_channels=(4, 8, 8, 8)
    )
    dice = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in net.parameters():
            value.copy_(torch.randn(value.shape, generator=dice) * 0.1)
    net.save_pretrained(folder)
    return net


def save_one_file(net: ControlNetModel, path: Path) -> Path:
    """Save a ControlNet as one file under diffusers' names."""
    save_file({key: value.contiguous() for key, value in net.state_dict().items()}, path)
    return path


def save_original(net: ControlNetModel, path: Path) -> Path:
    """Save a ControlNet of one layer per level as one file under the names of its first publication."""
    weights = {"control_model." + _original(key): value.contiguous() for key, value in net.state_dict().items()}
    save_file(weights, path)
    return path


def _original(key: str) -> str:
    head, _, rest = key.partition(".")
    match head:
        case "time_embedding":
            return rest.replace("linear_1", "time_embed.0").replace("linear_2", "time_embed.2")
        case "conv_in":
            return f"input_blocks.0.0.{rest}"
        case "controlnet_mid_block":
            return f"middle_block_out.0.{rest}"
        case "controlnet_down_blocks":
            place, _, part = rest.partition(".")
            return f"zero_convs.{place}.0.{part}"
        case "controlnet_cond_embedding":
            place, part = rest.rsplit(".", 1)
            number = {"conv_in": 0, "conv_out": 14}.get(place)
            return f"input_hint_block.{2 * int(place.split('.')[1]) + 2 if number is None else number}.{part}"
        case "mid_block":
            kind, place, part = rest.split(".", 2)
            number = 1 if kind == "attentions" else 2 * int(place)
            return f"middle_block.{number}.{_layer(part)}"
    level, kind, place, part = rest.split(".", 3)  # down_blocks
    block = 2 * int(level) + 1
    if kind == "downsamplers":
        return f"input_blocks.{block + 1}.0.op.{part.removeprefix('conv.')}"
    return f"input_blocks.{block + int(place)}.{0 if kind == 'resnets' else 1}.{_layer(part)}"


def _layer(part: str) -> str:
    name, _, rest = part.partition(".")
    return f"{_LAYERS.get(name, name)}.{rest}"
