"""What kind of model is this? A diffusers folder or a single file, read from its JSON and headers into a card.

Knows no torch and opens no weight. Only classes from the table below are ever loaded: a folder that names
other code (custom pipelines, `trust_remote_code` models) is refused here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from studio.engine.catalog import ModelCard, Preset
from studio.engine.checkpoint import read_folder_headers, read_header, read_json
from studio.engine.checkpoint_keys import Architecture, architecture_of
from studio.engine.schedulers import NoiseSchedule, fitting
from studio.engine.stock_kinds import STOCK_KINDS, StockKind
from studio.errors import ModelError

PIPELINES: Mapping[str, tuple[str, Mapping[str, tuple[str, ...]]]] = {
    "LDMTextToImagePipeline": (
        "ldm",
        {"vqvae": ("VQModel", "AutoencoderKL"), "unet": ("UNet2DConditionModel",), "bert": ("BertModel",)},
    ),
    "StableDiffusionPipeline": (
        "stable_diffusion",
        {"vae": ("AutoencoderKL",), "unet": ("UNet2DConditionModel",), "text_encoder": ("CLIPTextModel",)},
    ),
    "StableDiffusionXLPipeline": (
        "stable_diffusion",
        {
            "vae": ("AutoencoderKL",),
            "unet": ("UNet2DConditionModel",),
            "text_encoder": ("CLIPTextModel",),
            "text_encoder_2": ("CLIPTextModelWithProjection",),
        },
    ),
}
_INPAINTING = {
    "StableDiffusionInpaintPipeline": "StableDiffusionPipeline",
    "StableDiffusionXLInpaintPipeline": "StableDiffusionXLPipeline",
}
_LIBRARIES = ("diffusers", "transformers")
_STEPS = {"draft": 8, "standard": 20, "fine": 40}


class _PresetFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    steps: int = Field(ge=1, le=150)
    scheduler: str = Field(max_length=40)
    guidance_scale: float = Field(ge=1, le=30)


class StudioFile(BaseModel):
    """`studio.toml` in a model's folder (or NAME.toml beside NAME.safetensors): its maker's words and defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field("", max_length=80)
    description: str = Field("", max_length=2000)
    licence: str = Field("", max_length=200)
    styles: tuple[str, ...] = Field((), max_length=64)
    examples: tuple[str, ...] = Field((), max_length=64)
    triggers: tuple[str, ...] = Field((), max_length=64)
    width: int = Field(0, ge=0, le=2048)
    height: int = Field(0, ge=0, le=2048)
    prediction_type: str = Field("", pattern="^(|epsilon|v_prediction|sample)$")
    zero_snr: bool | None = None
    presets: dict[str, _PresetFile] = Field(default_factory=dict)
    prior_presets: dict[str, _PresetFile] = Field(default_factory=dict)
    prior_description: str = Field("", max_length=2000)


def recognise(path: Path) -> ModelCard:
    """Return the card of the model at `path`, a folder or a file.

    Raises:
        ModelError: It is damaged, incomplete, not safe to open, or another kind of model.
    """
    return _of_folder(path) if path.is_dir() else _of_file(path)


def _of_folder(folder: Path) -> ModelCard:
    index = read_json(folder / "model_index.json")
    class_name = index.get("_class_name")
    if not isinstance(class_name, str):
        raise ModelError(f'"{folder.name}" asks to run its own code and was not opened.', "Use a plain model.")
    is_inpainting = class_name in _INPAINTING
    class_name = _INPAINTING.get(class_name, class_name)
    if class_name in STOCK_KINDS:
        return _of_stock(folder, index, STOCK_KINDS[class_name])
    if class_name not in PIPELINES:
        known = ", ".join(sorted({*PIPELINES, *_INPAINTING, *STOCK_KINDS}))
        raise ModelError(f'"{folder.name}" is a {class_name[:60]} model.', f"The studio runs {known}.")
    family, parts = PIPELINES[class_name]
    nbytes = sum(_check_part(folder, index, part, classes) for part, classes in parts.items())
    unet = read_json(folder / "unet" / "config.json")
    autoencoder = read_json(folder / ("vqvae" if family == "ldm" else "vae") / "config.json")
    scheduler = read_json(folder / "scheduler" / "scheduler_config.json")
    factor = 2 ** (len(autoencoder.get("block_out_channels", (0,))) - 1)
    levels = len(unet.get("block_out_channels", (0,)))
    sample = int(unet.get("sample_size") or 64)
    card = ModelCard(
        id=folder.name,
        name=folder.name,
        family=family,
        architecture=_architecture(class_name, unet),
        path=folder,
        schedule=_schedule(scheduler, unet, may_be_merged=family == "stable_diffusion"),
        width=sample * factor,
        height=sample * factor,
        grid=factor * 2 ** (levels - 1) if family == "ldm" else factor,
        presets=(),
        bytes=nbytes,
        is_inpainting=is_inpainting or (family != "ldm" and int(unet.get("in_channels", 4)) == 9),
    )
    return _with_words(card, folder / "studio.toml")


def _of_stock(folder: Path, index: Mapping[str, Any], kind: StockKind) -> ModelCard:
    """Return the card of a pipeline that runs as it is; every part must come from diffusers or transformers."""
    nbytes = 0
    for part, named in index.items():
        if not isinstance(named, list) or named[:1] == [None]:
            continue
        if len(named) != 2 or named[0] not in _LIBRARIES or not str(named[1]).isidentifier():
            raise ModelError(
                f'"{folder.name}" asks to run its own code ({part}) and was not opened.', "Use a plain model."
            )
        if (folder / part / "config.json").is_file():
            nbytes += read_folder_headers(folder / part).nbytes
    side = _trained_side(folder) or kind.size
    card = ModelCard(
        id=folder.name,
        name=folder.name,
        family="pipeline",
        architecture=kind.architecture,
        path=folder,
        schedule=NoiseSchedule("own"),
        width=side,
        height=side,
        grid=kind.grid,
        presets=(),
        bytes=nbytes,
    )
    card = _with_words(card, folder / "studio.toml")
    steps = {"draft": max(1, kind.steps // 2), "standard": kind.steps, "fine": min(150, kind.steps * 2)}
    given = read_words(folder / "studio.toml").presets
    presets = [Preset(name, count, "own", kind.guidance_scale) for name, count in steps.items() if name not in given]
    return replace(card, presets=(*presets, *(p for p in card.presets if p.id in given)))


def _trained_side(folder: Path) -> int:
    """Return the side in pixels that the denoiser's sample size stands for, or 0 where it is not stated."""
    denoiser = next((part for part in ("transformer", "unet") if (folder / part / "config.json").is_file()), "")
    autoencoder = next((part for part in ("vae", "vqvae") if (folder / part / "config.json").is_file()), "")
    sample = read_json(folder / denoiser / "config.json").get("sample_size") if denoiser else None
    levels = read_json(folder / autoencoder / "config.json").get("block_out_channels") if autoencoder else None
    return sample * 2 ** (len(levels) - 1) if isinstance(sample, int) and isinstance(levels, list) else 0


def _of_file(path: Path) -> ModelCard:
    if path.suffix == ".ckpt":
        raise ModelError(
            f'"{path.name}" is a pickle checkpoint, which can run code, and was not opened.',
            "Use a .safetensors file.",
        )
    header = read_header(path)
    found: Architecture = architecture_of(header, path.name)
    schedule = NoiseSchedule(found.prediction_type, found.zero_snr, found.is_distilled, may_be_merged=True)
    card = ModelCard(
        id=path.stem,
        name=path.stem,
        family="stable_diffusion",
        architecture=found.name,
        path=path,
        schedule=schedule,
        width=found.size,
        height=found.size,
        grid=8,
        presets=(),
        bytes=header.nbytes,
        is_inpainting=found.in_channels == 9,
    )
    return _with_words(card, path.with_suffix(".toml"))


def _check_part(folder: Path, index: Mapping[str, Any], part: str, classes: tuple[str, ...]) -> int:
    """Return the bytes of a part's weights after checking its class and headers."""
    named = index.get(part)
    if not (isinstance(named, list) and len(named) == 2) or named[1] not in classes:
        said = named[1] if isinstance(named, list) and len(named) == 2 else named
        raise ModelError(
            f'"{folder.name}" names {said!r} as its {part}; {" or ".join(classes)} is needed here.',
            "Use a model of this kind.",
        )
    return read_folder_headers(folder / part).nbytes


def _architecture(class_name: str, unet: Mapping[str, Any]) -> str:
    if class_name == "LDMTextToImagePipeline":
        return "ldm"
    if class_name == "StableDiffusionXLPipeline":
        return "sdxl"
    width = unet.get("cross_attention_dim", 768)
    return "sd2" if isinstance(width, int) and width >= 1024 else "sd1"


def _schedule(scheduler: Mapping[str, Any], unet: Mapping[str, Any], *, may_be_merged: bool) -> NoiseSchedule:
    return NoiseSchedule(
        prediction_type=str(scheduler.get("prediction_type", "epsilon")),
        zero_snr=bool(scheduler.get("rescale_betas_zero_snr", False)),
        is_distilled=unet.get("time_cond_proj_dim") is not None
        or str(scheduler.get("_class_name", "")).startswith("LCM"),
        may_be_merged=may_be_merged,
    )


def _with_words(card: ModelCard, path: Path) -> ModelCard:
    """Return `card` with the maker's words, and presets that fit its schedule."""
    words = read_words(path)
    schedule = replace(
        card.schedule,
        prediction_type=words.prediction_type or card.schedule.prediction_type,
        zero_snr=card.schedule.zero_snr if words.zero_snr is None else words.zero_snr,
    )
    if not fitting(schedule):
        raise ModelError(
            f'"{card.id}" predicts noise (epsilon) from pure noise (zero terminal SNR), which no scheduler can use.',
            "Its scheduler configuration is wrong: set prediction_type to v_prediction.",
        )
    card = replace(
        card,
        schedule=schedule,
        name=words.name or card.name,
        description=words.description,
        licence=words.licence,
        styles=words.styles,
        examples=words.examples,
        width=words.width or card.width,
        height=words.height or card.height,
    )
    return replace(card, presets=tuple(_preset(card, preset_id, words) for preset_id in _STEPS))


def _preset(card: ModelCard, preset_id: str, words: StudioFile) -> Preset:
    fits = [choice.id for choice in card.schedulers]
    if preset_id in words.presets and words.presets[preset_id].scheduler in fits:
        given = words.presets[preset_id]
        return Preset(preset_id, given.steps, given.scheduler, given.guidance_scale)
    if card.schedule.is_distilled:
        return Preset(preset_id, {"draft": 4, "standard": 6, "fine": 8}[preset_id], "lcm", 8.0)
    scheduler = "dpmpp_2m_karras" if card.family != "ldm" and "dpmpp_2m_karras" in fits else fits[0]
    return Preset(preset_id, _STEPS[preset_id], scheduler, 4.0 if card.family == "ldm" else 7.0)


def read_words(path: Path) -> StudioFile:
    """Return the maker's words in the TOML file `path`, empty where there is none; raises ModelError."""
    try:
        return StudioFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return StudioFile()
    except (OSError, ValueError, ValidationError) as error:
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise ModelError(
            f'"{path.name}" of "{path.parent.name}" cannot be used: {said}.', "Mend or delete it."
        ) from error
