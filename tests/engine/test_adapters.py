"""LoRAs and embeddings: bit for bit what stock diffusers with peft gives, switched without loading again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from studio.engine.adapters import LoraRack
from studio.engine.addons import AddOn, find_addon, scan_addons
from studio.engine.engine import Engine
from studio.engine.prompt_addons import cut_loras, together
from studio.errors import InvalidRequest, ModelError, UnknownName
from studio.requests import LoraUse
from studio.settings import Settings
from tests.engine import tiny
from tests.engine.adapter_files import save_embedding, save_kohya, save_lora
from tests.engine.run import arrays, finish, loaded, settings_for, small
from tests.engine.stock import STOCK, Stock


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny "sd1" and "sdxl" with LoRAs "ink", "oil" (as kohya saves it), "xl", and embeddings "neg", "duo", "both"."""
    folder = tiny.save_pair(tmp_path_factory.mktemp("models"))
    (folder / "Lora").mkdir()
    (folder / "embeddings").mkdir()
    save_lora(folder / "sd1", folder / "Lora", "ink", metadata={"modelspec.trigger_phrase": "ink wash"})
    save_lora(folder / "sdxl", folder / "Lora", "xl", seed=5)
    plain = save_lora(folder / "sd1", folder / "Lora", "plain", seed=3, text=False)
    save_kohya(plain, folder / "Lora" / "oil.safetensors")
    save_embedding(folder / "embeddings" / "neg.safetensors")
    save_embedding(folder / "embeddings" / "duo.safetensors", vectors=2, seed=1)
    save_embedding(folder / "embeddings" / "both.safetensors", vectors=2, seed=2, is_xl=True)
    return folder


@pytest.fixture(scope="module")
def engine(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    data = tmp_path_factory.mktemp("data")
    yield Engine(settings_for(data, folder))


def _theirs(folder: Path, model: str, loras: dict[str, float], **values: Any) -> np.ndarray:
    """Return what stock diffusers makes with the LoRAs of `folder` by its own documented calls."""
    stock = Stock(folder / model, STOCK[model])
    for name in loras:
        stock.pipeline.load_lora_weights(folder / "Lora", weight_name=f"{name}.safetensors", adapter_name=name)
    if loras:
        stock.pipeline.set_adapters(list(loras), list(loras.values()))
    return stock(small(model=model, **values))


@pytest.mark.parametrize(
    ("model", "loras"),
    [
        ("sd1", {"ink": 0.8}),
        ("sd1", {"oil": 1.0}),
        ("sd1", {"ink": 0.5, "plain": -0.7}),
        ("sdxl", {"xl": 1.25}),
    ],
)
def test_a_lora_gives_stock_diffusers_pixels(engine: Engine, folder: Path, model: str, loras: dict[str, float]) -> None:
    tokens = " ".join(f"<lora:{name}:{weight}>" for name, weight in loras.items())
    theirs = _theirs(folder, model, loras, prompt="a red cat")
    mine = finish(engine, model=model, prompt=f"a red cat {tokens}")
    np.testing.assert_array_equal(arrays(mine.images), theirs)
    assert [(lora["name"], lora["weight"]) for lora in mine.facts["loras"]] == list(loras.items())
    assert all(len(lora["checksum"]) == 64 for lora in mine.facts["loras"])


def test_the_list_and_the_prompt_say_the_same_and_add_up(engine: Engine) -> None:
    by_prompt = finish(engine, model="sd1", prompt="a cat <lora:ink:0.8>")
    by_list = finish(engine, model="sd1", prompt="a cat", loras=[LoraUse(name="INK", weight=0.8)])
    by_both = finish(engine, model="sd1", prompt="a cat <lora:ink:0.3>", loras=[LoraUse(name="ink", weight=0.5)])
    np.testing.assert_array_equal(arrays(by_prompt.images), arrays(by_list.images))
    np.testing.assert_array_equal(arrays(by_prompt.images), arrays(by_both.images))


def test_without_loras_the_model_is_as_if_it_never_had_any(engine: Engine, folder: Path) -> None:
    before = _theirs(folder, "sd1", {}, prompt="a blue dog")
    for prompt in ("a blue dog <lora:ink>", "a blue dog", "a blue dog <lora:ink:0.2><lora:oil:2>", "a blue dog"):
        after = finish(engine, model="sd1", prompt=prompt)
    np.testing.assert_array_equal(arrays(after.images), before)
    assert "loras" not in after.facts


def test_switching_between_loras_loads_each_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    first = {w: finish(engine, model="sd1", prompt=f"a cat <lora:{w}>") for w in ("ink", "oil")}
    pipeline = loaded(engine, "sd1").model.pipeline
    monkeypatch.setattr(pipeline, "load_lora_weights", lambda *a, **k: pytest.fail("loaded again"))
    for name in ("ink", "oil", "ink"):
        again = finish(engine, model="sd1", prompt=f"a cat <lora:{name}>")
        np.testing.assert_array_equal(arrays(again.images), arrays(first[name].images))


def test_the_rack_keeps_a_few_and_forgets_the_oldest(engine: Engine, folder: Path, tmp_path: Path) -> None:
    pipeline = Stock(folder / "sd1", STOCK["sd1"]).pipeline
    rack = LoraRack(pipeline, keep=2)
    cards = {addon.id: addon for addon in scan_addons([folder], "lora")}
    for name in ("ink", "oil", "plain"):
        rack.use([(cards[name], 1.0)])
    assert rack.loaded == 2 and len(pipeline.get_list_adapters()["unet"]) == 2
    rack.use([(cards[name], 1.0) for name in ("ink", "oil", "plain")])
    assert rack.loaded == 3  # what is in use is never dropped


def test_a_lora_of_another_model_is_refused_and_the_next_job_works(engine: Engine) -> None:
    before = finish(engine, model="sd1", prompt="a cat")
    with pytest.raises(ModelError, match=r'LoRA "xl" was made for SDXL .text vectors 64 wide.; sd1 reads 32 wide'):
        finish(engine, model="sd1", prompt="a cat <lora:xl>")
    with pytest.raises(UnknownName, match=r'no LoRA "inc".*Did you mean "ink"'):
        finish(engine, model="sd1", prompt="a cat <lora:inc>")
    after = finish(engine, model="sd1", prompt="a cat")
    np.testing.assert_array_equal(arrays(before.images), arrays(after.images))


def test_a_lora_whose_layers_have_other_shapes_leaves_no_trace(engine: Engine, folder: Path) -> None:
    before = finish(engine, model="sd1", prompt="a cat")
    weights = load_file(folder / "Lora" / "plain.safetensors")
    cut = {k: v[:, :-1].contiguous() if k.endswith("to_q.lora_A.weight") else v for k, v in weights.items()}
    save_file(cut, folder / "Lora" / "misshapen.safetensors")
    with pytest.raises(ModelError, match='LoRA "misshapen" does not fit this model'):
        finish(engine, model="sd1", prompt="a cat <lora:misshapen>")
    after = finish(engine, model="sd1", prompt="a cat")
    np.testing.assert_array_equal(arrays(before.images), arrays(after.images))


def test_trigger_words_are_named_when_the_prompt_lacks_them(engine: Engine) -> None:
    assert any("ink wash" in note for note in finish(engine, model="sd1", prompt="a cat <lora:ink>").notes)
    assert not finish(engine, model="sd1", prompt="Ink Wash of a cat <lora:ink>").notes


def test_models_without_loras_say_so(engine: Engine, tmp_path: Path, folder: Path) -> None:
    tiny.save_ldm(tmp_path / "ldm")
    tiny.ship_preview(tmp_path / "ldm")
    settings = Settings(data_dir=tmp_path, model_folders=(tmp_path, folder), device="cpu", dtype="float32")
    with pytest.raises(ModelError, match="ldm takes no LoRAs"):
        finish(Engine(settings), model="ldm", prompt="a cat <lora:ink>")


@pytest.mark.parametrize(("model", "word"), [("sd1", "neg"), ("sd1", "duo"), ("sdxl", "both")])
def test_an_embedding_gives_stock_diffusers_pixels(engine: Engine, folder: Path, model: str, word: str) -> None:
    stock = Stock(folder / model, STOCK[model])
    tables = load_file(folder / "embeddings" / f"{word}.safetensors")
    parts: list[dict[str, Any]] = [{}]
    if model == "sdxl":
        pipe = stock.pipeline
        parts = [
            {"text_encoder": pipe.text_encoder, "tokenizer": pipe.tokenizer},
            {"text_encoder": pipe.text_encoder_2, "tokenizer": pipe.tokenizer_2},
        ]
    for key, part in zip(sorted(tables, reverse=True), parts, strict=True):  # clip_l is the first encoder's
        stock.pipeline.load_textual_inversion({f"<{word}>": tables[key]}, token=f"<{word}>", **part)
    theirs = stock(small(model=model, prompt=f"a cat, <{word}>", negative_prompt=f"<{word}>"))
    mine = finish(engine, model=model, prompt=f"a cat, embedding:{word}", negative_prompt=word.upper())
    np.testing.assert_array_equal(arrays(mine.images), theirs)
    assert [entry["name"] for entry in mine.facts["embeddings"]] == [word]
    plain = finish(engine, model=model, prompt="a cat, ", negative_prompt="")
    assert not np.array_equal(arrays(plain.images), theirs)


def test_an_embedding_is_a_whole_word_and_works_with_a_weight(engine: Engine) -> None:
    assert "embeddings" not in finish(engine, model="sd1", prompt="negative space").facts
    assert finish(engine, model="sd1", prompt="a cat, (neg:1.2)").facts["embeddings"]


def test_an_embedding_that_changed_is_learnt_anew(engine: Engine, folder: Path) -> None:
    path = folder / "embeddings" / "fresh.safetensors"
    save_embedding(path, vectors=3, seed=7)
    before = finish(engine, model="sd1", prompt="a fresh cat")
    save_embedding(path, vectors=2, seed=8)
    after = finish(engine, model="sd1", prompt="a fresh cat")
    assert before.facts["embeddings"] != after.facts["embeddings"]
    assert not np.array_equal(arrays(before.images), arrays(after.images))
    path.unlink()


@pytest.mark.parametrize(
    ("prompt", "text", "uses"),
    [
        ("a cat", "a cat", []),
        ("a cat <lora:ink:0.8>", "a cat", [("ink", 0.8)]),
        ("a cat, <lora:ink>, red", "a cat, red", [("ink", 1.0)]),
        ("<LoRA:My Style v2:-0.5> a cat", "a cat", [("My Style v2", -0.5)]),
        ("a <lora:a:0.2:0.7><lora:b:.5> cat", "a cat", [("a", 0.7), ("b", 0.5)]),
        ("a < b, 1 > 0", "a < b, 1 > 0", []),
        ("line\n<lora:x>\nline", "line\n\nline", [("x", 1.0)]),
    ],
)
def test_tokens_are_cut_out_of_the_prompt(prompt: str, text: str, uses: list[tuple[str, float]]) -> None:
    left, found = cut_loras(prompt)
    assert left == text and [(use.name, use.weight) for use in found] == uses


@pytest.mark.parametrize("token", ["<lora:>", "<lora:x:much>", "<lora:x:9>", "<lora:x:nan>"])
def test_a_token_that_cannot_be_read_is_explained(token: str) -> None:
    with pytest.raises(InvalidRequest, match=r"LoRA|weight"):
        cut_loras(f"a cat {token}")


def test_weights_of_one_lora_add_up_and_cancel_out() -> None:
    uses = [LoraUse(name="a", weight=3), LoraUse(name="b", weight=1), LoraUse(name="b", weight=-1)]
    assert together([*uses, uses[0]]) == (LoraUse(name="a", weight=4),)
    with pytest.raises(InvalidRequest, match="9 LoRAs are asked for; at most 8"):
        together(LoraUse(name=f"l{number}") for number in range(9))


def test_an_addon_that_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match='"ghost" is gone'):
        AddOn("ghost", "lora", tmp_path / "ghost.safetensors").stamp()
    with pytest.raises(UnknownName, match="no LoRA yet"):
        find_addon([tmp_path], "lora", "ghost")
