"""studio models shrink: a smaller copy of a model of ours, with its cost in quality and its gain in size and speed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from studio.engine.catalog import ModelCard, scan
from studio.errors import InvalidRequest, ModelError
from studio.events import Failed, Finished, Step
from studio.requests import TextToImage
from studio.settings import Settings

if TYPE_CHECKING:
    from studio.app import Headless

PROMPTS = ("a red apple, 3d style", "a blue car, flat style", "a house under a tree", "three yellow stars")
FIGURES = "shrink.json"


@dataclass(frozen=True, slots=True)
class Measured:
    """A model's size and speed.

    Attributes:
        megabytes: Of its folder.
        load_seconds: From nothing to the first step.
        seconds: Per picture, loading excluded.
        pieces: Of the text encoder's vocabulary.
    """

    megabytes: float
    load_seconds: float
    seconds: float
    pieces: int


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What shrinking did: before, after, and the likeness of pictures at the same seeds (PSNR in dB)."""

    before: Measured
    after: Measured
    likeness_db: float
    pictures: int
    steps: int

    def __str__(self) -> str:
        rows = [
            ("size, MB", f"{self.before.megabytes:.1f}", f"{self.after.megabytes:.1f}"),
            ("word pieces", f"{self.before.pieces:,}", f"{self.after.pieces:,}"),
            ("load, s", f"{self.before.load_seconds:.2f}", f"{self.after.load_seconds:.2f}"),
            ("picture, s", f"{self.before.seconds:.2f}", f"{self.after.seconds:.2f}"),
        ]
        lines = [f"{'':<14}{'before':>10}{'after':>10}", *(f"{name:<14}{a:>10}{b:>10}" for name, a, b in rows)]
        how = f"{self.pictures} pictures, {self.steps} steps, the same seeds"
        return "\n".join([*lines, f"The pictures are alike to {self.likeness_db:.1f} dB PSNR ({how})."])


def shrink(
    settings: Settings,
    name: str,
    to: str,
    *,
    keep_words: Sequence[str] = (),
    steps: int = 0,
    prompts: Sequence[str] = PROMPTS,
) -> Shrunk:
    """Write a compact copy of the model `name` as `to` into the studio's models, and measure both.

    The U-Net and the text encoder become int8 (`studio.engine.compact`). The autoencoder stays as it is: stored
    codes must go on meaning the same pictures.

    Args:
        keep_words: Captions or words whose pieces the text encoder keeps; empty: all pieces stay.
        steps: Per picture of the measurement; 0: the model's standard.
        prompts: What is drawn to compare, at the seeds 0, 1, ...

    Raises:
        UnknownName, ModelError: There is no such model, or it is of a kind this does not know.
        InvalidRequest: `to` is taken.
    """
    from studio.app import Headless  # torch loads behind these
    from studio.training.compact import compact_parts

    card = scan(settings.checkpoint_folders).find(name)
    target = settings.data_dir / "models" / to
    if card.family != "ldm" or not (card.path / "bert").is_dir():
        raise ModelError(f"{card.name} cannot be shrunk.", "This is for latent-diffusion models with a BERT encoder.")
    if target.exists() or not to or Path(to).name != to:
        raise InvalidRequest(f'"{to}" is taken, or no name for a model.', "Choose another name with --to.")
    partial = target.with_name(f".{to}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(card.path, partial)
    pieces = compact_parts(card.path, partial, keep_words=keep_words)
    partial.replace(target)
    studio = Headless(settings)
    steps = steps or card.preset("standard").steps
    before, old = _measure(studio, card, pieces[0], steps, prompts)
    after, new = _measure(studio, scan(settings.checkpoint_folders).find(to), pieces[1], steps, prompts)
    likeness = mean(_psnr(a, b) for a, b in zip(old, new, strict=True))
    result = Shrunk(before, after, likeness, len(prompts), steps)
    (target / FIGURES).write_text(json.dumps(asdict(result), indent=1), encoding="utf-8")
    return result


def run(args: Any, settings: Settings, out: Callable[..., None]) -> int:
    """Shrink and print the figures; `args` has name, to, words."""
    words: list[str] = []
    if args.words is not None:
        try:
            words = [line.strip() for line in args.words.read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidRequest(f'"{args.words.name}" cannot be read: {error}.', "Give a text file.") from error
    result = shrink(settings, args.name, args.to, keep_words=words, steps=args.steps)
    out(str(result))
    out(f"{args.to} is in {settings.data_dir / 'models' / args.to}.")
    return 0


def _measure(
    studio: Headless, card: ModelCard, pieces: int, steps: int, prompts: Sequence[str]
) -> tuple[Measured, list[Image.Image]]:
    pictures, seconds = [], []
    load_seconds = 0.0
    for seed, prompt in enumerate(prompts):
        request = studio.complete(
            {"kind": "text_to_image", "prompt": prompt, "model": card.id, "seed": seed, "steps": steps}
        )
        assert isinstance(request, TextToImage)
        began = time.perf_counter()
        for event in studio.engine.run(request, lambda: False):
            if isinstance(event, Step) and event.index == 1 and seed == 0:
                load_seconds = time.perf_counter() - began
            if isinstance(event, Failed):
                raise ModelError(event.message, event.hint)
            if isinstance(event, Finished):
                pictures.append(event.images[0])
                seconds.append(event.seconds)
    size = sum(path.stat().st_size for path in card.path.rglob("*") if path.is_file())
    return Measured(size / 1e6, load_seconds, mean(seconds), pieces), pictures


def _psnr(first: Image.Image, second: Image.Image) -> float:
    error = float(np.mean((np.asarray(first, np.float64) - np.asarray(second, np.float64)) ** 2))
    return float(10 * np.log10(255**2 / max(error, 1e-3)))
