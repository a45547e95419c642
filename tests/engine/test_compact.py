"""Compact weights: what is stored, how near they come back, and that a shrunk model is a model like any other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from studio.commands.shrink import FIGURES, shrink
from studio.engine.compact import FILE, dequantise, is_compact, quantise, read_compact, write_compact
from studio.engine.families.parts import load_diffusers_part
from studio.errors import InvalidRequest, ModelError
from studio.settings import Settings
from tests.engine.tiny import save_ldm, save_sd


def test_a_weight_comes_back_within_half_a_step_of_its_channel() -> None:
    random = torch.randn(16, 8, 3, 3, generator=torch.Generator().manual_seed(0))
    weight = random * torch.logspace(-3, 2, 16)[:, None, None, None]
    integers, scales = quantise(weight)
    assert integers.dtype == torch.int8 and integers.shape == weight.shape and scales.shape == (16,)
    error = (dequantise(integers, scales) - weight).abs().flatten(1).amax(dim=1)
    assert (error <= 0.5001 * scales).all()


def test_a_channel_of_zeros_stays_zero() -> None:
    assert dequantise(*quantise(torch.zeros(4, 2000))).abs().max() == 0


def test_large_tensors_are_integers_on_the_disk_and_small_ones_are_halves(tmp_path: Path) -> None:
    state = {"big": torch.randn(64, 128), "bias": torch.randn(64), "count": torch.arange(3)}
    write_compact(state, tmp_path)
    stored = load_file(tmp_path / FILE)
    assert stored["big"].dtype == torch.int8 and stored["bias"].dtype == torch.float16
    back = read_compact(tmp_path)
    assert back.keys() == state.keys() and torch.equal(back["count"], state["count"])
    assert is_compact(tmp_path) and (back["big"] - state["big"]).abs().max() < 0.05


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A studio with one tiny latent-diffusion model."""
    settings = Settings(data_dir=tmp_path, device="cpu", dtype="float32", browser=False)
    save_ldm(tmp_path / "models" / "tiny")
    return settings


def test_a_shrunk_model_is_smaller_draws_nearly_the_same_and_says_what_it_cost(settings: Settings) -> None:
    result = shrink(settings, "tiny", "small", keep_words=["a red apple"], steps=2, prompts=["a red apple"])
    target = settings.data_dir / "models" / "small"
    assert is_compact(target / "unet") and is_compact(target / "bert") and not is_compact(target / "vqvae")
    assert result.after.megabytes < result.before.megabytes and result.after.pieces < result.before.pieces
    assert result.likeness_db > 20
    assert "dB" in str(result) and (target / FIGURES).is_file()
    with pytest.raises(InvalidRequest, match="is taken"):
        shrink(settings, "tiny", "small", steps=2)
    with pytest.raises(InvalidRequest, match="compact already"):
        shrink(settings, "small", "smaller", steps=2)


def test_a_compact_part_that_lacks_a_weight_is_refused(settings: Settings) -> None:
    shrink(settings, "tiny", "small", steps=1, prompts=["a cat"])
    path = settings.data_dir / "models" / "small" / "unet" / FILE
    stored = load_file(path)
    stored.pop("conv_in.weight")
    save_file(stored, path, {"format": "pt"})
    with pytest.raises(ModelError, match="conv_in"):
        load_diffusers_part(UNet2DConditionModel.from_config, UNet2DConditionModel, path.parent, dtype=torch.float32)


def test_other_kinds_of_models_are_not_shrunk(settings: Settings) -> None:
    save_sd(settings.data_dir / "models" / "sd")
    with pytest.raises(ModelError, match="cannot be shrunk"):
        shrink(settings, "sd", "small-sd")
