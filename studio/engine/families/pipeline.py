"""Every other text-to-image pipeline of diffusers, run as it is: SD 3, FLUX, PixArt, aMUSEd and the rest.

The pipeline loads itself, from safetensors alone and from the folder alone; which classes may be named in the
folder is decided before (`studio.engine.recognise`). Pictures of a batch are made one after another.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator
from typing import Any

import diffusers
import torch

from studio.engine import offload
from studio.engine.adapters import Adapters
from studio.engine.catalog import ModelCard
from studio.engine.checkpoint import read_json
from studio.engine.device import Placement
from studio.engine.families.parts import nbytes_of
from studio.engine.noise import generators_of
from studio.engine.prompts import PromptCache
from studio.engine.quantization import config_of
from studio.engine.stock_kinds import STOCK_KINDS, StockKind
from studio.engine.stock_run import StockStep, run_stock
from studio.errors import ModelError
from studio.events import Loading
from studio.requests import Sampled

_DECODER_COPIES = 12  # as in studio.engine.memory


class StockPipeline:
    """A loaded stock pipeline.

    Args:
        card: The model's card.
        pipeline: Any text-to-image pipeline of diffusers.
        placement: Device and dtype.
    """

    def __init__(self, card: ModelCard, pipeline: Any, placement: Placement) -> None:
        self.card, self.pipeline = card, pipeline
        self.device, self.dtype = placement.torch_device, placement.torch_dtype
        self.kind: StockKind = STOCK_KINDS[type(pipeline).__name__]
        can_adapt = hasattr(pipeline, "load_lora_weights") and getattr(pipeline, "text_encoder", None) is not None
        self.adapters = Adapters(pipeline) if can_adapt else None
        self.prompts = PromptCache(self._no_embedding)
        autoencoder = getattr(pipeline, "vae", None) or getattr(pipeline, "vqvae", None)
        self.first_stage = FirstStage(card, autoencoder, self.device) if FirstStage.fits(autoencoder) else None

    @property
    def nbytes(self) -> int:
        """Bytes of the weights in memory."""
        return nbytes_of(*(part for part in self.pipeline.components.values() if isinstance(part, torch.nn.Module)))

    def estimate_bytes(self, width: int, height: int, rows: int) -> int:
        """Return about how many bytes the activations of one picture take; a batch is made in turn."""
        autoencoder = getattr(self.pipeline, "vae", None) or getattr(self.pipeline, "vqvae", None)
        channels = getattr(autoencoder.config, "block_out_channels", (128,)) if autoencoder else (128,)
        return int(_DECODER_COPIES * channels[0] * width * height * self.dtype.itemsize)

    def run(
        self, prompt: str, negative_prompt: str, request: Sampled, size: tuple[int, int], seed: int,
        *, should_stop: Callable[[], bool],
    ) -> Iterator[StockStep | list[Any] | None]:  # fmt: skip
        """Make one picture; yields as `stock_run.run_stock` does."""
        takes = inspect.signature(self.pipeline.__call__).parameters
        call: dict[str, Any] = {
            "prompt": prompt,
            "width": size[0],
            "height": size[1],
            "num_inference_steps": request.steps,
            self.kind.guidance_name: request.guidance_scale,
            "num_images_per_prompt": 1,
            "generator": generators_of([seed])[0],
        }
        negative = negative_prompt or (self.kind.blank if request.guidance_scale > 1 else "")
        if negative and "negative_prompt" in takes:
            call["negative_prompt"] = negative
        call |= self.kind.always
        return run_stock(self.pipeline, {k: v for k, v in call.items() if k in takes}, should_stop=should_stop)

    def latents_of(self, clean: torch.Tensor | None, width: int, height: int) -> torch.Tensor | None:
        """Return a pipeline's own latents as a preview takes them, (1, c, h, w), or None where that is not known."""
        if clean is None or self.first_stage is None:
            return None
        if clean.ndim == 3 and not torch.is_floating_point(clean):
            return self.first_stage.of_codes(clean)
        if clean.ndim == 3 and hasattr(self.pipeline, "_unpack_latents"):
            factor = self.pipeline.vae_scale_factor
            clean = self.pipeline._unpack_latents(clean, height, width, factor)
        return clean if clean.ndim == 4 and clean.shape[1] == self.first_stage.channels else None

    def _no_embedding(self, phrase: Any) -> Any:
        raise ModelError(f"{self.card.name} encodes its prompts itself.")


class FirstStage:
    """A stock pipeline's autoencoder, as the preview fit sees a model: pictures to latents and back."""

    def __init__(self, card: ModelCard, autoencoder: Any, device: torch.device) -> None:
        self.card, self.autoencoder, self.device = card, autoencoder, device
        config = autoencoder.config
        self.factor = 2 ** (len(config.block_out_channels) - 1)
        self.channels = config.vq_embed_dim or config.latent_channels if self._has_codes else config.latent_channels
        self._shift = getattr(config, "shift_factor", None) or 0.0
        self._scale = getattr(config, "scaling_factor", None) or 1.0
        self._is_01 = card.architecture == "amused"  # its autoencoder works on pictures in [0, 1]

    @staticmethod
    def fits(autoencoder: Any) -> bool:
        """Whether the autoencoder is of a kind that is known here."""
        return isinstance(autoencoder, (diffusers.AutoencoderKL, diffusers.VQModel))

    def encode(self, image_pm1: torch.Tensor) -> torch.Tensor:
        """Return latents in the pipeline's scale; of a VQ autoencoder, its codes' vectors."""
        picture = image_pm1 * 0.5 + 0.5 if self._is_01 else image_pm1
        encoded = self.autoencoder.encode(picture.to(self.device, self.autoencoder.dtype))
        if self._has_codes:
            return self.autoencoder.quantize(encoded.latents)[0].float()
        return (encoded.latent_dist.mode().float() - self._shift) * self._scale

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Return pictures in [-1, 1]."""
        latents = latents.to(self.autoencoder.dtype)
        scaled = latents if self._has_codes else latents / self._scale + self._shift
        picture = self.autoencoder.decode(scaled).sample.float()
        return picture * 2 - 1 if self._is_01 else picture

    def of_codes(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the vectors (1, c, h, w) of codes (1, h, w); those that are not decided yet are left at the mean."""
        table = self.autoencoder.quantize.embedding.weight.float()  # (codes, c)
        known = codes < len(table)
        vectors = table[codes.clamp(max=len(table) - 1)]  # (1, h, w, c)
        return torch.where(known[..., None], vectors, table.mean(0)).permute(0, 3, 1, 2)

    @property
    def _has_codes(self) -> bool:
        return isinstance(self.autoencoder, diffusers.VQModel)


def load(card: ModelCard, placement: Placement) -> Generator[Loading, None, StockPipeline]:
    """Load the folder of `card`; returns the model. Raises ModelError."""
    index = read_json(card.path / "model_index.json")
    cls = getattr(diffusers, index["_class_name"])
    empty = [name for name, named in index.items() if isinstance(named, list) and named[:1] == [None]]
    left_out: dict[str, Any] = dict.fromkeys(
        [*empty, *(name for name in cls._optional_components if name not in index)]
    )
    yield Loading(card.name)
    try:
        pipeline = cls.from_pretrained(
            card.path,
            dtype=placement.torch_dtype,
            local_files_only=True,
            use_safetensors=True,
            **left_out,
            **_quantized(card, placement),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(f'"{card.id}" could not be loaded: {lines[0][:200]}', "Download the model again.") from error
    yield Loading(f"{card.name}: to {placement.device}", 0.9)
    pipeline.to(placement.home)
    offload.apply(pipeline, placement.offload, placement.torch_device)
    pipeline.set_progress_bar_config(disable=True)
    return StockPipeline(card, pipeline, placement)


def _quantized(card: ModelCard, placement: Placement) -> dict[str, Any]:
    """Return the denoiser, loaded in fewer bits, to be handed to the pipeline; nothing without quantization."""
    config = config_of(placement.quantization, device=placement.torch_device, dtype=placement.torch_dtype)
    part = next((part for part in ("transformer", "unet") if (card.path / part / "config.json").is_file()), "")
    if config is None or not part:
        return {}
    named = getattr(diffusers, str(read_json(card.path / "model_index.json")[part][1]))
    model = named.from_pretrained(
        card.path / part,
        dtype=placement.torch_dtype,
        local_files_only=True,
        use_safetensors=True,
        quantization_config=config,
    )
    return {part: model}
