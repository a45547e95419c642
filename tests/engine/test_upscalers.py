"""Upscaling in tiles leaves no seams; a missing library is named; a real ESRGAN runs where spandrel is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from studio.engine.upscalers import NEEDS, TILE, Upscaler, load_upscaler, tiles
from studio.errors import ModelError

CPU = torch.device("cpu")


def enlarging(scale: int = 2, multiple: int = 1) -> Upscaler:
    """An "upscaler" that repeats pixels: what tiling must give is known exactly."""
    return Upscaler("nearest", scale, lambda x: F.interpolate(x, scale_factor=scale), multiple, CPU)


@pytest.mark.parametrize("size", [(40, 60), (TILE, TILE), (TILE + 1, 300), (600, 530)])
@pytest.mark.parametrize("multiple", [1, 8])
def test_tiles_fit_together_without_seams(size: tuple[int, int], multiple: int) -> None:
    picture = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    *_, last = enlarging(multiple=multiple).in_tiles(picture)
    made = last.image_01
    assert made is not None
    torch.testing.assert_close(made, F.interpolate(picture, scale_factor=2), rtol=0, atol=1e-6)


def test_tiles_cover_everything_and_overlap() -> None:
    covered = torch.zeros(700, 300)
    for top, left, h, w in tiles(700, 300):
        assert h <= TILE and w <= TILE
        covered[top : top + h, left : left + w] += 1
    assert covered.min() >= 1 and covered.max() > 1


def test_every_tile_is_told_and_the_last_brings_the_picture() -> None:
    told = list(enlarging().in_tiles(torch.rand(1, 3, 40, 600)))
    assert [(one.done, one.total, one.image_01 is None) for one in told] == [(1, 3, True), (2, 3, True), (3, 3, False)]


def test_missing_libraries_are_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.engine.upscalers.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"need spandrel and torchvision, which are not installed.*upscale"):
        load_upscaler(tmp_path / "x.safetensors", CPU)


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in NEEDS),
    reason="pip install spandrel, and a torchvision that fits this torch",
)
def test_a_real_esrgan_makes_pictures_four_times_larger(tmp_path: Path) -> None:
    from spandrel.architectures.ESRGAN import ESRGAN

    torch.manual_seed(0)
    save_file(ESRGAN(num_filters=8, num_blocks=1, scale=4).state_dict(), tmp_path / "x4.safetensors")
    upscaler = load_upscaler(tmp_path / "x4.safetensors", CPU)
    *_, last = upscaler.in_tiles(torch.rand(1, 3, 32, 48))
    made = last.image_01
    assert upscaler.scale == 4 and made is not None and made.shape == (1, 3, 128, 192)
    (tmp_path / "junk.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    with pytest.raises(ModelError, match="no upscaler"):
        load_upscaler(tmp_path / "junk.safetensors", CPU)
