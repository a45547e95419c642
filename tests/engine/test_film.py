"""When a run has settled, what its film tells of that, and how cells are compared with and without a codebook."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from studio.engine.denoise import LoopStep
from studio.engine.film import Filming, codebook_of
from studio.engine.preview import PreviewMap

GREY = PreviewMap(torch.ones(3, 1, 1, 1), torch.zeros(3), 1, 1.0)
SIDE = 10  # 100 cells: one is a percent


def filmed(cleans: Sequence[torch.Tensor], codebook: torch.Tensor | None = None) -> tuple[Filming, list[int]]:
    """Return the filming of a run that predicted `cleans`, (b, 1, h, w) each, and the steps it had settled after."""
    filming, settled = Filming(GREY, codebook), []
    for index, clean in enumerate(cleans, 1):
        filming.add(LoopStep(index, len(cleans), clean, clean, clean))
        if filming.has_settled():
            settled.append(index)
    return filming, settled


def run(*moving: int, by: float = 0.2) -> list[torch.Tensor]:
    """Return a run whose first `moving[i]` cells differ in step i + 1 from the step before; all are about 1."""
    cleans = []
    clean = torch.ones(1, 1, SIDE, SIDE)
    for count in moving:
        clean = clean.clone()
        cells = clean.view(-1)
        cells[:count] = torch.where(cells[:count] > 1, 1.0, 1.0 + by)
        cleans.append(clean)
    return cleans


@pytest.mark.parametrize(
    ("moving", "settled"),
    [
        ((0, 90, 50, 2, 2, 0), [5, 6]),  # two calm steps, of at most 2 % each
        ((0, 90, 50, 2, 3, 2, 1), [7]),  # 3 % is not calm
        ((0, 0, 0, 0, 0), [4, 5]),  # not before the fourth step
        ((0, 50, 0, 50, 0, 50), []),
    ],
)
def test_a_run_has_settled_after_two_calm_steps_in_a_row(moving: tuple[int, ...], settled: list[int]) -> None:
    assert filmed(run(*moving))[1] == settled


def test_a_batch_has_settled_when_all_its_pictures_have() -> None:
    calm, restless = run(0, 0, 0, 0, 0, 0), run(0, 9, 9, 9, 0, 0)
    assert filmed([torch.cat(pair) for pair in zip(calm, restless, strict=True)])[1] == [6]


def test_a_cell_moves_by_a_tenth_of_the_latents_size_or_more() -> None:
    assert filmed(run(0, 50, 50, 50, by=0.05))[1] == [4]
    assert filmed([clean * 1000 for clean in run(0, 50, 50, 50)])[1] == []


def test_the_film_tells_when_each_cell_came_to_rest_and_from_when_on_it_is_good_enough() -> None:
    filming, _ = filmed(run(0, 100, 10, 4, 4, 0))
    (film,) = filming.films()
    assert film.count == filming.count == 6 and film.frames.size == (6 * SIDE, SIDE)
    assert film.settled.ravel().tolist() == [5] * 4 + [3] * 6 + [2] * 90
    assert film.moving == pytest.approx((1, 1, 0.1, 0.04, 0.04, 0))
    assert film.enough == 3, "96 % rest after step 3, 90 % after step 2"
    assert filmed(run(0, 100, 10, 10, 10, 10))[0].films()[0].enough == 6, "a run that never rests ends it"


def test_each_picture_of_a_batch_has_its_own_film() -> None:
    first, second = filmed([torch.cat(pair) for pair in zip(run(0, 100, 0), run(0, 0, 100), strict=True)])[0].films()
    assert (set(first.settled.ravel()), set(second.settled.ravel())) == ({2}, {3})
    assert first.frames.size == second.frames.size == (3 * SIDE, SIDE)


def test_with_a_codebook_a_cell_moves_when_its_nearest_code_changes() -> None:
    codes = torch.tensor([[-1.0], [1.0], [9.0]])
    near, far, other = (torch.full((1, 1, SIDE, SIDE), value) for value in (0.1, 4.9, -0.1))
    assert filmed([near, far, near, far], codes)[1] == [4], "all are nearest to 1, however far they go"
    filming, settled = filmed([near, other, near, other], codes)
    assert settled == [] and filming.films()[0].moving == (1, 1, 1, 1), "a small step over the border is a move"
    assert filmed([near, other, near, other])[0].films()[0].settled.max() == 4


def test_the_codebook_is_in_the_latents_scale_and_is_the_vqgans_alone() -> None:
    weight = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    autoencoder: Any = SimpleNamespace(
        quantize=SimpleNamespace(embedding=SimpleNamespace(weight=weight)), config=SimpleNamespace(scaling_factor=0.5)
    )
    found = codebook_of(SimpleNamespace(autoencoder=autoencoder))
    assert found is not None and found.dtype == torch.float32
    np.testing.assert_array_equal(found, [[0.5, 1.0]])
    assert codebook_of(SimpleNamespace(autoencoder=SimpleNamespace())) is None and codebook_of(object()) is None
