"""The tasks `vqvae` and `vqgan`: encoder, codebook and decoder in a plain diffusers ``VQModel``.

Recipe: Esser et al. 2021 (VQGAN) with an EMA codebook, a chroma loss and the adversarial part late and gentle.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers import VQModel
from PIL import Image
from torch import Tensor

from studio.training.config import AutoencoderConfig
from studio.training.discriminator import PatchDiscriminator
from studio.training.grids import picture_grid
from studio.training.group_norm import accelerate_norms, can_compile
from studio.training.initialise import initialise_autoencoder
from studio.training.losses import (
    balance,
    chroma_loss,
    feature_matching_loss,
    hinge_discriminator_loss,
    isotropy_loss,
    pixel_loss,
)
from studio.training.perceptual import make_distance
from studio.training.quantizer import Codebook, usage
from studio.training.runlog import Means
from studio.training.stream import Batch
from studio.training.task import Trained, own_share, step_generator

_KMEANS_VECTORS = 32_768


def make_vqmodel(config: AutoencoderConfig) -> VQModel:
    """Build the plain model that ``config`` describes, or load the one it starts from."""
    if config.init:
        return VQModel.from_pretrained(config.init, torch_dtype=torch.float32)
    levels = len(config.block_out_channels)
    model = VQModel(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=config.block_out_channels,
        layers_per_block=config.layers_per_block,
        norm_num_groups=config.norm_groups,
        latent_channels=config.code_dim,
        vq_embed_dim=config.code_dim,
        num_vq_embeddings=config.codes,
        sample_size=256,
        mid_block_add_attention=False,
        scaling_factor=config.code_dim**0.5,  # unit-norm codes times this have about unit variance per number
    )
    initialise_autoencoder(model)
    return model


class AutoencoderTask:
    """See the module; `vqvae` is the same without the discriminator."""

    def __init__(self, config: AutoencoderConfig, accelerator: Accelerator, examples: Tensor) -> None:
        torch.manual_seed(config.seed)  # diffusers draws its initial weights from the global generator
        self.config, self.accelerator, self.device = config, accelerator, accelerator.device
        self.examples = examples
        self.model = make_vqmodel(config).to(self.device, memory_format=torch.channels_last)
        if config.fast_norms and self.device.type == "cpu" and can_compile():
            accelerate_norms(self.model)
        self.model.quantize.requires_grad_(False)
        if config.freeze_codes or config.freeze_encoder:
            self.model.encoder.requires_grad_(False)
            self.model.quant_conv.requires_grad_(False)
        size = self.model.config.num_vq_embeddings
        self.codebook = Codebook(
            size, self.model.quantize.vq_embed_dim, decay=config.codebook_decay, accelerator=accelerator
        ).to(self.device)
        if config.init and not config.refresh_codes:
            self._adopt_codes()
        self.discriminator = PatchDiscriminator(config.gan_channels).to(self.device)
        self.distance = make_distance(config.perceptual)
        if self.distance is not None:
            self.distance.to(self.device)
        self.generator_weights = Trained(self.model.parameters(), config, accelerator)
        self.discriminator_weights = Trained(self.discriminator.parameters(), config, accelerator, rate=0.5)
        self._recent: list[Tensor] = []

    def _adopt_codes(self) -> None:
        codes = self.model.quantize.embedding.weight.detach()
        self.codebook.codes.copy_(codes)
        self.codebook.sums.copy_(codes)
        self.codebook.is_ready.fill_(True)

    def encode(self, pictures: Tensor) -> Tensor:
        """Return unquantised latents (b, d, h/f, w/f) float32 of pictures in [-1, 1]."""
        with self.accelerator.autocast():
            return self.model.quant_conv(self.model.encoder(pictures)).float()

    def decode(self, latents: Tensor) -> Tensor:
        """Return pictures (b, 3, h, w) float32 of latents (b, d, h/f, w/f), without rounding them to codes."""
        with self.accelerator.autocast():
            return self.model.decoder(self.model.post_quant_conv(latents)).float()

    def step(self, batch: Batch, step: int) -> dict[str, Tensor | float]:
        """Take one step of the autoencoder and, once it has begun, one of the discriminator."""
        config = self.config
        self._prepare_codes(batch, step)
        draws = own_share(torch.rand, (len(batch.captions),), self.accelerator, step_generator(config, step, stream=8))
        soft = (draws < config.unquantised_fraction).to(self.device)
        parts, means, seen = batch.split(config.accumulate), Means(), []
        for part, is_soft in zip(parts, soft.tensor_split(len(parts)), strict=True):
            figures, z, indices = self._backward(
                part.pictures.to(self.device), is_soft, step, share=len(part.captions) / len(batch.captions)
            )
            means.add(figures)
            seen.append((z, indices))
        length = self.generator_weights.update(step)
        taken: dict[str, Tensor | float] = {**means.take(), "gradient": length}
        if "discriminator" in taken:
            self.discriminator_weights.update(step)
        if torch.isfinite(length):  # the codes would keep what is not a number for good
            taken |= self._follow(seen, step)
        return taken

    def _backward(
        self, pictures: Tensor, is_soft: Tensor, step: int, *, share: float
    ) -> tuple[dict[str, Tensor | float], Tensor, Tensor]:
        """Add the gradients of one micro-batch; return its figures, latents and codes."""
        z = self.encode(pictures)
        mixed, indices, figures, extra = self._quantise(z, is_soft)
        output = self.decode(mixed)
        leaf = output.detach().requires_grad_()
        losses = self._reconstruction(leaf, pictures, step)
        (gradient,) = torch.autograd.grad(torch.stack(list(losses.values())).sum(), leaf)
        figures |= {name: value.detach() for name, value in losses.items()}
        progress = step / self.config.steps
        if self.config.task == "vqgan" and progress >= self.config.gan_start and self.config.gan_weight > 0:
            ramp = min(1.0, (progress - self.config.gan_start) / max(self.config.gan_ramp, 1e-9))
            gradient = gradient + self._adversarial(leaf, pictures, gradient, ramp, figures)
            figures["discriminator"] = self._judge_pictures(pictures, output.detach(), share)
        roots, weights = [output], [gradient * share]
        if extra.requires_grad:
            roots, weights = [output, extra], [gradient * share, torch.full_like(extra, share)]
        torch.autograd.backward(roots, weights)
        with torch.no_grad():
            figures["psnr"] = -10 * torch.log10((output.clamp(-1, 1) - pictures).square().mean() / 4)
        return figures, z.detach(), indices

    def _prepare_codes(self, batch: Batch, step: int) -> None:
        """Make the first codebook when the time without rounding is over."""
        if self.codebook.is_ready or step < self.config.unquantised_steps:
            return
        if not self._recent:
            with torch.no_grad():
                self._remember(self.encode(batch.pictures.to(self.device)))
        vectors, self._recent = torch.cat(self._recent), []
        if vectors.isfinite().all():  # else this step will be skipped for its gradient, and the next one tries again
            self.codebook.initialise(vectors, generator=step_generator(self.config, step, stream=1))

    def _quantise(self, z: Tensor, is_soft: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor | float], Tensor]:
        """Return what the decoder gets, the codes, figures, and the extra loss on the encoder."""
        config = self.config
        spread = isotropy_loss(z)
        figures: dict[str, Tensor | float] = {"isotropy": spread.detach()}
        if not self.codebook.is_ready:
            pull = (z.norm(dim=1) - 1).square().mean()
            figures["length"] = pull.detach()
            nothing = torch.zeros(len(z), *z.shape[2:], dtype=torch.int64)
            return z, nothing, figures, config.commitment * pull + config.isotropy * spread
        quantised = self.codebook(z)
        figures["commitment"] = quantised.commitment.detach()
        used, perplexity, top = usage(quantised.indices, len(self.codebook.codes))
        figures |= {"batch_used": used, "batch_perplexity": perplexity, "batch_top": top}
        vectors = torch.where(is_soft[:, None, None, None], z, quantised.vectors)
        return vectors, quantised.indices, figures, config.commitment * quantised.commitment

    def _follow(self, seen: list[tuple[Tensor, Tensor]], step: int) -> dict[str, Tensor | float]:
        """Let the codes learn from the (latents, codes) of a step's micro-batches, or keep the latents for k-means."""
        latents = torch.cat([z for z, _ in seen])
        if self.codebook.is_ready:
            return self._learn_codes(latents, torch.cat([indices for _, indices in seen]), step)
        self._remember(latents)
        return {}

    def _learn_codes(self, z: Tensor, indices: Tensor, step: int) -> dict[str, Tensor | float]:
        """Move the codes towards what chose them, and re-seed those that nothing chooses."""
        config = self.config
        if config.freeze_codes:
            return {}
        self.codebook.update(z, indices)
        if step % config.revive_every or step >= config.revive_until * config.steps:
            return {}
        generator = step_generator(config, step, stream=2)
        return {"revived": self.codebook.revive(z, below=config.revive_below, generator=generator)}

    def _remember(self, z: Tensor) -> None:
        """Keep the latest encoder outputs for k-means."""
        self._recent.append(self.codebook.gather(z).permute(0, 2, 3, 1).reshape(-1, z.shape[1]))
        while sum(len(part) for part in self._recent[1:]) > _KMEANS_VECTORS:
            self._recent.pop(0)

    def _reconstruction(self, output: Tensor, target: Tensor, step: int) -> dict[str, Tensor]:
        config = self.config
        losses = {
            "pixel": pixel_loss(output, target, l1=config.l1_weight, l2=config.l2_weight),
            "chroma": config.chroma_weight * chroma_loss(output, target),
        }
        if self.distance is not None and step % config.perceptual_every == 0:
            half = slice(0, max(1, len(output) // 2)) if config.perceptual == "efficientnet" else slice(None)
            with self.accelerator.autocast():
                value = self.distance(output[half], target[half])
            losses["perceptual"] = config.perceptual_weight * config.perceptual_every * value.float()
        return losses

    def _adversarial(
        self, leaf: Tensor, target: Tensor, gradient: Tensor, ramp: float, figures: dict[str, Tensor | float]
    ) -> Tensor:
        """Return the discriminator's gradient at the picture, scaled against ``gradient``."""
        config = self.config
        self.discriminator.requires_grad_(False)
        with self.accelerator.autocast():
            scores, fake = self.discriminator(leaf)
            with torch.no_grad():
                _, real = self.discriminator(target)
            loss = -scores.float().mean() + config.feature_matching * feature_matching_loss(real, fake).float()
        (adversarial,) = torch.autograd.grad(loss, leaf)
        self.discriminator.requires_grad_(True)
        factor = balance(gradient, adversarial, share=config.gan_weight)
        if self.accelerator.num_processes > 1:
            factor = self.accelerator.reduce(factor, reduction="mean")
        figures |= {"gan": loss.detach(), "gan_factor": factor}
        return ramp * factor * adversarial

    def _judge_pictures(self, real: Tensor, fake: Tensor, share: float) -> Tensor:
        """Add the discriminator's gradients; return its loss."""
        with self.accelerator.autocast():
            scores_real, _ = self.discriminator(real)
            scores_fake, _ = self.discriminator(fake)
        loss = hinge_discriminator_loss(scores_real.float(), scores_fake.float())
        (loss * share).backward()
        return loss.detach()

    def state(self) -> dict[str, Any]:
        """Return weights, codebook, optimisers and the vectors kept for k-means."""
        return {
            "model": self.model.state_dict(),
            "codebook": self.codebook.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "generator_weights": self.generator_weights.state(),
            "discriminator_weights": self.discriminator_weights.state(),
            "recent": self._recent,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` returned."""
        for name in ("model", "codebook", "discriminator"):
            getattr(self, name).load_state_dict(state[name])
        self.generator_weights.restore(state["generator_weights"])
        self.discriminator_weights.restore(state["discriminator_weights"])
        self._recent = [vectors.to(self.device) for vectors in state["recent"]]

    @torch.no_grad()
    def reconstruct(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return pictures (b, 3, h, w) through the averaged model, and their codes (b, h/f, w/f)."""
        with self.generator_weights:
            z = self.encode(pictures.to(self.device))
            if not self.codebook.is_ready:
                return self.decode(z).clamp(-1, 1), torch.zeros(z.shape[0], *z.shape[2:], dtype=torch.int64)
            quantised = self.codebook(z)
            return self.decode(quantised.vectors).clamp(-1, 1), quantised.indices

    def grid(self) -> Image.Image:
        """Draw held-out pictures over their reconstructions."""
        output, _ = self.reconstruct(self.examples)
        rows = [part for pair in zip(self.examples.split(8), output.cpu().split(8), strict=True) for part in pair]
        return picture_grid(torch.cat(rows), columns=8)

    def export(self, folder: Path) -> None:
        """Write the averaged model with its codes as a plain ``VQModel`` folder."""
        with self.generator_weights:
            self.model.quantize.embedding.weight.data.copy_(self.codebook.codes)
            self.model.save_pretrained(folder, safe_serialization=True)

    def health(self, figures: dict[str, float]) -> str | None:
        """Notice a codebook that has collapsed."""
        if self.codebook.is_ready and figures.get("batch_perplexity", 99.0) < 3:
            return (
                f"Only {figures['batch_perplexity']:.1f} codes are in use. Train longer without rounding "
                "(unquantised_steps), revive more often (revive_every), or lower the learning rate."
            )
        return None
