"""Stable Diffusion from one .safetensors file in the original layout, offline.

Each part's configuration comes from the header (`original_layout`), its names from diffusers' converters. The
whole file is checked by running the converters on tensors without memory before any weight is read.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from safetensors import SafetensorError, safe_open
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from studio.engine.catalog import ModelCard
from studio.engine.checkpoint import Header, read_header
from studio.engine.device import Placement
from studio.engine.families import original_layout as layout
from studio.engine.families.clip_tokenizer import clip_tokenizer
from studio.engine.families.parts import place
from studio.engine.families.stable_diffusion import assemble
from studio.errors import ModelError
from studio.events import Loading

Weights = dict[str, torch.Tensor]
_IGNORED = ("position_ids", "logit_scale", "text_projection.weight")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the file: where its names begin, how to build it, and how to rename its weights."""

    prefix: str
    make: Callable[[], Any]
    convert: Callable[[Weights, Any], Weights]


def load_pipeline(card: ModelCard, placement: Placement) -> Generator[Loading, None, tuple[Any, dict[str, Any]]]:
    """Load the file of `card`: yield what is being loaded; return the stock pipeline and scheduler configuration.

    Raises:
        ModelError: The file is damaged, lacks weights, or has some in other shapes.
    """
    header = read_header(card.path)
    parts = _parts(card, header)
    for name, part in parts.items():
        check_part(card.path, name, part, header)
    loaded: dict[str, Any] = {}
    for number, (name, part) in enumerate(parts.items()):
        yield Loading(f"{card.name}: {name.replace('_', ' ')}", number / len(parts))
        is_upcast = name == "vae" and placement.torch_dtype == torch.float16
        dtype = torch.float32 if is_upcast else placement.torch_dtype
        loaded[name] = place(load_part(card.path, part, dtype), placement.home)
    loaded["tokenizer"] = clip_tokenizer(**({"pad_token": "!"} if card.architecture == "sd2" else {}))
    if card.architecture == "sdxl":
        loaded["tokenizer_2"] = clip_tokenizer(pad_token="!")
    config = layout.scheduler_config(card)
    return assemble(card, loaded, config, force_zeros_for_empty_prompt=True), config


def _parts(card: ModelCard, header: Header) -> dict[str, Part]:
    architecture, sample = card.architecture, card.width // 8
    try:
        unet = layout.unet_config(header, architecture, sample_size=sample)
        vae = layout.autoencoder_config(header, architecture, sample_size=sample)
        parts = {
            "unet": Part(
                layout.UNET,
                lambda: UNet2DConditionModel.from_config(unet),
                lambda weights, model: convert_ldm_unet_checkpoint(weights, dict(model.config)),
            ),
            "vae": Part(
                layout.AUTOENCODER,
                lambda: AutoencoderKL.from_config(vae),
                lambda weights, model: convert_ldm_vae_checkpoint(weights, dict(model.config)),
            ),
        }
        if architecture in layout.CLIP_PREFIX:
            parts["text_encoder"] = _clip(header, layout.CLIP_PREFIX[architecture])
        if architecture == "sd2":
            parts["text_encoder"] = _open_clip(header, layout.OPEN_CLIP_PREFIX["sd2"], CLIPTextModel, drop_last=True)
        if architecture == "sdxl":
            parts["text_encoder_2"] = _open_clip(
                header, layout.OPEN_CLIP_PREFIX["sdxl"], CLIPTextModelWithProjection, drop_last=False
            )
    except (KeyError, IndexError, StopIteration, ZeroDivisionError) as error:
        raise ModelError(
            f'"{card.path.name}" is not a whole {architecture} model: {error} is missing.', "Download it again."
        ) from error
    return parts


def _clip(header: Header, prefix: str) -> Part:
    config = CLIPTextConfig(**layout.clip_config(header, prefix))
    return Part(
        prefix,
        lambda: CLIPTextModel(config),
        lambda weights, model: _renamed(convert_ldm_clip_checkpoint(weights), model),
    )


def _open_clip(header: Header, prefix: str, cls: Any, *, drop_last: bool) -> Part:
    values = layout.open_clip_config(header, prefix, drop_last=drop_last)
    config, dropped = CLIPTextConfig(**values), f"{prefix}transformer.resblocks.{values['num_hidden_layers']}."

    def convert(weights: Weights, model: Any) -> Weights:
        kept = {key: value for key, value in weights.items() if not key.startswith(dropped)}
        return _renamed(convert_open_clip_checkpoint(model, kept, prefix=prefix), model)

    return Part(prefix, lambda: cls(config), convert)


def _renamed(weights: Weights, model: Any) -> Weights:
    """Return the weights that `model` has, under its names (CLIPTextModel is flat in newer transformers)."""
    own = model.state_dict()
    found = {key if key in own else key.removeprefix("text_model."): value for key, value in weights.items()}
    return {key: value for key, value in found.items() if key in own or not key.endswith(_IGNORED)}


def check_part(path: Path, name: str, part: Part, header: Header) -> None:
    """Run the part's conversion without memory and hold the result against the model it is for; raises ModelError."""
    empty = {
        key: torch.empty(tensor.shape, device="meta")
        for key, tensor in header.tensors.items()
        if key.startswith(part.prefix)
    }
    what = f'"{path.name}" does not hold a whole {name.replace("_", " ")}'
    try:
        with init_empty_weights():
            model = part.make()
        converted = part.convert(empty, model)
    except (KeyError, IndexError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise ModelError(f"{what}: {str(error)[:200]}.", "Download it again.") from error
    expected: Mapping[str, torch.Tensor] = model.state_dict()
    for key, value in expected.items():
        found = converted.get(key)
        if found is None:
            raise ModelError(f'{what}: "{key}" is missing.', "Download it again.")
        if found.shape != value.shape:
            raise ModelError(
                f'{what}: "{key}" is {tuple(found.shape)}, {tuple(value.shape)} is needed here.', "Download it again."
            )


def load_part(path: Path, part: Part, dtype: torch.dtype) -> Any:
    """Return the part of the file at `path`, checked before, in `dtype` on the CPU, in eval mode; raises ModelError."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            weights = {key: file.get_tensor(key).to(dtype) for key in file.keys() if key.startswith(part.prefix)}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f'"{path.name}" is damaged: {error}.', "Download it again.") from error
    with init_empty_weights():
        model = part.make()
    converted = part.convert(weights, model)
    own = model.state_dict()
    model.load_state_dict({key: value for key, value in converted.items() if key in own}, strict=True, assign=True)
    return model.eval().requires_grad_(False)
