"""The task `diffusion`: text to picture in the latent space of a frozen VQ autoencoder.

The model predicts v = alpha * noise - sigma * latents (Salimans and Ho 2022, "Progressive Distillation", appendix D)
on a schedule that ends in pure noise (Lin et al. 2024, "Common Diffusion Noise Schedules ... are Flawed"), with the
loss weighted by min-SNR-gamma (Hang et al. 2023, eq. 8 in its v form), and 1 in 8 captions dropped for
classifier-free guidance (Ho and Salimans 2022). It follows the stock `LDMTextToImagePipeline` in everything, so
that this runs what is exported as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from diffusers import DDIMScheduler, LDMTextToImagePipeline, UNet2DConditionModel, VQModel
from diffusers.models.attention_processor import AttnProcessor
from PIL import Image
from torch import Tensor

from studio.training.alignment import Alignment
from studio.training.config import DiffusionConfig
from studio.training.grids import picture_grid
from studio.training.group_norm import accelerate_norms, can_compile
from studio.training.latents import EncodedScenes
from studio.training.on_codes import OnCodes
from studio.training.stream import Batch
from studio.training.task import Trained, own_share
from studio.training.text import TextEncoder

GRID_PROMPTS = (
    "a red apple, 3d style", "a blue car, flat style", "a cat, 3d style", "a dog, clipart style",
    "a yellow flower on a blue background", "a green tree, flat style", "a pink heart", "three stars",
    "a house, 3d style", "a cup of coffee", "a purple fish", "a cat and a lemon",
    "a rocket, flat style", "a smiling face, 3d style", "an orange butterfly", "a guitar, 3d style",
)  # fmt: skip


def make_scheduler() -> DDIMScheduler:
    """Return the noise schedule: v-prediction, zero signal at the last step, trailing steps."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
    )


def make_unet(config: DiffusionConfig, *, channels: int, width: int, side: int = 16) -> UNet2DConditionModel:
    """Return the U-Net that `config` describes, or the one it starts from.

    Args:
        channels: Of the latents.
        width: Of the text embeddings.
        side: Height and width of the latents it is trained on.
    """
    if config.init:
        return UNet2DConditionModel.from_pretrained(config.init, subfolder="unet", torch_dtype=torch.float32)
    levels = len(config.block_out_channels)
    down = ["CrossAttnDownBlock2D" if level in config.attend_at else "DownBlock2D" for level in range(levels)]
    up = ["CrossAttnUpBlock2D" if level in config.attend_at else "UpBlock2D" for level in reversed(range(levels))]
    return UNet2DConditionModel(
        sample_size=side,
        in_channels=channels,
        out_channels=channels,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        block_out_channels=config.block_out_channels,
        layers_per_block=config.layers_per_block,
        norm_num_groups=config.norm_groups,
        cross_attention_dim=width,
        attention_head_dim=config.attention_head_dim,
    )


class DiffusionTask(OnCodes):
    """See the module."""

    config: DiffusionConfig

    def __init__(
        self,
        config: DiffusionConfig,
        accelerator: Accelerator,
        vqvae: VQModel,
        text: TextEncoder,
        scenes: EncodedScenes | None = None,
    ) -> None:
        self.config = config
        super().__init__(config, accelerator, vqvae, text, scenes)
        self.unet = make_unet(config, channels=vqvae.config.latent_channels, width=text.width, side=self.side)
        self.unet.to(self.device, memory_format=torch.channels_last)
        if config.fast_norms and self.device.type == "cpu" and can_compile():
            accelerate_norms(self.unet)
        if self.device.type == "cpu":
            # The fused attention's backward is most of a step on a CPU: plain matrix products are 1.6 times faster.
            self.unet.set_attn_processor(AttnProcessor())
        self.scheduler = make_scheduler()
        self.alphas = self.scheduler.alphas_cumprod.to(self.device)
        self.alignment = Alignment(self.unet).to(self.device) if config.align_weight > 0 else None
        learns = [*self.unet.parameters(), *(self.alignment.parameters() if self.alignment else ())]
        self.weights = Trained(learns, config, accelerator)

    def latents_of(self, codes: Tensor) -> Tensor:
        """Return latents (b, d, h, w) in the model's scale of code indices (b, h, w)."""
        vectors = F.embedding(codes, self.vqvae.quantize.embedding.weight)  # (b, h, w, d)
        return vectors.permute(0, 3, 1, 2) * self.vqvae.config.scaling_factor

    def _backward(self, batch: Batch, generator: torch.Generator, *, share: float) -> dict[str, Tensor | float]:
        codes, text = self._inputs(batch)
        latents = self.latents_of(codes)
        count = len(latents)
        noise = own_share(torch.randn, tuple(latents.shape), self.accelerator, generator).to(self.device)
        # one time per equal part of the schedule: the same expectation as independent draws, less variance
        within = own_share(torch.rand, (count,), self.accelerator, generator)
        everything = count * self.accelerator.num_processes
        place = torch.arange(everything)[self.accelerator.process_index :: self.accelerator.num_processes]
        drawn = time_share((place + within) / everything, self.config.time_mean, self.config.time_spread)
        times = (drawn * len(self.alphas)).long().clamp_(0, len(self.alphas) - 1)
        text = self._without_some(text, generator)
        loss, by_time = self.loss(latents, noise, times.to(self.device), text)
        figures = {"loss": loss.detach()}
        if self.alignment is not None and self.scenes is not None:
            away = self.alignment(self.scenes.features_of(batch.indices).to(self.device))
            loss = loss + self.config.align_weight * away
            figures["align"] = away.detach()
        (loss * share).backward()
        thirds = {f"loss_{name}": by_time[part].mean() for name, part in _thirds(times) if part.any()}
        return {**figures, **thirds}

    def loss(self, latents: Tensor, noise: Tensor, times: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted loss, and the plain squared error of each sample (b,)."""
        alpha2 = self.alphas[times][:, None, None, None]
        alpha, sigma = alpha2.sqrt(), (1 - alpha2).sqrt()
        noisy, target = alpha * latents + sigma * noise, alpha * noise - sigma * latents
        noisy = noisy.contiguous(memory_format=torch.channels_last)
        with self.accelerator.autocast():
            predicted = self.unet(noisy, times, encoder_hidden_states=text).sample
        error = (predicted.float() - target).square().mean((1, 2, 3))  # (b,)
        if self.config.min_snr_gamma <= 0:
            return error.mean(), error.detach()
        snr = (alpha2 / (1 - alpha2)).flatten()
        weight = snr.clamp(max=self.config.min_snr_gamma) / (snr + 1)
        weight = weight.clamp(min=_LEAST_WEIGHT)  # pure noise has no signal, but the first step decides the layout
        return (weight * error).mean(), error.detach()

    def state(self) -> dict[str, Any]:
        """Return weights and optimiser."""
        aligned = {"alignment": self.alignment.state_dict()} if self.alignment is not None else {}
        return {"unet": self.unet.state_dict(), "weights": self.weights.state(), **aligned}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self.unet.load_state_dict(state["unet"])
        if self.alignment is not None:
            self.alignment.load_state_dict(state["alignment"])
        self.weights.restore(state["weights"])

    @torch.no_grad()
    def sample(self, prompts: list[str], *, seed: int, steps: int = 20, guidance_scale: float = 4.0) -> Tensor:
        """Return pictures (b, 3, h, w) in [-1, 1], drawn with the averaged weights."""
        self.scheduler.set_timesteps(steps)
        side, channels = self.unet.config.sample_size, self.unet.config.in_channels
        generator = torch.Generator().manual_seed(seed)
        latents = torch.randn((len(prompts), channels, side, side), generator=generator).to(self.device)
        text = torch.cat([self.empty.expand(len(prompts), -1, -1), self.text(prompts)])
        with self.weights:
            for time in self.scheduler.timesteps:
                with self.accelerator.autocast():
                    both = self.unet(torch.cat([latents] * 2), time, encoder_hidden_states=text).sample.float()
                without, given = both.chunk(2)
                predicted = without + guidance_scale * (given - without)
                latents = self.scheduler.step(predicted, time, latents).prev_sample
        return self.vqvae.decode(latents / self.vqvae.config.scaling_factor).sample.clamp(-1, 1)

    def grid(self) -> Image.Image:
        """Draw the fixed prompts at a fixed seed."""
        return picture_grid(self.sample(list(GRID_PROMPTS), seed=0), columns=8, labels=list(GRID_PROMPTS))

    def export(self, folder: Path) -> None:
        """Write a folder that the stock `LDMTextToImagePipeline` loads; weights in half precision."""
        self.text.save(folder)
        with self.weights:
            unet = UNet2DConditionModel.from_config(self.unet.config)
            unet.load_state_dict(self.unet.state_dict())
        unet.to(torch.float16).save_pretrained(folder / "unet", safe_serialization=True)
        vqvae = VQModel.from_config(self.vqvae.config)
        vqvae.load_state_dict(self.vqvae.state_dict())
        vqvae.to(torch.float16).save_pretrained(folder / "vqvae", safe_serialization=True)
        self.scheduler.save_pretrained(folder / "scheduler")
        LDMTextToImagePipeline(
            vqvae=self.vqvae, bert=self.text.model, tokenizer=self.text.tokenizer, unet=unet, scheduler=self.scheduler
        ).save_config(folder)

    def health(self, figures: dict[str, float]) -> str | None:
        """Notice a model that has learned nothing or come apart."""
        if figures["loss"] > 3:
            return f"The loss is {figures['loss']:.2f}. Lower the learning rate (learning_rate)."
        return None


def time_share(uniform: Tensor, mean: float, spread: float) -> Tensor:
    """Return times in [0, 1] for `uniform` numbers in [0, 1): alike, or logit-normal, sigmoid(mean + spread * normal).

    Shapes are decided in the middle of the run; codes that are nearly free of noise are snapped to their nearest
    anyway. Source: Esser et al. 2024, "Scaling Rectified Flow Transformers", section 3.1.
    """
    if spread <= 0:
        return uniform
    return torch.sigmoid(mean + spread * torch.special.ndtri(uniform.clamp(1e-6, 1 - 1e-6)))


_LEAST_WEIGHT = 0.1


def _thirds(times: Tensor) -> list[tuple[str, Tensor]]:
    return [(name, (times // 334) == third) for third, name in enumerate(("low", "middle", "high"))]
