"""What a training run may be asked to do: one frozen, validated model per task, stored beside its results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from studio.errors import StudioError


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Phase(_Frozen):
    """A part of a run with one picture size and one batch size."""

    until: float = Field(gt=0, le=1, description="share of all steps after which the next phase begins")
    size: int = Field(ge=16, le=1024, description="side of the training pictures in pixels")
    batch_size: int = Field(ge=1, le=4096, description="pictures a step, over all processes")


class TaskConfig(_Frozen):
    """What all tasks have in common."""

    data: str = Field(description="picture pack, as written by `studio data build`")
    steps: int = Field(2000, ge=1, description="optimiser steps of the whole run")
    phases: tuple[Phase, ...] = (Phase(until=1.0, size=256, batch_size=8),)
    learning_rate: float = Field(8e-4, gt=0, le=1)
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = Field(0.0, ge=0, le=1)
    warmup_steps: int = Field(100, ge=0, description="steps of linear rise of the learning rate")
    final_rate: float = Field(0.02, ge=0, le=1, description="share of the learning rate left at the end")
    constant_until: float = Field(0.0, ge=0, lt=1, description="share of the run before the cosine decay begins")
    clip_norm: float = Field(1.0, gt=0, description="gradients longer than this are scaled down")
    ema_decay: float = Field(0.999, ge=0, lt=1, description="moving average of the weights; this is what is saved")
    seed: int = Field(0, ge=0)
    precision: Literal["fp32", "bf16"] = "bf16"
    accumulate: int = Field(1, ge=1, description="micro-batches a step: less memory, same result")
    workers: int = Field(1, ge=0, description="processes that draw training pictures")
    log_every: int = Field(20, ge=1)
    save_every: int = Field(500, ge=1)
    grid_every: int = Field(500, ge=1)
    init: str | None = Field(None, description="diffusers folder to start from instead of from nothing")
    fast_norms: bool = Field(True, description="compile the CPU norm kernel where that is possible")

    @model_validator(mode="after")
    def _phases_cover_the_run(self) -> TaskConfig:
        ends = [phase.until for phase in self.phases]
        if not ends or ends != sorted(set(ends)) or ends[-1] != 1.0:
            raise ValueError(f"phases must rise and end at 1.0, these end at {ends}")
        return self

    def phase(self, step: int) -> Phase:
        """Return the phase that ``step`` (0-based) belongs to."""
        return next((p for p in self.phases if step < p.until * self.steps), self.phases[-1])


class AutoencoderConfig(TaskConfig):
    """Train the picture encoder, the codebook and the decoder: `vqvae` without, `vqgan` with a discriminator."""

    task: Literal["vqvae", "vqgan"] = "vqgan"
    block_out_channels: tuple[int, ...] = (16, 32, 96, 160, 192)
    layers_per_block: int = Field(1, ge=1, le=4)
    norm_groups: int = Field(8, ge=1)
    codes: int = Field(1024, ge=2, le=65536, description="entries of the codebook")
    code_dim: int = Field(8, ge=2, le=256)
    unquantised_steps: int = Field(300, ge=0, description="warm-up before k-means makes the first codebook")
    unquantised_fraction: float = Field(0.1, ge=0, le=1, description="share of samples decoded without rounding")
    commitment: float = Field(0.25, ge=0)
    codebook_decay: float = Field(0.99, gt=0, lt=1)
    revive_every: int = Field(10, ge=1)
    revive_below: float = Field(0.03, ge=0, lt=1, description="a code used less than this share of 1/K is re-seeded")
    revive_until: float = Field(0.85, ge=0, le=1, description="share of the run after which codes stay as they are")
    freeze_codes: bool = Field(False, description="train the decoder only: stored codes stay valid")
    freeze_encoder: bool = Field(False, description="train codebook and decoder only (own folders)")
    refresh_codes: bool = Field(False, description="start with k-means on the new pictures (own folders)")
    l1_weight: float = Field(1.0, ge=0)
    l2_weight: float = Field(2.0, ge=0)
    isotropy: float = Field(
        0.5, ge=0, description="weight of using all directions of the code alike, during the warm-up"
    )
    chroma_weight: float = Field(1.0, ge=0)
    perceptual: Literal["efficientnet", "lpips", "pyramid", "none"] = "pyramid"
    perceptual_weight: float = Field(0.5, ge=0)
    perceptual_every: int = Field(2, ge=1, description="steps between two perceptual ones: it costs a network")
    gan_weight: float = Field(0.35, ge=0, description="length of the GAN's gradient relative to the other losses'")
    gan_start: float = Field(0.65, ge=0, le=1, description="share of the run before the discriminator begins")
    gan_ramp: float = Field(0.1, ge=0, le=1, description="share of the run over which its weight rises")
    gan_channels: int = Field(32, ge=4)
    feature_matching: float = Field(1.0, ge=0)


class DiffusionConfig(TaskConfig):
    """Train the text-to-picture model in the latent space of a frozen autoencoder."""

    task: Literal["diffusion"] = "diffusion"
    vqvae: str = Field(description="folder of the frozen VQModel")
    text_encoder: str = Field(description="folder with `bert` and `tokenizer` (`studio train text`)")
    block_out_channels: tuple[int, ...] = (192, 384)
    layers_per_block: int = Field(1, ge=1, le=4)
    attention_head_dim: int = Field(8, ge=1, description="attention heads (the name is diffusers')")
    attend_at: tuple[int, ...] = Field((1,), description="levels with cross-attention, 0 is the finest")
    norm_groups: int = Field(16, ge=1)
    caption_drop: float = Field(0.12, ge=0, lt=1, description="share trained without text, for guidance")
    time_spread: float = Field(
        0.0, ge=0, le=3, description="width of the logit-normal law of the trained times; 0: all alike (SD 3: 1)"
    )
    time_mean: float = Field(0.0, ge=-3, le=3, description="its middle: above 0 more noise, below 0 less")
    min_snr_gamma: float = Field(0.0, ge=0, description="cap of the loss weight by signal-to-noise; 0 is none")
    align_weight: float = Field(
        0.0, ge=0, description="pull of the middle block to image features of the scenes (REPA)"
    )
    scenes: str = Field("", description="folder of scenes encoded ahead (`studio train encode`); empty: encode afresh")
    context_tokens: int = Field(77, ge=8, le=512, description="length every prompt is padded to")


class TokensConfig(TaskConfig):
    """Train the masked-token prior (MaskGIT) on the codes of a frozen autoencoder."""

    task: Literal["tokens"] = "tokens"
    vqvae: str = Field(description="folder of the frozen VQModel")
    text_encoder: str = Field(description="folder with `bert` and `tokenizer` (`studio train text`)")
    hidden_size: int = Field(256, ge=16)
    layers: int = Field(8, ge=1)
    heads: int = Field(8, ge=1)
    caption_drop: float = Field(0.1, ge=0, lt=1)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    scenes: str = Field("", description="folder of scenes encoded ahead (`studio train encode`); empty: encode afresh")
    context_tokens: int = Field(77, ge=8, le=512)


AnyConfig = Annotated[AutoencoderConfig | DiffusionConfig | TokensConfig, Field(discriminator="task")]
_ADAPTER: TypeAdapter[AutoencoderConfig | DiffusionConfig | TokensConfig] = TypeAdapter(AnyConfig)


def read_config(path: Path) -> AutoencoderConfig | DiffusionConfig | TokensConfig:
    """Read a stored run configuration (JSON).

    Raises StudioError when the file is missing or a value in it is out of range.
    """
    try:
        return _ADAPTER.validate_json(Path(path).read_text())
    except FileNotFoundError as error:
        raise StudioError(f"There is no training configuration at {path}.", hint="Start a new run.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise StudioError(f"{path}: {place}: {first['msg']}.", hint="Correct this value in the file.") from error


def write_config(config: TaskConfig, path: Path) -> None:
    """Write ``config`` as JSON, every value included, so that later defaults cannot change a running recipe."""
    path.write_text(json.dumps(config.model_dump(mode="json"), indent=2) + "\n")
