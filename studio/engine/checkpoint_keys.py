"""Which architecture is a single-file checkpoint? Told from the names and shapes in its header alone.

Names are those of the original CompVis/Stability layout ("model.diffusion_model...").
"""

from __future__ import annotations

from dataclasses import dataclass

from studio.engine.checkpoint import Header
from studio.errors import ModelError

_UNET = "model.diffusion_model."
_CONTEXT = ".attn2.to_k.weight"
_DECODER = "first_stage_model.decoder."
_MARKERS: dict[str, tuple[str, ...]] = {
    "sdxl": (_DECODER, "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model.", _UNET + "label_emb."),
    "sd2": (_DECODER, "cond_stage_model.model.transformer."),
    "sd1": (_DECODER, "cond_stage_model.transformer."),
}

_OTHERS: tuple[tuple[str, str], ...] = (
    ("double_blocks.", "FLUX"),
    ("single_blocks.", "FLUX"),
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
    name = next((name for name, markers in _MARKERS.items() if all(_has(header, m) for m in markers)), None)
    if name is None:
        kind = "an SDXL refiner" if _has(header, "conditioner.embedders.0.model.") else "only a part of a model"
        raise ModelError(
            f'"{file_name}" is {kind}: a denoiser, an autoencoder and text encoders are needed here.',
            "Use a full SD 1.x, SD 2.x or SDXL checkpoint.",
        )
    _check_context(header, name, file_name)
    if first.shape[1:] not in ((4, 3, 3), (9, 3, 3)):
        raise ModelError(
            f'"{file_name}" takes {first.shape[1] if len(first.shape) > 1 else 0} channels; text-to-image models '
            "take 4, inpainting models 9.",
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


def _has(header: Header, prefix: str) -> bool:
    return any(key.startswith(prefix) for key in header.tensors)


def _check_context(header: Header, name: str, file_name: str) -> None:
    """Raise ModelError unless the denoiser reads vectors as wide as the text encoders make them."""
    context = next((t.shape[1] for k, t in header.tensors.items() if k.endswith(_CONTEXT) and len(t.shape) == 2), 0)
    tables = [key for key in header.tensors if key.endswith("token_embedding.weight") and key.startswith("con")]
    width = sum(header.tensors[key].shape[-1] for key in tables)
    if context != width:
        raise ModelError(
            f'"{file_name}" ({name}) reads text vectors {context} wide, but its text encoder makes them {width} wide.',
            "Its parts do not belong together: download it again.",
        )


def _other_kind(header: Header, file_name: str) -> ModelError:
    for marker, kind in _OTHERS:
        if any(marker in key for key in header.tensors):
            return ModelError(
                f'"{file_name}" is {"an" if kind[0] in "aA" else "a"} {kind} file; '
                "a Stable Diffusion checkpoint is needed here.",
                "Put a full SD 1.x, SD 2.x or SDXL checkpoint here.",
            )
    missing = _UNET + "input_blocks.0.0.weight"
    return ModelError(
        f'"{file_name}" is not a Stable Diffusion checkpoint ("{missing}" is missing).',
        "Put a full SD 1.x, SD 2.x or SDXL checkpoint here.",
    )
