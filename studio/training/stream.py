"""Endless, repeatable training samples: sample (step, k) is the same whenever and wherever it is drawn.

That makes resuming exact without storing a position: the next step is the position.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from studio.training.augment import draw
from studio.training.config import TaskConfig
from studio.training.pack import Pack


@dataclass(frozen=True)
class Batch:
    """``pictures`` (b, 3, s, s) float32 in [-1, 1], or code indices (b, h, w) int64 where a source encoded ahead.

    With a caption and the number in the source for each.
    """

    pictures: Tensor
    captions: list[str]
    indices: list[int]

    def split(self, parts: int) -> list[Batch]:
        """Return at most ``parts`` micro-batches of about equal size, in order."""
        size = -(-len(self.captions) // parts)
        cuts = [slice(i, i + size) for i in range(0, len(self.captions), size)]
        return [Batch(self.pictures[cut], self.captions[cut], self.indices[cut]) for cut in cuts]


class Source(Protocol):
    """Where samples come from."""

    def sample(self, rng: np.random.Generator, size: int) -> tuple[NDArray[np.integer], str, int]:
        """Return a picture (size, size, 3) uint8 RGB, or int64 codes (h, w), its caption and its number.

        ``rng`` decides everything.
        """


class PackSource:
    """Augmented samples of a picture pack; ``crop`` draws parts of pictures at full sharpness for small sizes.

    ``composed``: see ``augment.draw``.
    """

    def __init__(self, pack: Pack, *, crop: bool = False, captions: bool = True, composed: float = 1.0) -> None:
        self.pack, self.crop, self.captions, self.composed = pack, crop, captions, composed

    def sample(self, rng: np.random.Generator, size: int) -> tuple[NDArray[np.uint8], str, int]:
        """Draw a sample; see ``Source``."""
        if not self.crop or size >= 256:
            example = draw(self.pack, rng, size=size, captions=self.captions, composed=self.composed)
            return example.picture, example.caption, example.index
        # Most crops are at the scale the model will be used at; a few are wider views.
        drawn = 256 if rng.random() < 0.75 else int(rng.integers(size, 257))
        example = draw(self.pack, rng, size=drawn, captions=self.captions)
        left, top = (int(v) for v in rng.integers(0, drawn - size + 1, 2))
        return example.picture[top : top + size, left : left + size], example.caption, example.index


class _Samples(Dataset[tuple[NDArray[np.integer], str, int]]):
    def __init__(self, source: Source, config: TaskConfig) -> None:
        self.source, self.config = source, config

    def __getitem__(self, key: tuple[int, int]) -> tuple[NDArray[np.integer], str, int]:  # type: ignore[override]
        step, k = key
        return self.source.sample(np.random.default_rng((self.config.seed, step, k)), self.config.phase(step).size)


class _Steps(Sampler[list[tuple[int, int]]]):
    """Yield the sample keys of one step after the other; each process takes its share."""

    def __init__(self, config: TaskConfig, *, start: int, rank: int, processes: int) -> None:
        self.config, self.start, self.rank, self.processes = config, start, rank, processes

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(self.start, self.config.steps):
            yield [(step, k) for k in range(self.rank, self.config.phase(step).batch_size, self.processes)]


def batches(source: Source, config: TaskConfig, *, start: int, rank: int = 0, processes: int = 1) -> Iterator[Batch]:
    """Yield one batch per step from step ``start`` on, this process's share of it."""
    loader: DataLoader[Any] = DataLoader(
        _Samples(source, config),
        batch_sampler=_Steps(config, start=start, rank=rank, processes=processes),
        num_workers=config.workers,
        collate_fn=_collate,
        worker_init_fn=_quiet_worker,
        prefetch_factor=8 if config.workers else None,
    )
    for pictures, captions, indices in loader:
        yield Batch(to_pm1(pictures) if pictures.dtype is torch.uint8 else pictures, captions, indices)


def to_pm1(pictures: Tensor) -> Tensor:
    """Turn (b, h, w, 3) uint8 into (b, 3, h, w) float32 in [-1, 1], channels last in memory."""
    return pictures.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def _collate(samples: list[tuple[NDArray[np.integer], str, int]]) -> tuple[Tensor, list[str], list[int]]:
    pictures, captions, indices = zip(*samples, strict=True)
    return torch.from_numpy(np.stack(pictures)), list(captions), list(indices)


def _quiet_worker(_: int) -> None:
    """One thread; and a signal to the whole process group is for the trainer, which saves and then ends its workers."""
    torch.set_num_threads(1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
