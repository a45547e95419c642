"""Tiny autoencoders (TAESD and its kin) for sharper previews, where there is one that fits the model's latents.

Which one fits is not asked of names: each is tried on drawn scenes, and the one whose pictures agree best with
the model's own decoder is taken, if it agrees well. That is decided once per pair and remembered. A tiny decoder
costs time on a CPU, so its previews come at most in a twentieth of the run's time; see `TinyPreview.period`.

Source: https://github.com/madebyollin/taesd.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file

from studio.atomic import write_atomically
from studio.engine.addons import AddOn
from studio.engine.checkpoint import read_json
from studio.engine.checksums import Checksums
from studio.engine.images import to_tensor
from studio.engine.preview import draw_scene
from studio.errors import GalleryError, ModelError

logger = logging.getLogger(__name__)

MIN_R2 = 0.8  # below, the linear map of studio.engine.preview does as well
SHARE = 0.05  # of a run's time that previews may take
_SCENES = 3


class TinyPreview:
    """Previews through a tiny decoder: called like `studio.engine.preview.PreviewMap`.

    Attributes:
        r2: Share of the decoded pictures' variance that it explains.
        seconds: What the last preview took.
    """

    def __init__(self, decoder: Any, name: str, r2: float) -> None:
        self._decoder, self.name, self.r2 = decoder, name, r2
        self.seconds = 0.0

    @torch.inference_mode()
    def __call__(self, clean: torch.Tensor) -> Image.Image:
        """Return the pictures of `clean`, (b, c, h, w), side by side."""
        begin = time.perf_counter()
        weight = next(self._decoder.parameters())
        image_01 = self._decoder.decode(clean.to(weight.device, weight.dtype)).sample.float() * 0.5 + 0.5
        levels = image_01.clamp(0, 1).mul(255).round().to(torch.uint8)
        picture = Image.fromarray(levels.permute(2, 0, 3, 1).flatten(1, 2).cpu().numpy())
        self.seconds = time.perf_counter() - begin
        return picture

    @property
    def period(self) -> float:
        """Least seconds between two previews, so that they take no more than SHARE of the time."""
        return self.seconds / SHARE


def best_preview(
    model: Any, decoder_checksum: str, candidates: Sequence[AddOn], *, checksums: Checksums, kept_at: Path
) -> TinyPreview | None:
    """Return the tiny decoder of `candidates` that agrees best with `model`'s own, or None where none does well.

    Args:
        model: A loaded Denoiser, or a stock pipeline's first stage.
        decoder_checksum: SHA-256 of its autoencoder.
        kept_at: JSON file of what was measured; it may be deleted at any time.
    """
    known = _read(kept_at)
    scored: list[tuple[float, AddOn]] = []
    for addon in candidates:
        pair = f"{decoder_checksum[:24]} {checksums.of(addon.path)[:24]}"
        if pair not in known:
            known[pair] = _agreement(model, addon)
            logger.info("%s agrees with %s by %.3f", addon.id, model.card.id, known[pair])
            _write(kept_at, known)
        scored.append((known[pair], addon))
    r2, best = max(scored, key=lambda pair: pair[0], default=(0.0, None))
    if best is None or r2 < MIN_R2:
        return None
    return TinyPreview(load_tiny(best.path).to(model.device), best.id, r2)


def load_tiny(path: Path) -> Any:
    """Return the tiny autoencoder at `path`: a diffusers folder, or TAESD's own decoder file. Raises ModelError."""
    try:
        if path.is_dir():
            model = AutoencoderTiny.from_pretrained(path, local_files_only=True, use_safetensors=True)
        else:
            model = _from_file(load_file(path))
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise ModelError(
            f'"{path.name}" is not a tiny autoencoder: {str(error)[:160]}', "Download it again."
        ) from error
    return model.eval().requires_grad_(False)


def _from_file(weights: dict[str, torch.Tensor]) -> Any:
    """Build the decoder of TAESD's own file: its layers are numbered from 1, behind a clamp without weights."""
    if not any(key.startswith("decoder.layers.") for key in weights):
        weights = {
            re.sub(r"^(\d+)\.", lambda m: f"decoder.layers.{int(m.group(1)) - 1}.", key): value
            for key, value in weights.items()
        }
    model = AutoencoderTiny(latent_channels=weights["decoder.layers.0.weight"].shape[1])
    own = {key: value for key, value in weights.items() if key.startswith("decoder.")}
    missing = [key for key in model.load_state_dict(own, strict=False).missing_keys if key.startswith("decoder.")]
    if missing:
        raise KeyError(f"{missing[0]} is missing")
    return model


@torch.inference_mode()
def _agreement(model: Any, addon: AddOn) -> float:
    """Return R^2 between what the tiny decoder and the model's own make of the same latents; 0 where shapes differ."""
    try:
        tiny = load_tiny(addon.path).to(model.device)
    except ModelError as error:
        logger.warning("%s", error)
        return 0.0
    left = spread = 0.0
    for number in range(_SCENES):
        latents = model.encode(to_tensor(draw_scene(number, 16 * model.factor), device=model.device)).float()
        if latents.shape[1] != tiny.config.latent_channels:
            return 0.0
        own, theirs = model.decode(latents), tiny.decode(latents).sample.float()
        if own.shape[2:] != theirs.shape[2:]:
            theirs = F.interpolate(theirs, size=own.shape[2:], mode="area")
        left += float(((own - theirs) ** 2).sum())
        spread += float(((own - own.mean(dim=(2, 3), keepdim=True)) ** 2).sum())
    return round(1 - left / max(spread, 1e-12), 4)


def _read(path: Path) -> dict[str, float]:
    try:
        value = read_json(path)
    except ModelError:
        return {}
    return {str(key): float(score) for key, score in value.items() if isinstance(score, int | float)}


def _write(path: Path, known: dict[str, float]) -> None:
    try:
        write_atomically(path, json.dumps(known, indent=1).encode(), durable=False)
    except GalleryError as error:
        logger.warning("what was measured of preview decoders could not be kept: %s", error)
