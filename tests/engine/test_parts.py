"""Loading a model's parts: quiet where all is well, refused where a weight is missing."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

from studio.engine.families.parts import load_transformers_part
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
