"""Which architecture is a single-file checkpoint? Told from the names and shapes in its header alone.

Names are those of the original CompVis/Stability layout ("model.diffusion_model...").
"""

from __future__ import annotations

from dataclasses import dataclass

from studio.engine.checkpoint import Header
from studio.errors import ModelError

_UNET = "model.diffusion_model."
_CONTEXT = _UNET + "input_blocks.{}.1.transformer_blocks.0.attn2.to_k.weight"

_OTHERS: tuple[tuple[str, str], ...] = (
    ("double_blocks.", "FLUX"),
    ("joint_blocks.", "Stable Diffusion 3"),
    ("lora_unet_", "LoRA"),
    ("lora_te", "LoRA"),
    (".lora_A.", "LoRA"),
    (".lora_down.", "LoRA"),
    ("control_model.", "ControlNet"),
    ("controlnet_", "ControlNet"),
    ("motion_modules.", "AnimateDiff motion"),
    ("quantize.embedding", "VQGAN"),
    ("first_stage_model.", "autoencoder"),
    ("decoder.conv_in.", "autoencoder"),
    ("text_model.encoder.", "text encoder"),
    ("vision_model.", "image encoder"),
)


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a single file holds; `name` is "sd1", "sd2" or "sdxl", `size` its training size in pixels."""

    name: str
    size: int
    prediction_type: str
    zero_snr: bool
    is_distilled: bool
    in_channels: int


def architecture_of(header: Header, file_name: str) -> Architecture:
    """Return the architecture of the checkpoint with `header`.

    Raises:
        ModelError: It is something else (named if known), lacks a part, or has another shape.
    """
    tensors = header.tensors
    first = tensors.get(_UNET + "input_blocks.0.0.weight")
    if first is None:
        raise _other_kind(header, file_name)
    context = next((tensors[k].shape[1] for i in (1, 4) if (k := _CONTEXT.format(i)) in tensors), 0)
    name = {768: "sd1", 1024: "sd2", 2048: "sdxl"}.get(context)
    if name is None or (name == "sdxl") != (_UNET + "label_emb.0.0.weight" in tensors):
        kind = "an SDXL refiner" if context == 1280 else f"a model with context width {context}"
        raise ModelError(f'"{file_name}" is {kind}; SD 1.x (768), SD 2.x (1024) or SDXL (2048) is needed here.')
    _require_parts(header, name, file_name)
    if len(first.shape) != 4 or first.shape[0] != 320 or first.shape[1] not in (4, 9):
        raise ModelError(
            f'"{file_name}" starts with a convolution of shape {first.shape}; (320, 4, 3, 3) is needed here.',
            "The studio runs text-to-image and inpainting models.",
        )
    said = header.metadata.get("modelspec.prediction_type", "")
    is_v = said == "v" or "v_pred" in tensors or (name == "sd2" and not said and _is_768_v(header))
    return Architecture(
        name=name,
        size={"sd1": 512, "sd2": 768 if is_v else 512, "sdxl": 1024}[name],
        prediction_type="v_prediction" if is_v else "epsilon",
        zero_snr="ztsnr" in tensors,
        is_distilled=_UNET + "time_embed.cond_proj.weight" in tensors,
        in_channels=first.shape[1],
    )


def _is_768_v(header: Header) -> bool:
    """SD 2.x tells nothing about its prediction; inpainting and 512-px bases use epsilon, the rest v."""
    resolution = header.metadata.get("modelspec.resolution", "")
    return not resolution.startswith("512") and header.tensors[_UNET + "input_blocks.0.0.weight"].shape[1] == 4


def _require_parts(header: Header, name: str, file_name: str) -> None:
    prefixes = {"autoencoder": "first_stage_model.decoder.", "text encoder": "cond_stage_model."}
    if name == "sdxl":
        prefixes["text encoder"] = "conditioner.embedders.0."
        prefixes["second text encoder"] = "conditioner.embedders.1."
    for part, prefix in prefixes.items():
        if not any(key.startswith(prefix) for key in header.tensors):
            raise ModelError(
                f'"{file_name}" has no {part} ("{prefix}*" is missing): it is a part of a model, not a whole one.',
                "Use the full checkpoint.",
            )


def _other_kind(header: Header, file_name: str) -> ModelError:
    for marker, kind in _OTHERS:
        if any(marker in key for key in header.tensors):
            return ModelError(
                f'"{file_name}" is a {kind} file; a Stable Diffusion checkpoint is needed here.',
                "Put a full SD 1.x, SD 2.x or SDXL checkpoint here.",
            )
    missing = _UNET + "input_blocks.0.0.weight"
    return ModelError(
        f'"{file_name}" is not a Stable Diffusion checkpoint ("{missing}" is missing).',
        "Put a full SD 1.x, SD 2.x or SDXL checkpoint here.",
    )
