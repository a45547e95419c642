"""Networks that artists put beside or into a Stable Diffusion model: ControlNets and autoencoders (VAEs).

A diffusers folder has its own configuration. A single file, in the original or in diffusers' layout, has none: it is
read with the configuration of the model it is to work with, and refused when it does not fit.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint, convert_ldm_vae_checkpoint

from studio.engine.addon_keys import BASE_TITLES
from studio.engine.addons import AddOn
from studio.engine.checkpoint import Header, read_header
from studio.engine.families.parts import load_diffusers_part, place
from studio.engine.families.single_file import Part, Weights, check_part, load_part
from studio.errors import ModelError

_SHAPE = ("cross_attention_dim", "block_out_channels", "layers_per_block", "addition_embed_type")


def load_controlnet(addon: AddOn, model: Any) -> ControlNetModel:
    """Return a ControlNet for `model`, on its device and in its dtype.

    Raises:
        ModelError: It is damaged, or made for another kind of model.
    """
    width, own = addon.width, model.unet.config.cross_attention_dim
    if width and width != own:
        made_for = BASE_TITLES.get(addon.base, "other models")
        raise _not_fitting(
            "ControlNet", addon, model, f"it was made for {made_for}, text vectors {width} wide instead of {own}"
        )
    if addon.path.is_dir():
        net = load_diffusers_part(ControlNetModel.from_config, ControlNetModel, addon.path, dtype=model.dtype)
        for name in _SHAPE:
            theirs, ours = net.config[name], model.unet.config[name]
            if theirs != ours and list(_many(theirs)) != list(_many(ours)):
                raise _not_fitting("ControlNet", addon, model, f"its {name} is {theirs} instead of {ours}")
    else:
        net = _from_file("ControlNet", addon, _controlnet_part(model, read_header(addon.path)), model, model.dtype)
    return place(net, model.device)


def load_autoencoder(addon: AddOn, model: Any) -> AutoencoderKL:
    """Return an autoencoder that can stand in the place of that of `model`, on its device.

    Raises:
        ModelError: It is damaged, or its latents are not those of this kind of model.
    """
    own = model.autoencoders.own
    if addon.base and (addon.base == "sdxl") != model.is_xl:
        raise _not_fitting("VAE", addon, model, f"it was made for {BASE_TITLES.get(addon.base, 'other')} models")
    if addon.path.is_dir():
        vae = load_diffusers_part(AutoencoderKL.from_config, AutoencoderKL, addon.path, dtype=torch.float32)
        for name in ("latent_channels", "scaling_factor"):
            if vae.config[name] != own.config[name]:
                why = f"its {name} is {vae.config[name]} instead of {own.config[name]}"
                raise _not_fitting("VAE", addon, model, why)
        if len(vae.config.block_out_channels) != len(own.config.block_out_channels):
            raise _not_fitting("VAE", addon, model, "it makes latents of another size")
    else:
        part = Part("", lambda: AutoencoderKL.from_config(own.config), _autoencoder_names)
        vae = _from_file("VAE", addon, part, model, torch.float32)
    is_upcast = model.dtype == torch.float16 and vae.config.force_upcast
    return place(vae.to(torch.float32 if is_upcast else model.dtype), model.device)


def _controlnet_part(model: Any, header: Header) -> Part:
    hint = tuple(_hint_channels(header)) or (16, 32, 96, 256)

    def make() -> ControlNetModel:
        net = ControlNetModel.from_unet(
            model.unet, conditioning_embedding_out_channels=hint, load_weights_from_unet=False
        )
        latents = model.autoencoder.config.latent_channels
        if net.config.in_channels == latents:
            return net
        return ControlNetModel.from_config({**net.config, "in_channels": latents})  # an inpainting U-Net sees more

    def convert(weights: Weights, net: Any) -> Weights:
        found = convert_controlnet_checkpoint(weights, dict(net.config))
        foreign = [key for key in found if key not in net.state_dict()]
        if foreign:  # a ControlNet of several kinds in one, for one
            raise ValueError(f'there is no place for "{foreign[0]}"')
        return found

    return Part("", make, convert)


def _hint_channels(header: Header) -> list[int]:
    """Return the widths of the levels that read the control picture; the original layout counts activations too."""
    named, original = "controlnet_cond_embedding.{}.weight", "input_hint_block.{}.weight"
    places = [named.format("conv_in"), *(named.format(f"blocks.{place}") for place in (1, 3, 5, 7, 9))]
    places += [f"{prefix}{original.format(place)}" for prefix in ("", "control_model.") for place in (0, 4, 8, 12)]
    return [header.tensors[place].shape[0] for place in places if place in header.tensors]


def _autoencoder_names(weights: Weights, vae: Any) -> Weights:
    if any(".down_blocks." in key for key in weights):
        return weights
    return convert_ldm_vae_checkpoint(weights, dict(vae.config))


def _from_file(kind: str, addon: AddOn, part: Part, model: Any, dtype: torch.dtype) -> Any:
    try:
        check_part(addon.path, kind, part, read_header(addon.path))
    except ModelError as error:
        raise _not_fitting(kind, addon, model, error.message) from error
    return load_part(addon.path, part, dtype)


def _many(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _not_fitting(kind: str, addon: AddOn, model: Any, why: str) -> ModelError:
    return ModelError(
        f'The {kind} "{addon.id}" does not fit {model.card.name}: {why.rstrip(".")}.',
        "Use one made for this kind of model.",
    )
