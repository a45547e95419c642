"""Loading a model's parts: quiet where all is well, refused where a weight is missing."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, VQModel
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

from studio.engine.families.parts import load_diffusers_part, load_transformers_part
from studio.errors import ModelError
from studio.training.text import load_bert


class Listener(logging.Handler):
    """Collects what a library's logger says; its own handler holds another stream than the one pytest watches."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


def save_bert(folder: Path, *, has_pooler: bool) -> Path:
    config = BertConfig(vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=17)
    BertModel(config, add_pooling_layer=has_pooler).save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.mark.parametrize("has_pooler", [False, True])
def test_a_text_encoder_is_loaded_without_a_word(
    tmp_path: Path, has_pooler: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = save_bert(tmp_path / "bert", has_pooler=has_pooler)
    capfd.readouterr()
    listener = Listener()
    logging.getLogger("transformers").addHandler(listener)
    try:
        load_bert(save_bert(tmp_path / "own", has_pooler=False))
        bert = load_transformers_part(BertModel, folder, dtype=torch.float32)
    finally:
        logging.getLogger("transformers").removeHandler(listener)
    assert (bert.pooler is not None) == has_pooler, "nothing is filled at random"
    assert listener.heard == []
    assert "Loading weights" not in capfd.readouterr().err


@pytest.mark.parametrize("key", ["encoder.layer.0.output.dense.weight", "pooler.dense.weight"])
def test_a_text_encoder_that_lacks_a_weight_is_refused(tmp_path: Path, key: str) -> None:
    folder = save_bert(tmp_path / "bert", has_pooler=True)
    weights = load_file(folder / "model.safetensors")
    del weights[key]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=rf"bert\" does not fit its configuration \(1 weights, first \"{key}\""):
        load_transformers_part(BertModel, folder, dtype=torch.float32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("part", "cls"), [("ldm/unet", UNet2DConditionModel), ("ldm/vqvae", VQModel), ("sdxl/vae", AutoencoderKL)]
)
def test_a_part_is_what_from_pretrained_gives(model_folder: Path, part: str, cls: Any, dtype: torch.dtype) -> None:
    """It is built once and filled, which must leave nothing out: neither a buffer nor a dtype."""
    ours = load_diffusers_part(cls.from_config, cls, model_folder / part, dtype=dtype)
    stock = cls.from_pretrained(model_folder / part, torch_dtype=dtype, local_files_only=True).eval()
    for kind in ("named_parameters", "named_buffers"):
        mine, theirs = dict(getattr(ours, kind)()), dict(getattr(stock, kind)())
        assert mine.keys() == theirs.keys()
        for name, value in theirs.items():
            assert mine[name].device.type == "cpu" and mine[name].dtype == value.dtype
            assert torch.equal(mine[name], value), name
    assert not ours.training and not any(value.requires_grad for value in ours.parameters())


def test_weights_that_the_model_does_not_have_are_left_aside_and_old_names_are_converted(
    model_folder: Path, tmp_path: Path
) -> None:
    source, old = model_folder / "sd1" / "vae", tmp_path / "vae"
    old.mkdir()
    (old / "config.json").write_text((source / "config.json").read_text(encoding="utf-8"), encoding="utf-8")
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    weights = {"another.programs": torch.zeros(1)}
    for key, value in load_file(source / "diffusion_pytorch_model.safetensors").items():
        before = next((f"{new}." for new in names if f"attentions.0.{new}." in key), "")
        weights[key.replace(before, f"{names[before[:-1]]}.") if before else key] = value
    save_file(weights, old / "diffusion_pytorch_model.safetensors", {"format": "pt"})
    loaded = [load_diffusers_part(AutoencoderKL.from_config, AutoencoderKL, path, dtype=torch.float32)
              for path in (source, old)]  # fmt: skip
    for mine, theirs in zip(loaded[0].parameters(), loaded[1].parameters(), strict=True):
        assert torch.equal(mine, theirs)
