"""Stable Diffusion 1.x, 2.x and XL, from a diffusers folder or one .safetensors file.

Prompts are encoded by the stock pipeline's own `encode_prompt`, so that what the U-Net sees is the same to
the bit. Text encoders and autoencoder are the stock classes; nothing is fetched, nothing but safetensors read.

Source: "High-Resolution Image Synthesis with Latent Diffusion Models" (Rombach 2022), SDXL (Podell 2023),
guidance embedding of distilled models (Meng 2023; LCM, Luo 2023).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from studio.engine import offload
from studio.engine.adapters import Adapters
from studio.engine.autoencoders import AutoencoderRack
from studio.engine.catalog import ModelCard
from studio.engine.checkpoint import read_json
from studio.engine.compiled import Compiled
from studio.engine.control import ControlRack
from studio.engine.denoise import Conditioning
from studio.engine.device import Placement
from studio.engine.families.parts import load_diffusers_part, load_transformers_part, nbytes_of, place
from studio.engine.families.prompt_text import ReadPrompt
from studio.engine.families.weighting import Chunk, chunks_of, keep_mean
from studio.engine.prompts import Embedding, PromptCache
from studio.engine.quantization import config_of
from studio.engine.schedulers import choose, make
from studio.errors import ModelError
from studio.events import Loading
from studio.prompt.phrase import EMPTY, Phrase


class StableDiffusion:
    """A loaded model of this family: the loop's `Denoiser`, around a stock pipeline's parts.

    Args:
        card: The model's card.
        pipeline: A `StableDiffusionPipeline` or `StableDiffusionXLPipeline` with its parts in place.
        scheduler_config: As stored with the model; every scheduler starts from it.
        placement: Device and dtypes.
    """

    def __init__(self, card: ModelCard, pipeline: Any, scheduler_config: dict[str, Any], placement: Placement) -> None:
        self.card, self.device, self.dtype = card, placement.torch_device, placement.torch_dtype
        self.pipeline, self.unet, self.autoencoder = pipeline, pipeline.unet, pipeline.vae
        self.is_xl = card.architecture == "sdxl"
        self.scheduler_config = scheduler_config
        self.prompts = PromptCache(self._embed)
        self.adapters, self.controls = Adapters(pipeline), ControlRack()
        self.autoencoders = AutoencoderRack(pipeline.vae)
        self.compiled: Compiled | None = None
        self.factor = 2 ** (len(self.autoencoder.config.block_out_channels) - 1)

    @property
    def nbytes(self) -> int:
        """Bytes of the weights in memory."""
        encoders = [self.pipeline.text_encoder, getattr(self.pipeline, "text_encoder_2", None)]
        encoders = [encoder for encoder in encoders if encoder is not None]
        return nbytes_of(self.unet, *self.autoencoders.all, *encoders, *self.controls.nets)

    def use_autoencoder(self, autoencoder: Any) -> None:
        """Encode and decode with `autoencoder` from now on."""
        self.autoencoder = self.pipeline.vae = autoencoder

    def new_scheduler(self, name: str, *, steps: int) -> Any:
        """Return a fresh scheduler; raises UnknownName or InvalidRequest when it does not fit."""
        schedule = self.card.schedule
        config = {
            **self.scheduler_config,
            "prediction_type": schedule.prediction_type,
            "rescale_betas_zero_snr": schedule.zero_snr,
        }
        return make(choose(name, schedule, steps=steps), config)

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """Return (c, h, w) of the latents."""
        return self.autoencoder.config.latent_channels, height // self.factor, width // self.factor

    def read_prompt(self, phrase: Phrase) -> ReadPrompt:
        """Return the phrase as it is: the model reads all of it, 75 tokens at a time."""
        return ReadPrompt(phrase)

    def condition(
        self, prompt: str | Phrase, negative_prompt: str | Phrase, *, guidance_scale: float, width: int, height: int
    ) -> Conditioning:
        """Encode the prompts; a distilled model takes the guidance scale as an input instead of a negative.

        The shorter of two prompts of different length is filled up with empty chunks.
        """
        positive, negative = self.prompts(prompt), None
        if guidance_scale > 1 and not self._takes_guidance:
            blank = self.prompts("").text
            negative = self.prompts(negative_prompt)
            if negative_prompt in ("", EMPTY) and self.is_xl and self.pipeline.config.force_zeros_for_empty_prompt:
                assert negative.pooled is not None
                negative = Embedding(torch.zeros_like(negative.text), torch.zeros_like(negative.pooled))
                negative = negative.padded(positive.text.shape[1], negative.text)
            negative = negative.padded(positive.text.shape[1], blank)
            positive = positive.padded(negative.text.shape[1], blank)
        positive = self._with_extras(positive, guidance_scale, width, height)
        negative = negative and self._with_extras(negative, guidance_scale, width, height)
        return Conditioning(positive, negative, guidance_scale)

    def predict(
        self,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        embedding: Embedding,
        residuals: tuple[Any, Any] = (None, None),
    ) -> torch.Tensor:
        """Return the U-Net's output, (n, c, h, w); `residuals` are a ControlNet's, of the way down and the middle."""
        added: dict[str, Any] = {"text_embeds": embedding.pooled, "time_ids": embedding.sizes} if self.is_xl else {}
        if embedding.picture is not None:
            added["image_embeds"] = [embedding.picture]
        return (self.compiled or self.unet)(
            latents,
            timestep,
            encoder_hidden_states=embedding.text,
            timestep_cond=embedding.guidance,
            added_cond_kwargs=added or None,
            down_block_additional_residuals=residuals[0],
            mid_block_additional_residual=residuals[1],
            return_dict=False,
        )[0]

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Return pictures in [-1, 1]."""
        config = self.autoencoder.config
        latents = latents.to(self.autoencoder.dtype)
        mean, std = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
        if mean is not None and std is not None:
            mean, std = (
                torch.tensor(v, device=self.device, dtype=latents.dtype).view(1, -1, 1, 1) for v in (mean, std)
            )
            latents = latents * std / config.scaling_factor + mean
        else:
            latents = latents / config.scaling_factor
        return self.autoencoder.decode(latents, return_dict=False)[0].float()

    def encode(self, image_pm1: torch.Tensor) -> torch.Tensor:
        """Return latents in the loop's scale: the posterior's mean."""
        config = self.autoencoder.config
        latents = self.autoencoder.encode(image_pm1.to(self.device, self.autoencoder.dtype)).latent_dist.mode().float()
        mean, std = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
        if mean is not None and std is not None:
            mean, std = (torch.tensor(v, device=self.device).view(1, -1, 1, 1) for v in (mean, std))
            return (latents - mean) * config.scaling_factor / std
        return latents * config.scaling_factor

    @property
    def _takes_guidance(self) -> bool:
        return self.unet.config.time_cond_proj_dim is not None

    def _embed(self, phrase: Phrase) -> Embedding:
        chunks = self._chunks(phrase, "tokenizer")
        if phrase.plain is not None and len(chunks) == 1:
            result = self.pipeline.encode_prompt(
                phrase.plain, device=self.device, num_images_per_prompt=1, do_classifier_free_guidance=False
            )
            return Embedding(result[0].to(self.dtype), result[2].to(self.dtype) if self.is_xl else None)
        if not self.is_xl:
            return Embedding(self._encoded(chunks, "text_encoder")[0].to(self.dtype))
        first, _ = self._encoded(chunks, "text_encoder")
        second, pooled = self._encoded(self._chunks(phrase, "tokenizer_2"), "text_encoder_2")
        return Embedding(torch.cat([first, second], dim=-1).to(self.dtype), pooled.to(self.dtype))

    def _chunks(self, phrase: Phrase, tokenizer: str) -> list[Chunk]:
        reader = getattr(self.pipeline, tokenizer)
        return chunks_of(phrase, reader, prepare=lambda text: self.pipeline.maybe_convert_prompt(text, reader))

    def _encoded(self, chunks: list[Chunk], name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return states (1, 77 * chunks, width) with weights, and what the encoder pools of the first chunk.

        The states are those the stock pipelines take: the last ones, for SDXL the last but one.
        """
        encoder = getattr(self.pipeline, name)
        states, outputs = [], []
        for chunk in chunks:
            out = encoder(chunk.ids.to(self.device), output_hidden_states=self.is_xl)
            state = out.hidden_states[-2] if self.is_xl else out[0]
            states.append(keep_mean(state, chunk.weights) if chunk.is_weighted else state)
            outputs.append(out[0])
        return torch.cat(states, dim=1), outputs[0]  # pooled only where the encoder has a projection (SDXL's second)

    def _with_extras(self, embedding: Embedding, guidance_scale: float, width: int, height: int) -> Embedding:
        sizes = guidance = None
        if self.is_xl:
            sizes = self.pipeline._get_add_time_ids(
                (height, width),
                (0, 0),
                (height, width),
                dtype=self.dtype,
                text_encoder_projection_dim=self.pipeline.text_encoder_2.config.projection_dim,
            ).to(self.device)
        if self._takes_guidance:
            guidance = self.pipeline.get_guidance_scale_embedding(
                torch.tensor([guidance_scale - 1]), embedding_dim=self.unet.config.time_cond_proj_dim
            ).to(self.device, self.dtype)
        return replace(embedding, sizes=sizes, guidance=guidance)


def load(card: ModelCard, placement: Placement) -> Generator[Loading, None, StableDiffusion]:
    """Load the folder or file of `card`, saying what is being loaded; returns the model. Raises ModelError."""
    if card.path.is_file():
        from studio.engine.families.single_file import load_pipeline

        if placement.quantization != "none":
            raise ModelError(
                f"{card.name} is a single file, which can only be loaded in its own precision.",
                "Set quantization to none, or use the model as a diffusers folder.",
            )
        pipeline, config = yield from load_pipeline(card, placement)
    else:
        pipeline, config = yield from _load_folder(card, placement)
    offload.apply(pipeline, placement.offload, placement.torch_device)
    return StableDiffusion(card, pipeline, config, placement)


def _load_folder(card: ModelCard, placement: Placement) -> Generator[Loading, None, tuple[Any, dict[str, Any]]]:
    folder, dtype, is_xl = card.path, placement.torch_dtype, card.architecture == "sdxl"
    parts: dict[str, Any] = {"tokenizer": _tokenizer(card, "tokenizer")}
    yield Loading(f"{card.name}: text encoder", 0.0)
    parts["text_encoder"] = load_transformers_part(CLIPTextModel, folder / "text_encoder", dtype=dtype)
    if is_xl:
        parts["tokenizer_2"] = _tokenizer(card, "tokenizer_2")
        parts["text_encoder_2"] = load_transformers_part(
            CLIPTextModelWithProjection, folder / "text_encoder_2", dtype=dtype
        )
    yield Loading(f"{card.name}: autoencoder", 0.2)
    upcast = dtype == torch.float16 and read_json(folder / "vae" / "config.json").get("force_upcast", True)
    parts["vae"] = load_diffusers_part(
        AutoencoderKL.from_config, AutoencoderKL, folder / "vae", dtype=torch.float32 if upcast else dtype
    )
    yield Loading(f"{card.name}: U-Net", 0.3)
    parts["unet"] = load_diffusers_part(
        UNet2DConditionModel.from_config,
        UNet2DConditionModel,
        folder / "unet",
        dtype=dtype,
        quantization=config_of(placement.quantization, device=placement.torch_device, dtype=dtype),
    )
    parts = {name: place(p, placement.home) if isinstance(p, torch.nn.Module) else p for name, p in parts.items()}
    config = read_json(folder / "scheduler" / "scheduler_config.json")
    force_zeros = bool(read_json(folder / "model_index.json").get("force_zeros_for_empty_prompt", True))
    return assemble(card, parts, config, force_zeros_for_empty_prompt=force_zeros), config


def assemble(
    card: ModelCard, parts: dict[str, Any], scheduler_config: dict[str, Any], *, force_zeros_for_empty_prompt: bool
) -> Any:
    """Return the stock pipeline around `parts`; its scheduler only carries the configuration."""
    scheduler = make(choose("euler", card.schedule, steps=1), scheduler_config)
    if card.architecture == "sdxl":
        return StableDiffusionXLPipeline(
            **parts,
            scheduler=scheduler,
            add_watermarker=False,
            force_zeros_for_empty_prompt=force_zeros_for_empty_prompt,
        )
    return StableDiffusionPipeline(
        **parts, scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )


def _tokenizer(card: ModelCard, name: str) -> Any:
    try:
        return CLIPTokenizer.from_pretrained(card.path / name, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f'The {name} of "{card.id}" cannot be read.', "Download the model again.") from error
