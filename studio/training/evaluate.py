"""Judge trained models on what they have not seen: `studio eval` prints what these functions return."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import VQModel
from PIL import ImageOps
from torch import Tensor

from studio.errors import StudioError
from studio.pictures import PICTURE_SUFFIXES, open_picture
from studio.training.augment import heldout_pairs, plain
from studio.training.captions import STYLE_PHRASES, canonical, with_article
from studio.training.colours import COLOURS, HUES_DEGREES, colour_of, dominant_colours
from studio.training.grids import to_uint8
from studio.training.metrics import LinearProbe, frechet_distance, nearest, psnr, ssim
from studio.training.pack import Pack
from studio.training.perceptual import EfficientNetFeatures
from studio.training.quantizer import usage
from studio.training.stream import to_pm1

Generate = Callable[[Sequence[str]], Tensor]  # prompts -> pictures (b, 3, h, w) in [-1, 1]
Distance = Callable[[Tensor, Tensor], Tensor]  # two (1, 3, h, w) in [-1, 1] -> a scalar
HELD_OUT = ("heldout_picture", "heldout_thing")


@dataclass(frozen=True)
class Reconstruction:
    """How well an autoencoder keeps held-out pictures; 8-bit RGB on white.

    `top_code_share` is the share of the commonest code, `top_code_share_but_white` that of the commonest one that does
    not stand for empty background (the codes of a white picture).
    """

    pictures: int
    size: int
    psnr_db: float
    ssim: float
    codes: int
    codes_used: float
    perplexity: float
    top_code_share: float
    top_code_share_but_white: float
    seconds_per_picture: float
    lpips: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain values; LPIPS only where it was measured."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def as_text(self) -> str:
        """Return a line for each figure, and what they were measured on."""
        lines = [f"{name:<26}{value:.5g}" for name, value in self.as_json().items()]
        threads = torch.get_num_threads()
        return "\n".join([*lines, f"8-bit RGB (sRGB), {self.size} px squares; {threads} threads, encode and decode."])


def evaluate_autoencoder(
    vqvae: VQModel,
    pack: Pack,
    *,
    count: int = 544,
    size: int = 256,
    splits: Sequence[str] = HELD_OUT,
    lpips: Distance | None = None,
) -> Reconstruction:
    """Measure reconstruction and code use on the first ``count`` pictures of ``splits``.

    Raises StudioError when the pack has no such pictures.
    """
    numbers = np.concatenate([pack.indices(split) for split in splits])[:count]
    if len(numbers) == 0:
        raise StudioError(
            f"{pack.path} has no pictures in {', '.join(splits)}.", hint="Build a pack with a held-out split."
        )
    return measure_reconstruction(vqvae, (plain(pack, int(number), size).picture for number in numbers), lpips)


def evaluate_on_folder(
    vqvae: VQModel, folder: Path, *, count: int = 544, size: int = 256, lpips: Distance | None = None
) -> Reconstruction:
    """Measure the same on the first ``count`` pictures of a folder, by name: each one's middle square at ``size``.

    Raises StudioError when there are none, or one cannot be read.
    """
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES)[:count]
    if not files:
        raise StudioError(f"{folder} has no pictures.", hint=f"Pictures end in {', '.join(PICTURE_SUFFIXES)}.")
    opened = (open_picture(file).image.convert("RGB") for file in files)
    return measure_reconstruction(vqvae, (np.asarray(ImageOps.fit(image, (size, size))) for image in opened), lpips)


def measure_reconstruction(
    vqvae: VQModel, pictures: Iterable[np.ndarray], lpips: Distance | None = None
) -> Reconstruction:
    """Measure reconstruction and code use on square RGB ``pictures`` (n, n, 3) uint8, at least one, all of one size."""
    scores, codes, apart, seconds, size = [], [], [], 0.0, 0
    for original in pictures:
        size = len(original)
        began = time.perf_counter()
        output, indices = reconstruct(vqvae, to_pm1(torch.tensor(original)[None]))
        seconds += time.perf_counter() - began
        decoded = to_uint8(output)[0]
        scores.append((psnr(original, decoded), ssim(original, decoded)))
        codes.append(indices)
        if lpips is not None:
            apart.append(float(lpips(output, to_pm1(torch.tensor(original)[None]))))
    seen = torch.cat(codes)
    used, perplexity, top = usage(seen, vqvae.config.num_vq_embeddings)
    white = reconstruct(vqvae, torch.ones(1, 3, size, size))[1]
    drawn = torch.bincount(seen[~torch.isin(seen, white)], minlength=1)
    mean_psnr, mean_ssim = np.mean(scores, axis=0)
    return Reconstruction(
        len(scores), size, float(mean_psnr), float(mean_ssim), vqvae.config.num_vq_embeddings, used, perplexity, top,
        drawn.max().item() / len(seen), seconds / len(scores), float(np.mean(apart)) if apart else None,
    )  # fmt: skip


@torch.inference_mode()
def reconstruct(vqvae: VQModel, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return (decoded pictures (b, 3, h, w) in [-1, 1], their codes (n,)) through the plain model."""
    latents = vqvae.encode(pictures).latents
    vectors, _, (_, _, indices) = vqvae.quantize(latents)
    return vqvae.decode(vectors, force_not_quantize=True).sample.clamp(-1, 1), indices.flatten()


class PictureJudge:
    """Says what a made picture shows, from EfficientNet features and probes fitted on real pictures of a pack."""

    def __init__(
        self, pack: Pack, *, split: str = "train", limit: int | None = None, size: int = 224, cache: Path | None = None
    ) -> None:
        """Fit the probes on ``limit`` pictures of ``split``; with a folder ``cache`` their features are kept there."""
        self.pack, self.size = pack, size
        self.network = EfficientNetFeatures()
        self.numbers = pack.indices(split)[:limit]
        records = [pack.records[i] for i in self.numbers]
        self.features = self._real_features(
            cache / f"{pack.digest}-{split}-{len(records)}-{size}.npy" if cache else None
        )
        self.things = LinearProbe(self.features, [record.thing for record in records])
        self.styles = LinearProbe(self.features, [record.style for record in records])

    def _real_features(self, kept: Path | None) -> np.ndarray:
        if kept is not None and kept.is_file():
            return np.load(kept, allow_pickle=False)
        real = (to_pm1(torch.from_numpy(plain(self.pack, int(i), self.size).picture)[None]) for i in self.numbers)
        features = np.concatenate([self._embed(picture) for picture in real])
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.save(kept, features)
        return features

    @torch.inference_mode()
    def _embed(self, pictures: Tensor) -> np.ndarray:
        resized = torch.nn.functional.interpolate(pictures, (self.size, self.size), mode="area")
        return self.network.embed(resized).numpy().astype(np.float64)

    def judge(self, pictures: Tensor, wanted: Sequence[Wanted]) -> dict[str, float]:
        """Return the share of ``pictures`` (b, 3, h, w) that show what was ``wanted``, and the Frechet distance.

        ``thing_top5``, ``style``, ``colour`` and ``background`` are shares of those prompts that name one, not a
        number where none does. ``frechet`` compares with the real pictures on EfficientNet-Lite0 features: it is
        not FID.
        """
        features = np.concatenate([self._embed(part) for part in pictures.split(8)])
        things = self.things.top(features, count=5)
        styles = self.styles.top(features, count=1)
        colours = [dominant_colours(_with_alpha(picture)) for picture in to_uint8(pictures)]
        behind = [colour_of(_corner_colour(picture)) for picture in to_uint8(pictures)]
        rows = list(zip(wanted, things, styles, colours, strict=True))
        return {
            "pictures": float(len(rows)),
            "thing_top5": _share([w.thing in t for w, t, _, _ in rows if w.thing]),
            "style": _share([w.style == s[0] for w, _, s, _ in rows if w.style]),
            "colour": _share([w.colour in c for w, _, _, c in rows if w.colour]),
            "background": _share([w.background == c for w, c in zip(wanted, behind, strict=True) if w.background]),
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
    background: str = ""


def prompts_of(pack: Pack, *, count: int, seed: int = 0) -> list[Wanted]:
    """Return prompts for ``count`` things of the train split, with a style; every third also names a colour.

    Pictures are drawn as often as in training (flags and symbols seldom), and no thing comes twice before
    every one has come.
    """
    rng = np.random.default_rng(seed)
    train = pack.indices("train")
    weights = np.array([pack.records[int(i)].weight for i in train])
    drawn = rng.choice(train, size=len(train), replace=False, p=weights / weights.sum())
    records = [pack.records[int(number)] for number in drawn]
    firsts = {record.thing: record for record in reversed(records)}
    records.sort(key=lambda record: record is not firsts[record.thing])  # stable: the order of the draw stays
    wanted = []
    for place, record in enumerate(records[:count]):
        colour = str(rng.choice(COLOURS)) if place % 3 == 0 else ""
        prompt = canonical(record.thing, record.style, adjectives=(colour,) if colour else ())
        wanted.append(Wanted(prompt, record.thing, record.style, colour))
    return wanted


def compositions_of(pack: Pack, *, count: int, seed: int = 0) -> list[Wanted]:
    """Return ``count`` prompts of what training never showed: a (colour, thing) pair that was held out.

    Every second also names a coloured background.
    """
    rng = np.random.default_rng(seed)
    pairs = sorted(heldout_pairs(pack))
    styles = {record.thing: record.style for record in (pack.records[int(i)] for i in pack.indices("train"))}
    wanted = []
    for place, row in enumerate(rng.permutation(len(pairs))[:count]):
        colour, thing = pairs[int(row)]
        behind = str(rng.choice([c for c in HUES_DEGREES if c != colour])) if place % 2 else ""
        said = f"{with_article(thing, adjectives=(colour,))} on {with_article('background', adjectives=(behind,))}"
        subject = said if behind else with_article(thing, adjectives=(colour,))
        style = styles[thing]
        wanted.append(Wanted(f"{subject}, {STYLE_PHRASES[style][0]}", thing, style, colour, behind))
    return wanted


def load_vqvae(folder: Path) -> VQModel:
    """Load the ``vqvae`` of a diffusers folder, or the folder itself, in float32.

    Raises StudioError when there is none.
    """
    place = folder / "vqvae" if (folder / "vqvae").is_dir() else folder
    if not (place / "config.json").is_file():
        raise StudioError(f"There is no VQModel in {folder}.", hint="Give a folder that holds vqvae/config.json.")
    return VQModel.from_pretrained(place, torch_dtype=torch.float32).eval()


def _corner_colour(picture: np.ndarray) -> np.ndarray:
    """Return the median colour (3,) uint8 of the four corners, 8 pixels each way, of (h, w, 3)."""
    corners = [
        picture[rows, columns] for rows in (slice(8), slice(-8, None)) for columns in (slice(8), slice(-8, None))
    ]
    return np.median(np.concatenate([corner.reshape(-1, 3) for corner in corners]), axis=0).astype(np.uint8)


def _with_alpha(picture: np.ndarray) -> np.ndarray:
    """Return RGBA in which the background, taken from the corners, is transparent."""
    distance = np.abs(picture.astype(np.int16) - _corner_colour(picture).astype(np.int16)).max(axis=2)
    return np.dstack([picture, np.where(distance > 24, 255, 0).astype(np.uint8)])


def _share(hits: Sequence[bool]) -> float:
    return float(np.mean(hits)) if hits else float("nan")
