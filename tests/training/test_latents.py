"""Scenes encoded ahead, and the text encoder they are encoded with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertModel, BertTokenizerFast

from studio.errors import StudioError
from studio.training.latents import Networks, codes_digest, encode_codes, encode_scenes, open_scenes
from studio.training.stream import to_pm1
from studio.training.text import TextEncoder
from tests.training.tiny import SIDE, Squares, text_encoder, vqmodel


def test_scenes_are_what_encoding_each_afresh_gives(tmp_path: Path) -> None:
    model, text = vqmodel(), text_encoder(tmp_path / "text")
    scenes = encode_scenes(Squares(), Networks(model, text), tmp_path / "scenes", count=5, size=SIDE)
    picture, caption, _ = Squares().sample(np.random.default_rng((0, 3)), SIDE)
    expected = encode_codes(model, to_pm1(torch.from_numpy(picture)[None]))
    assert (scenes.codes[3] != expected[0].numpy()).mean() < 0.05  # bfloat16: a tie may fall the other way
    assert torch.allclose(scenes.context_of([3]), text([caption]), atol=0.05)


def test_a_folder_that_was_cut_is_extended_and_keeps_what_it_had(tmp_path: Path) -> None:
    model, text = vqmodel(), text_encoder(tmp_path / "text")
    first = np.array(encode_scenes(Squares(), Networks(model, text), tmp_path / "s", count=3, size=SIDE).codes)
    assert len(open_scenes(tmp_path / "s")) == 3
    longer = encode_scenes(Squares(), Networks(model, text), tmp_path / "s", count=6, size=SIDE)
    assert np.array_equal(longer.codes[:3], first)
    assert len(open_scenes(tmp_path / "s")) == 6


def test_scenes_of_another_codebook_are_refused(tmp_path: Path) -> None:
    model, text = vqmodel(), text_encoder(tmp_path / "text")
    encode_scenes(Squares(), Networks(model, text), tmp_path / "s", count=2, size=SIDE)
    model.quantize.embedding.weight.data.neg_()
    with pytest.raises(StudioError, match="another codebook"):
        encode_scenes(Squares(), Networks(model, text), tmp_path / "s", count=2, size=SIDE)


def test_the_digest_follows_the_codes_and_not_the_decoder() -> None:
    model = vqmodel()
    before = codes_digest(model)
    model.decoder.conv_out.weight.data.add_(1)
    assert codes_digest(model) == before
    model.encoder.conv_in.weight.data.add_(1)
    assert codes_digest(model) != before


def test_all_networks_that_encode_move_to_the_device(tmp_path: Path) -> None:
    features = torch.nn.Conv2d(3, 3, 1)
    networks = Networks(vqmodel(), text_encoder(tmp_path), features)  # type: ignore[arg-type]
    moved = networks.to(torch.device("meta"))
    assert moved.device.type == networks.text.model.device.type == features.weight.device.type == "meta"


def test_missing_scenes_are_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="no encoded scenes"):
        open_scenes(tmp_path)


def test_a_stored_text_encoder_gives_the_same_and_the_stock_classes_load_it(tmp_path: Path) -> None:
    text = text_encoder(tmp_path / "vocabulary")
    text.save(tmp_path / "out")
    again = TextEncoder.load(tmp_path / "out")
    assert torch.allclose(text(["a red square"]), again(["a red square"]), atol=0.02)
    BertModel.from_pretrained(tmp_path / "out" / "bert")
    assert BertTokenizerFast.from_pretrained(tmp_path / "out" / "tokenizer").tokenize("A RED square") == [
        "a", "red", "square",
    ]  # fmt: skip
