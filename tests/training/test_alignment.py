"""Alignment of the U-Net's middle to image features, and the scenes that keep these features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from studio.errors import StudioError
from studio.training.alignment import FEATURE_CHANNELS, Alignment
from studio.training.latents import Networks, encode_scenes, open_scenes
from studio.training.stream import Batch
from tests.training.tiny import SIDE, Squares, diffusion_task, text_encoder, vqmodel


class Eyes:
    """Stands in for the image network: every channel is the mean of the picture."""

    def maps(self, pictures: Tensor, *, blocks: tuple[int, ...]) -> list[Tensor]:
        mean = nn.functional.avg_pool2d(pictures.mean(1, keepdim=True), 32)
        return [mean.expand(-1, FEATURE_CHANNELS, -1, -1) for _ in blocks]


def test_it_measures_one_minus_the_cosine(tmp_path: Path) -> None:
    unet = diffusion_task(tmp_path).unet
    alignment = Alignment(unet, channels=2)
    alignment.project = nn.Conv2d(unet.config.block_out_channels[-1], 2, 1)
    nn.init.zeros_(alignment.project.weight)
    alignment.project.bias.data = torch.tensor([3.0, 4.0])
    side = unet.config.sample_size
    text = torch.zeros(1, 4, unet.config.cross_attention_dim)

    def away(first: float, second: float) -> float:
        unet(torch.zeros(1, unet.config.in_channels, side, side), 1, encoder_hidden_states=text)
        wanted = torch.tensor([float(first), float(second)]).view(1, 2, 1, 1).expand(1, 2, side, side)
        return alignment(wanted).item()

    assert away(3, 4) == pytest.approx(0, abs=1e-6)
    assert away(1, 0) == pytest.approx(1 - 0.6, abs=1e-6)
    assert away(-3, -4) == pytest.approx(2, abs=1e-6)


def test_scenes_keep_features_and_training_pulls_towards_them(tmp_path: Path) -> None:
    networks = Networks(vqmodel(), text_encoder(tmp_path / "text"), Eyes())  # type: ignore[arg-type]
    scenes = encode_scenes(Squares(), networks, tmp_path / "s", count=4, size=SIDE)
    again = open_scenes(tmp_path / "s").features_of([2])
    assert again.shape == (1, FEATURE_CHANNELS, SIDE // 32, SIDE // 32)
    task = diffusion_task(tmp_path, align_weight=1.0, learning_rate=3e-3)
    task.scenes = scenes
    batch = Batch(torch.from_numpy(scenes.codes[:4].astype(np.int64)), [""] * 4, [0, 1, 2, 3])
    before = task.step(batch, 0)["align"]
    for step in range(1, 30):
        figures = task.step(batch, step)
    assert float(figures["align"]) < 0.5 * float(before)


def test_scenes_without_features_say_how_to_get_them(tmp_path: Path) -> None:
    networks = Networks(vqmodel(), text_encoder(tmp_path / "text"))
    scenes = encode_scenes(Squares(), networks, tmp_path / "s", count=2, size=SIDE)
    with pytest.raises(StudioError, match="no image features"):
        scenes.features_of([0])
