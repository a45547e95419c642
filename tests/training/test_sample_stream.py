"""Training samples are the same whenever, wherever and in whatever process they are drawn."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from studio.training.config import Phase
from studio.training.stream import batches
from tests.training.tiny import Squares, autoencoder_config


def test_a_stream_begun_later_gives_the_same_batches() -> None:
    config = autoencoder_config()
    whole = list(batches(Squares(), config, start=0))
    later = list(batches(Squares(), config, start=7))
    assert len(whole) == config.steps
    for one, other in zip(whole[7:], later, strict=True):
        assert torch.equal(one.pictures, other.pictures)
        assert one.captions == other.captions


def test_processes_share_a_batch_without_overlap() -> None:
    config = autoencoder_config()
    whole = next(batches(Squares(), config, start=3)).pictures
    parts = [next(batches(Squares(), config, start=3, rank=rank, processes=2)).pictures for rank in (0, 1)]
    assert torch.equal(torch.stack(parts, dim=1).flatten(0, 1), whole)


def test_worker_processes_change_nothing() -> None:
    alone = next(batches(Squares(), autoencoder_config(), start=0))
    worked = next(batches(Squares(), autoencoder_config(workers=1), start=0))
    assert torch.equal(alone.pictures, worked.pictures)


def test_phases_change_size_and_batch() -> None:
    phases = (Phase(until=0.5, size=16, batch_size=2), Phase(until=1, size=32, batch_size=1))
    shapes = [b.pictures.shape for b in batches(Squares(), autoencoder_config(phases=phases, steps=4), start=0)]
    assert shapes == [(2, 3, 16, 16)] * 2 + [(1, 3, 32, 32)] * 2


def test_phases_that_do_not_reach_the_end_are_refused() -> None:
    with pytest.raises(ValueError, match="end at"):
        autoencoder_config(phases=(Phase(until=0.5, size=32, batch_size=2),))


def test_micro_batches_cover_the_batch_in_order() -> None:
    batch = next(islice(batches(Squares(), autoencoder_config(), start=0), 1))
    parts = batch.split(3)
    assert torch.equal(torch.cat([part.pictures for part in parts]), batch.pictures)
    assert [caption for part in parts for caption in part.captions] == batch.captions
