"""Latent diffusion as in the stock `LDMTextToImagePipeline`: a VQ autoencoder, a U-Net, a BERT text encoder.

The conventions are the stock pipeline's, so that it runs our models as they are: prompts padded to 77 tokens
without a mask, latents times the autoencoder's scaling factor, decoding with quantisation. Beyond it: any
fitting scheduler, negative prompts, sizes by the autoencoder's true factor (the stock pipeline always takes 8).

Source: "High-Resolution Image Synthesis with Latent Diffusion Models" (Rombach 2022).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, VQModel
from transformers import AutoTokenizer, BertModel

from studio.engine.catalog import ModelCard
from studio.engine.checkpoint import read_json
from studio.engine.denoise import Conditioning
from studio.engine.device import Placement
from studio.engine.families.parts import load_diffusers_part, load_transformers_part, nbytes_of, place
from studio.engine.families.prompt_text import ReadPrompt, english, truncation_notes
from studio.engine.families.weighting import away_from, framed, tokenize
from studio.engine.prompts import Embedding, PromptCache
from studio.engine.schedulers import choose, make
from studio.errors import ModelError
from studio.events import Loading
from studio.prompt.phrase import Phrase

TOKENS = 77


class LatentDiffusion:
    """A loaded model of this family: the loop's `Denoiser`.

    The text encoder and the autoencoder stay in float32 on the CPU: they are small, and a nearest-code search
    in half precision picks other codes.
    """

    def __init__(self, card: ModelCard, parts: dict[str, Any], placement: Placement) -> None:
        self.card, self.device, self.dtype = card, placement.torch_device, placement.torch_dtype
        self.unet, self.autoencoder = parts["unet"], parts["vqvae"]
        self.text_encoder, self.tokenizer = parts["bert"], parts["tokenizer"]
        self.scheduler_config: dict[str, Any] = parts["scheduler"]
        self.prompts = PromptCache(self._embed)
        self.adapters = None
        self.factor = 2 ** (len(self.autoencoder.config.block_out_channels) - 1)

    @property
    def nbytes(self) -> int:
        """Bytes of the weights in memory."""
        return nbytes_of(self.unet, self.autoencoder, self.text_encoder)

    def new_scheduler(self, name: str, *, steps: int) -> Any:
        """Return a fresh scheduler; raises UnknownName or InvalidRequest when it does not fit."""
        return make(choose(name, self.card.schedule, steps=steps), self.scheduler_config)

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """Return (c, h, w) of the latents."""
        return self.unet.config.in_channels, height // self.factor, width // self.factor

    def read_prompt(self, phrase: Phrase) -> ReadPrompt:
        """Return the phrase in the language the model was trained on, with notes for the artist."""
        read = english(phrase)
        return ReadPrompt(read.phrase, (*read.notes, *truncation_notes(self.tokenizer, read.phrase, TOKENS)))

    def condition(
        self, prompt: str | Phrase, negative_prompt: str | Phrase, *, guidance_scale: float, width: int, height: int
    ) -> Conditioning:
        """Encode the prompts; no negative row without guidance."""
        negative = self.prompts(negative_prompt) if guidance_scale != 1 else None
        return Conditioning(self.prompts(prompt), negative, guidance_scale)

    def predict(self, latents: torch.Tensor, timestep: torch.Tensor, embedding: Embedding) -> torch.Tensor:
        """Return the U-Net's output, (n, c, h, w)."""
        return self.unet(latents, timestep, encoder_hidden_states=embedding.text, return_dict=False)[0]

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Return pictures in [-1, 1]; a VQ autoencoder snaps the latents to its codes first."""
        scaled = 1 / self.autoencoder.config.scaling_factor * latents.to(self.autoencoder.dtype)
        return self.autoencoder.decode(scaled).sample.float()

    def encode(self, image_pm1: torch.Tensor) -> torch.Tensor:
        """Return latents in the loop's scale: the codes of a VQ autoencoder, which the U-Net was trained on, or the
        mean of a KL autoencoder.
        """
        encoded = self.autoencoder.encode(image_pm1.to(self.device, self.autoencoder.dtype))
        if hasattr(encoded, "latents"):
            latents = self.autoencoder.quantize(encoded.latents)[0]
        else:
            latents = encoded.latent_dist.mode()
        return latents.float() * self.autoencoder.config.scaling_factor

    def _embed(self, phrase: Phrase) -> Embedding:
        if phrase.plain is None:
            return Embedding(self._weighted(phrase).to(self.dtype))
        tokens = self.tokenizer(
            [phrase.plain], padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt"
        ).input_ids  # (1, 77)
        return Embedding(self.text_encoder(tokens.to(self.device))[0].to(self.dtype))  # (1, 77, width)

    def _weighted(self, phrase: Phrase) -> torch.Tensor:
        """Return states (1, 77, width) of words with weights. The model reads one chunk: BREAK is a space here."""
        tokens = [token for words in phrase.chunks for token in tokenize(words, self.tokenizer, str)]
        chunk = framed(tokens, self.tokenizer, room=TOKENS - 2)
        states = self.text_encoder(chunk.ids.to(self.device))[0]
        if not chunk.is_weighted:
            return states
        blank = framed([], self.tokenizer, room=TOKENS - 2)
        return away_from(self.text_encoder(blank.ids.to(self.device))[0], states, chunk.weights)


def load(card: ModelCard, placement: Placement) -> Generator[Loading, None, LatentDiffusion]:
    """Load the folder of `card`, saying what is being loaded; returns the model. Raises ModelError."""
    parts = yield from load_first_stage(card, placement)
    yield Loading(f"{card.name}: U-Net", 0.5)
    unet = load_diffusers_part(
        UNet2DConditionModel.from_config, UNet2DConditionModel, card.path / "unet", dtype=placement.torch_dtype
    )
    parts["unet"] = place(unet, placement.torch_device)
    return LatentDiffusion(card, parts, placement)


def load_first_stage(card: ModelCard, placement: Placement) -> Generator[Loading, None, dict[str, Any]]:
    """Load text encoder, tokenizer and autoencoder: everything but what makes the latents. Raises ModelError."""
    folder, precise = card.path, placement.precise_dtype
    index = read_json(folder / "model_index.json")
    autoencoder_class = {"VQModel": VQModel, "AutoencoderKL": AutoencoderKL}[index["vqvae"][1]]
    parts: dict[str, Any] = {"scheduler": read_json(folder / "scheduler" / "scheduler_config.json")}
    yield Loading(f"{card.name}: text encoder", 0.0)
    try:
        parts["tokenizer"] = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f'The tokenizer of "{folder.name}" cannot be read.', "Download the model again.") from error
    bert = load_transformers_part(BertModel, folder / "bert", dtype=precise)
    parts["bert"] = place(bert, placement.torch_device)
    yield Loading(f"{card.name}: autoencoder", 0.3)
    autoencoder = load_diffusers_part(autoencoder_class.from_config, autoencoder_class, folder / "vqvae", dtype=precise)
    parts["vqvae"] = place(autoencoder, placement.torch_device)
    return parts
