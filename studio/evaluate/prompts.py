"""How well a text-to-picture model follows its prompts, judged by probes that were fitted on real pictures.

Every picture is made by the studio's own engine at a preset of the model. The judge (EfficientNet-Lite0 features and
linear probes, see `training.evaluate.PictureJudge`) never saw a made picture; its own ceiling is measured on real
pictures it was not fitted on, and on these after the autoencoder, which nothing made in its latents can beat.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from studio.evaluate.library import WEIGHTS, Metric, measure
from studio.evaluate.report import markdown
from studio.training.augment import plain
from studio.training.evaluate import PictureJudge, Wanted, compositions_of, load_vqvae, prompts_of, reconstruct
from studio.training.grids import picture_grid
from studio.training.pack import Pack
from studio.training.stream import to_pm1

Make = Callable[[str, int], Image.Image]  # prompt, seed -> picture
_COLUMNS = {
    "thing in the top 5": "thing_top5", "style": "style", "colour": "colour", "background": "background",
    "Frechet distance": "frechet", "nearest training picture": "nearest",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One group of pictures: shares of those that show what was asked for, 0 to 1; NaN where nothing was asked.

    `nearest`: mean cosine similarity to the most similar training picture. `seconds`: median time of one picture, the
    first one (which loads the model) left out; NaN where none was made.
    """

    group: str
    pictures: int
    figures: dict[str, float]
    seconds: float = float("nan")


def evaluate_prompts(
    make: Make,
    pack: Pack,
    *,
    vqvae: Path,
    count: int = 200,
    cache: Path | None = None,
    sheets: Path | None = None,
    metrics: Sequence[Metric] = (),
    say: Callable[[str], None] = lambda line: None,
) -> list[PromptRow]:
    """Measure `make` on `count` things of the training split and on half as many compositions never trained.

    Args:
        make: Makes one square picture; prompt k of a group is made with seed k.
        pack: What the model was trained on.
        vqvae: Folder of the autoencoder, for the ceiling.
        count: Prompts of the first group.
        cache: Folder that keeps the features of the real pictures.
        metrics: Figures of a library beside the judge's; FID compares with all training pictures.
        sheets: Folder for contact sheets: what was made over its nearest training pictures.
        say: Is told how far it is.

    Raises:
        StudioError: EfficientNet's weights are not installed, or the pack is damaged.
    """
    judge = PictureJudge(pack, cache=cache)
    rows = [_row(judge, group, *real) for group, real in _ceilings(pack, vqvae, count)]
    groups = {
        "things of the training split": prompts_of(pack, count=count),
        "compositions never trained": compositions_of(pack, count=count // 2),
    }
    for group, wanted in ((group, wanted) for group, wanted in groups.items() if wanted):
        made, times = [], []
        for seed, want in enumerate(wanted):
            began = time.perf_counter()
            made.append(_as_tensor(make(want.prompt, seed)))
            times.append(time.perf_counter() - began)
            if (seed + 1) % 20 == 0:
                say(f"{group}: {seed + 1} of {len(wanted)}")
        pictures = torch.cat(made)
        row = _row(judge, group, pictures, wanted)
        said = [want.prompt for want in wanted]
        more = {one.name: measure(one, pictures, said, _training_pictures(pack, pictures.shape[-1])) for one in metrics}
        seconds = float(np.median(times[1:] or times))
        rows.append(replace(row, figures=row.figures | more, seconds=seconds))
        if sheets is not None:
            _sheet(judge, pictures[:32], wanted[:32]).save(sheets / f"{group.replace(' ', '-')}.png")
    return rows


def as_table(rows: Sequence[PromptRow], *, size: int) -> str:
    """Return a Markdown table with what was measured on what."""
    columns: dict[str, Callable[[PromptRow], str]] = {
        "pictures": lambda row: row.group,
        "N": lambda row: str(row.pictures),
    }
    for title, name in _COLUMNS.items():
        columns[title] = lambda row, name=name: _said(row.figures[name], share=name not in ("frechet", "nearest"))  # type: ignore[misc]
    for name in dict.fromkeys(name for row in rows for name in row.figures if name in WEIGHTS):
        columns[name.upper()] = lambda row, name=name: _said(row.figures.get(name, float("nan")), share=False)  # type: ignore[misc]
    columns["s a picture"] = lambda row: _said(row.seconds, share=False)
    note = (
        f"{size} px, 8-bit RGB, {torch.get_num_threads()} threads. Probes on EfficientNet-Lite0 features of real "
        "pictures; the Frechet distance on the same features to the training pictures is not FID."
    )
    return f"{markdown(columns, rows)}\n\n{note}"


def _ceilings(pack: Pack, vqvae: Path, count: int) -> list[tuple[str, tuple[Tensor, list[Wanted]]]]:
    """Return real pictures that the judge was not fitted on, as they are and through the autoencoder."""
    numbers = [int(i) for i in pack.indices("heldout_picture")[:count]]
    if not numbers:
        return []
    real = to_pm1(torch.from_numpy(np.stack([plain(pack, i).picture for i in numbers])))
    records = [pack.records[i] for i in numbers]
    wanted = [Wanted("", r.thing, r.style, r.colours[0] if r.colours else "") for r in records]
    model = load_vqvae(vqvae)
    again = torch.cat([reconstruct(model, part)[0] for part in real.split(4)])
    return [("real, held out", (real, wanted)), ("real, through the autoencoder", (again, wanted))]


def _training_pictures(pack: Pack, size: int) -> Iterator[Tensor]:
    """Yield the training pictures, eight at a time, (b, 3, size, size) in [-1, 1]."""
    numbers = pack.indices("train")
    for start in range(0, len(numbers), 8):
        part = [plain(pack, int(number), size).picture for number in numbers[start : start + 8]]
        yield to_pm1(torch.from_numpy(np.stack(part)))


def _row(judge: PictureJudge, group: str, pictures: Tensor, wanted: Sequence[Wanted]) -> PromptRow:
    figures = judge.judge(pictures, wanted)
    figures["nearest"] = float(judge.neighbours(pictures)[1].mean())
    return PromptRow(group, len(wanted), figures)


def _sheet(judge: PictureJudge, pictures: Tensor, wanted: Sequence[Wanted]) -> Image.Image:
    """Draw rows of made pictures, each over its nearest training picture."""
    numbers = judge.neighbours(pictures)[0][:, 0]
    near = to_pm1(torch.from_numpy(np.stack([plain(judge.pack, int(i), pictures.shape[-1]).picture for i in numbers])))
    cells, labels = [], []
    for start in range(0, len(pictures), 8):
        stop = start + 8
        cells += [pictures[start:stop], near[start:stop]]
        labels += [want.prompt for want in wanted[start:stop]] + ["nearest in training"] * len(pictures[start:stop])
    return picture_grid(torch.cat(cells), columns=8, labels=labels)


def _as_tensor(picture: Image.Image) -> Tensor:
    """Return (1, 3, h, w) float32 in [-1, 1]."""
    return to_pm1(torch.from_numpy(np.array(picture.convert("RGB")))[None])


def _said(value: float, *, share: bool) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:.0%}" if share else f"{value:.2f}"
