"""Latents to a small picture: a linear map fitted to the model's own decoder by least squares.

One latent cell becomes p x p pixels (p = 1 for autoencoders that shrink by 8, 4 for those that shrink by 16),
each pixel a linear function of the k x k cells around it. The fit is made once per decoder on drawn scenes
that go through the autoencoder, half of them blurred because early predictions are, and is kept on disk
with its R^2; a model's folder may bring it along. Applying it costs a few hundredths of a millisecond.

Source: latent-to-RGB factors as in ComfyUI and InvokeAI, here fitted per decoder instead of tabulated.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFilter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from studio.engine.images import to_tensor

logger = logging.getLogger(__name__)

VERSION = "1"
SHIPPED_NAME = "preview.safetensors"


@dataclass(frozen=True, slots=True)
class PreviewMap:
    """The fitted map.

    Attributes:
        weight: (3 p^2, c, k, k), a convolution from latents to p x p pixels in [0, 1].
        bias: (3 p^2,).
        patch: p, pixels per latent cell and side.
        r2: Share of the decoded pictures' variance that the map explains (on the scenes it was fitted to).
    """

    weight: torch.Tensor
    bias: torch.Tensor
    patch: int
    r2: float

    @classmethod
    def of_nothing(cls) -> PreviewMap:
        """Return a map that is never asked: of a model whose latents cannot be shown."""
        return cls(torch.zeros(3, 1, 1, 1), torch.zeros(3), 1, 0.0)

    def __call__(self, clean: torch.Tensor) -> Image.Image:
        """Return the pictures of `clean`, (b, c, h, w), side by side: one picture of b w p x h p pixels."""
        padding = self.weight.shape[-1] // 2
        padded = F.pad(clean.float(), (padding,) * 4, mode="replicate") if padding else clean.float()
        image_01 = F.pixel_shuffle(F.conv2d(padded, self.weight, self.bias), self.patch)  # (b, 3, h p, w p)
        levels = image_01.clamp_(0, 1).mul_(255).round_().to(torch.uint8)
        rows = levels.permute(2, 0, 3, 1).flatten(1, 2)  # (h p, b w p, 3)
        return Image.fromarray(rows.cpu().numpy())


def preview_map(model: Any, decoder_checksum: str, folder: Path) -> PreviewMap:
    """Return the map of `model`'s decoder: the one shipped with it, the one kept in `folder`, or a fresh fit.

    Args:
        model: A loaded Denoiser.
        decoder_checksum: SHA-256 of the autoencoder; a map made for another one is not used.
        folder: Where fitted maps are kept; one that cannot be written costs only the time of the next fit.
    """
    kept_at = folder / f"{decoder_checksum[:32]}-{VERSION}.safetensors"
    for path in (model.card.path / SHIPPED_NAME, kept_at):
        kept = _read(path, decoder_checksum, model.device)
        if kept is not None:
            return kept
    fitted = fit(model)
    logger.info("fitted the previews of %s: R^2 %.3f", model.card.id, fitted.r2)
    try:
        save(fitted, decoder_checksum, kept_at)
    except OSError as error:
        logger.warning("the preview map could not be kept in %s: %s", folder, error)
    return fitted


def save(fitted: PreviewMap, decoder_checksum: str, path: Path) -> None:
    """Write a fitted map, for the cache or to ship it with its model as SHIPPED_NAME; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = {"patch": str(fitted.patch), "r2": f"{fitted.r2:.6f}", "decoder": decoder_checksum, "version": VERSION}
    save_file({"weight": fitted.weight.cpu().contiguous(), "bias": fitted.bias.cpu()}, path, metadata=meta)


@torch.inference_mode()
def fit(model: Any) -> PreviewMap:
    """Fit the map of `model`'s decoder on drawn scenes by ridge-stabilised least squares."""
    patch, kernel, scenes, side = (4, 3, 12, 16 * model.factor) if model.factor >= 16 else (1, 1, 8, 16 * model.factor)
    features, targets = [], []
    for number in range(scenes):
        latents = model.encode(to_tensor(draw_scene(number, side), device=model.device))
        decoded = model.decode(latents)  # (1, 3, side, side)
        small = F.interpolate(decoded * 0.5 + 0.5, size=[n * patch for n in latents.shape[2:]], mode="area")
        targets.append(F.pixel_unshuffle(small, patch).flatten(2)[0].T)  # (cells, 3 p^2)
        padded = F.pad(latents.float(), (kernel // 2,) * 4, mode="replicate")
        features.append(F.unfold(padded, kernel)[0].T)  # (cells, c k^2)
    x, y = torch.cat(features).double().cpu(), torch.cat(targets).double().cpu()
    x1 = torch.cat([x, torch.ones(len(x), 1, dtype=torch.double)], dim=1)
    ridge = 1e-4 * len(x) * torch.eye(x1.shape[1], dtype=torch.double)
    ridge[-1, -1] = 0
    solution = torch.linalg.solve(x1.T @ x1 + ridge, x1.T @ y)  # (c k^2 + 1, 3 p^2)
    spread = ((y - y.mean(0)) ** 2).sum()
    r2 = 1 - float(((x1 @ solution - y) ** 2).sum() / spread.clamp_min(1e-12))
    weight = solution[:-1].T.reshape(y.shape[1], -1, kernel, kernel)
    return PreviewMap(weight.float().to(model.device), solution[-1].float().to(model.device), patch, r2)


def draw_scene(number: int, side: int) -> Image.Image:
    """Return scene `number`: coloured shapes on a plain ground, every second one blurred; the same every time."""
    dice = random.Random(number)

    def colour() -> tuple[int, int, int]:
        return dice.randrange(256), dice.randrange(256), dice.randrange(256)

    picture = Image.new("RGB", (side, side), "white" if number % 3 == 0 else colour())
    pen = ImageDraw.Draw(picture)
    for _ in range(dice.randrange(3, 12)):
        x, y = dice.randrange(-side // 4, side), dice.randrange(-side // 4, side)
        box = (x, y, x + dice.randrange(8, side), y + dice.randrange(8, side))
        kind = dice.randrange(3)
        if kind == 0:
            pen.ellipse(box, fill=colour(), outline=colour(), width=dice.randrange(1, 8))
        elif kind == 1:
            pen.rectangle(box, fill=colour())
        else:
            pen.line(box, fill=colour(), width=dice.randrange(2, 24))
    return picture.filter(ImageFilter.GaussianBlur(dice.uniform(2, side / 8))) if number % 2 else picture


def _read(path: Path, decoder_checksum: str, device: torch.device) -> PreviewMap | None:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            meta = file.metadata() or {}
            if (meta["decoder"], meta["version"]) != (decoder_checksum, VERSION):
                return None
            weight, bias = file.get_tensor("weight").to(device), file.get_tensor("bias").to(device)
            return PreviewMap(weight, bias, int(meta["patch"]), float(meta["r2"]))
    except (FileNotFoundError, NotADirectoryError, SafetensorError, OSError, KeyError, ValueError):
        return None
