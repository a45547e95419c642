"""What a walk's words come to: LoRAs, embeddings, random words, schedules, whatever ran before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from studio.engine.denoise import Conditioning, Script
from studio.engine.engine import Engine
from studio.engine.prompts import Embedding
from studio.enhance.between import conditioning_between, loras_between, script_between
from studio.errors import InvalidRequest, UnknownName
from studio.handlers import handlers
from studio.requests import LoraUse, Walk
from tests.engine import tiny
from tests.engine.adapter_files import save_embedding, save_lora
from tests.engine.run import arrays, finish, finished, loaded, settings_for


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny "sd1" with the LoRA "ink" and the embedding "neg"."""
    folder = tmp_path_factory.mktemp("models")
    tiny.ship_preview(tiny.save_sd(folder / "sd1"))
    for name in ("Lora", "embeddings"):
        (folder / name).mkdir()
    save_lora(folder / "sd1", folder / "Lora", "ink", metadata={"modelspec.trigger_phrase": "ink wash"})
    save_embedding(folder / "embeddings" / "neg.safetensors")
    return folder


def fresh(models: Path, data: Path) -> Engine:
    settings = settings_for(data, models)
    return Engine(settings, handlers=handlers(settings))


@pytest.fixture(scope="module")
def engine(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return fresh(models, tmp_path_factory.mktemp("data"))


@pytest.fixture
def filmed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[np.ndarray]]:
    """The frames of each walk, as they were before the film's compression."""
    films: list[np.ndarray] = []
    monkeypatch.setattr("studio.enhance.walk.save_animation", lambda frames, *_, **__: films.append(arrays(frames)))
    yield films


def walk(prompt: str, to_prompt: str = "", **values: Any) -> Walk:
    own = {"model": "sd1", "seed": 7, "to_seed": 7, "frames": 3, "steps": 3, "width": 64, "height": 64, **values}
    return Walk(prompt=prompt, to_prompt=to_prompt, **own)


def test_a_walk_does_not_depend_on_the_job_before(
    engine: Engine, models: Path, tmp_path: Path, filmed: list[np.ndarray]
) -> None:
    finish(engine, model="sd1", prompt="a cat <lora:ink>")
    after = finished(engine, walk("a cat", "a boat"))
    finished(fresh(models, tmp_path), walk("a cat", "a boat"))
    np.testing.assert_array_equal(*filmed)
    assert after.facts["ends"] == [{}, {}]


def test_a_lora_of_one_end_comes_in_evenly_and_is_told(engine: Engine, filmed: list[np.ndarray]) -> None:
    ending = finished(engine, walk("a cat", "a cat <lora:ink:0.8>", ease=False))
    for frame, words in ((filmed[0][0], "a cat"), (filmed[0][2], "a cat <lora:ink:0.8>")):
        np.testing.assert_array_equal(frame, np.asarray(finish(engine, model="sd1", prompt=words).images[0]))
    assert (filmed[0][1] != filmed[0][0]).any() and (filmed[0][1] != filmed[0][2]).any()
    first, second = ending.facts["ends"]
    assert "loras" not in first
    assert [(one["name"], one["weight"], len(one["checksum"])) for one in second["loras"]] == [("ink", 0.8, 64)]
    assert any("ink wash" in note for note in ending.notes)


def test_random_words_are_drawn_by_each_ends_seed_and_embeddings_are_read(
    engine: Engine, filmed: list[np.ndarray]
) -> None:
    ending = finished(engine, walk("{red|green|blue|grey|black} apple, neg", seed=1, to_seed=4))
    drawn = [end["drawn"]["prompt"] for end in ending.facts["ends"]]
    assert drawn[0] != drawn[1] and all(end["embeddings"][0]["name"] == "neg" for end in ending.facts["ends"])
    for words, seed, frame in zip(drawn, (1, 4), (filmed[0][0], filmed[0][2]), strict=True):
        np.testing.assert_array_equal(frame, np.asarray(finish(engine, model="sd1", prompt=words, seed=seed).images[0]))


@pytest.mark.parametrize(
    ("prompt", "to_prompt"),
    [("a [cat:dog:0.5]", "a boat AND fog:0.5"), ("a boat", "a cat BREAK a hat"), ("a cat BREAK a hat", "a boat")],
)
def test_prompts_that_change_are_composed_or_long_begin_and_end_a_walk(
    engine: Engine, filmed: list[np.ndarray], prompt: str, to_prompt: str
) -> None:
    finished(engine, walk(prompt, to_prompt, guidance_start=0.4))
    for frame, words in ((filmed[0][0], prompt), (filmed[0][2], to_prompt)):
        alone = finish(engine, model="sd1", prompt=words, guidance_start=0.4)
        np.testing.assert_array_equal(frame, np.asarray(alone.images[0]))


def test_a_walk_runs_on_the_plain_model_even_after_a_compiled_run(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, filmed: list[np.ndarray]
) -> None:
    model = loaded(engine, "sd1").model

    class Compiled:
        is_on, seen = True, set[bool]()

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            self.seen.add(self.is_on)
            return model.unet(*args, **kwargs)

    monkeypatch.setattr(model, "compiled", Compiled())
    finished(engine, walk("a cat", "a boat"))
    assert model.compiled.seen == {False}


def test_what_a_walk_cannot_wear_or_guide_is_said(engine: Engine) -> None:
    with pytest.raises(UnknownName, match='no LoRA "inc"'):
        finished(engine, walk("a cat", "a cat <lora:inc>"))
    with pytest.raises(InvalidRequest, match="no part of the run"):
        finished(engine, walk("a cat", guidance_start=0.8, guidance_end=0.2))


def test_what_lies_between_is_mixed_part_by_part_and_step_by_step() -> None:
    one, other, fog = (asked(value) for value in (0.0, 2.0, 8.0))
    composed = Conditioning(other.positive, other.negative, 4.0, 0.5, ((fog.positive, 1.0),))
    half = conditioning_between(one, composed, 0.5)
    assert half.positive.text.unique().tolist() == [1.0] and half.weight == 0.75
    assert [(part.text.unique().tolist(), weight) for part, weight in half.also] == [([8.0], 0.5)]
    between = script_between(Script((0, 4), (one, other)), Script((0, 2), (other, one)), 0.5)
    assert between.begins == (0, 2, 4)
    assert [between.at(index).positive.text.mean().item() for index in (0, 3, 5)] == [1.0, 0.0, 1.0]
    uses = (LoraUse(name="a", weight=1.0),), (LoraUse(name="a", weight=0.5), LoraUse(name="b", weight=-2.0))
    assert [(use.name, use.weight) for use in loras_between(*uses, 0.25)] == [("a", 0.875), ("b", -0.5)]
    assert loras_between(*uses, 1) == uses[1]


def asked(value: float) -> Conditioning:
    text = Embedding(torch.full((1, 4, 2), value))
    return Conditioning(text, text, 4.0)
