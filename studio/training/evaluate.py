"""Judge trained models on what they have not seen: `studio eval` prints what these functions return."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import VQModel
from torch import Tensor

from studio.errors import StudioError
from studio.training.augment import plain
from studio.training.captions import canonical
from studio.training.colours import COLOURS, dominant_colours
from studio.training.grids import to_uint8
from studio.training.metrics import LinearProbe, frechet_distance, nearest, psnr, ssim
from studio.training.pack import Pack
from studio.training.perceptual import EfficientNetFeatures
from studio.training.quantizer import usage
from studio.training.stream import to_pm1

Generate = Callable[[Sequence[str]], Tensor]  # prompts -> pictures (b, 3, h, w) in [-1, 1]
HELD_OUT = ("heldout_picture", "heldout_thing")


@dataclass(frozen=True)
class Reconstruction:
    """How well an autoencoder keeps held-out pictures; 8-bit RGB on white."""

    pictures: int
    size: int
    psnr_db: float
    ssim: float
    codes: int
    codes_used: float
    perplexity: float
    top_code_share: float
    seconds_per_picture: float

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def evaluate_autoencoder(
    vqvae: VQModel, pack: Pack, *, count: int = 544, size: int = 256, splits: Sequence[str] = HELD_OUT
) -> Reconstruction:
    """Measure reconstruction and code use on the first ``count`` pictures of ``splits``.

    Raises StudioError when the pack has no such pictures.
    """
    numbers = np.concatenate([pack.indices(split) for split in splits])[:count]
    if len(numbers) == 0:
        raise StudioError(
            f"{pack.path} has no pictures in {', '.join(splits)}.", hint="Build a pack with a held-out split."
        )
    scores, codes, seconds = [], [], 0.0
    for number in numbers:
        original = plain(pack, int(number), size).picture
        began = time.perf_counter()
        output, indices = reconstruct(vqvae, to_pm1(torch.from_numpy(original)[None]))
        seconds += time.perf_counter() - began
        decoded = to_uint8(output)[0]
        scores.append((psnr(original, decoded), ssim(original, decoded)))
        codes.append(indices)
    used, perplexity, top = usage(torch.cat(codes), vqvae.config.num_vq_embeddings)
    mean_psnr, mean_ssim = np.mean(scores, axis=0)
    return Reconstruction(
        len(numbers), size, float(mean_psnr), float(mean_ssim), vqvae.config.num_vq_embeddings, used, perplexity, top,
        seconds / len(numbers),
    )  # fmt: skip


@torch.inference_mode()
def reconstruct(vqvae: VQModel, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return (decoded pictures (b, 3, h, w) in [-1, 1], their codes (n,)) through the plain model."""
    latents = vqvae.encode(pictures).latents
    vectors, _, (_, _, indices) = vqvae.quantize(latents)
    return vqvae.decode(vectors, force_not_quantize=True).sample.clamp(-1, 1), indices.flatten()


class PictureJudge:
    """Says what a made picture shows, from EfficientNet features and probes fitted on real pictures of a pack."""

    def __init__(self, pack: Pack, *, split: str = "train", limit: int | None = None, size: int = 224) -> None:
        self.pack, self.size = pack, size
        self.network = EfficientNetFeatures()
        self.numbers = pack.indices(split)[:limit]
        records = [pack.records[i] for i in self.numbers]
        real = (to_pm1(torch.from_numpy(plain(pack, int(i), size).picture)[None]) for i in self.numbers)
        self.features = np.concatenate([self._embed(picture) for picture in real])
        self.things = LinearProbe(self.features, [record.thing for record in records])
        self.styles = LinearProbe(self.features, [record.style for record in records])

    @torch.inference_mode()
    def _embed(self, pictures: Tensor) -> np.ndarray:
        resized = torch.nn.functional.interpolate(pictures, (self.size, self.size), mode="area")
        return self.network.embed(resized).numpy().astype(np.float64)

    def judge(self, pictures: Tensor, wanted: Sequence[Wanted]) -> dict[str, float]:
        """Return the share of ``pictures`` (b, 3, h, w) that show what was ``wanted``, and the Frechet distance.

        ``thing_top5``, ``style`` and ``colour`` are shares of those prompts that name one. ``frechet`` compares
        with the real pictures on EfficientNet-Lite0 features: it is not FID.
        """
        features = np.concatenate([self._embed(part) for part in pictures.split(8)])
        things = self.things.top(features, count=5)
        styles = self.styles.top(features, count=1)
        colours = [dominant_colours(_with_alpha(picture)) for picture in to_uint8(pictures)]
        rows = list(zip(wanted, things, styles, colours, strict=True))
        return {
            "pictures": float(len(rows)),
            "thing_top5": _share([w.thing in t for w, t, _, _ in rows if w.thing]),
            "style": _share([w.style == s[0] for w, _, s, _ in rows if w.style]),
            "colour": _share([w.colour in c for w, _, _, c in rows if w.colour]),
            "frechet": frechet_distance(features, self.features),
        }

    def neighbours(self, pictures: Tensor, *, count: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return (numbers in the pack of the most similar training pictures (b, count), their cosine similarity)."""
        features = np.concatenate([self._embed(part) for part in pictures.split(8)])
        rows, similarity = nearest(features, self.features, count=count)
        return self.numbers[rows], similarity


@dataclass(frozen=True)
class Wanted:
    """A prompt and what its picture must show; empty words are not judged."""

    prompt: str
    thing: str = ""
    style: str = ""
    colour: str = ""


def prompts_of(pack: Pack, *, count: int, seed: int = 0) -> list[Wanted]:
    """Return ``count`` prompts for things of the train split, with their style; every third also names a colour."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(pack.indices("train"))[:count]
    wanted = []
    for place, number in enumerate(chosen):
        record = pack.records[int(number)]
        colour = str(rng.choice(COLOURS)) if place % 3 == 0 else ""
        prompt = canonical(record.thing, record.style, adjectives=(colour,) if colour else ())
        wanted.append(Wanted(prompt, record.thing, record.style, colour))
    return wanted


def evaluate_text_to_picture(
    generate: Generate, judge: PictureJudge, wanted: Sequence[Wanted], *, batch: int = 8
) -> tuple[dict[str, float], Tensor]:
    """Return (the figures of ``PictureJudge.judge``, the pictures) for ``wanted``."""
    parts = [generate([w.prompt for w in wanted[i : i + batch]]) for i in range(0, len(wanted), batch)]
    pictures = torch.cat(parts)
    return judge.judge(pictures, wanted), pictures


def load_vqvae(folder: Path) -> VQModel:
    """Load the ``vqvae`` of a diffusers folder, or the folder itself, in float32.

    Raises StudioError when there is none.
    """
    place = folder / "vqvae" if (folder / "vqvae").is_dir() else folder
    if not (place / "config.json").is_file():
        raise StudioError(f"There is no VQModel in {folder}.", hint="Give a folder that holds vqvae/config.json.")
    return VQModel.from_pretrained(place, torch_dtype=torch.float32).eval()


def _with_alpha(picture: np.ndarray) -> np.ndarray:
    """Return RGBA in which the background, taken from the corners, is transparent."""
    corners = picture[[0, 0, -1, -1], [0, -1, 0, -1]].astype(np.int16)
    distance = np.abs(picture.astype(np.int16) - np.median(corners, axis=0)).max(axis=2)
    return np.dstack([picture, np.where(distance > 24, 255, 0).astype(np.uint8)])


def _share(hits: Sequence[bool]) -> float:
    return float(np.mean(hits)) if hits else float("nan")
