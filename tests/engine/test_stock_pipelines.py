"""SD 3, FLUX and aMUSEd through their stock pipelines: the same pixels, with previews, and stopped within a step."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from studio.engine.catalog import scan
from studio.engine.engine import Engine
from studio.engine.noise import generators_of
from studio.engine.stock_kinds import STOCK_KINDS
from studio.engine.stock_sample import NO_FILM
from studio.errors import InvalidRequest, ModelError
from studio.events import Cancelled, Finished, Step
from tests.engine import tiny_stock
from tests.engine.adapter_files import save_embedding
from tests.engine.run import arrays, events_of, finish, loaded, settings_for, small

CLASSES = {"sd3": "StableDiffusion3Pipeline", "flux": "FluxPipeline", "amused": "AmusedPipeline"}
ABSENT = {"sd3": dict.fromkeys(("text_encoder_3", "tokenizer_3", "image_encoder", "feature_extractor"))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny_stock.save_sd3(folder / "sd3")
    tiny_stock.save_flux(folder / "flux")
    tiny_stock.save_amused(folder / "amused")
    return folder


@pytest.fixture(scope="module")
def engine(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    data = tmp_path_factory.mktemp("data")
    yield Engine(settings_for(data, folder))


def ask(model: str, **values: Any) -> dict[str, Any]:
    return {"model": model, "scheduler": "own", "prompt": "a red cat", "width": 64, "height": 64, **values}


def theirs(folder: Path, model: str, seed: int, **values: Any) -> np.ndarray:
    pipe = getattr(diffusers, CLASSES[model]).from_pretrained(
        folder / model, use_safetensors=True, **ABSENT.get(model, {})
    )
    pipe.set_progress_bar_config(disable=True)
    request = small(**ask(model, **values))
    said = {"negative_prompt": request.negative_prompt} if request.negative_prompt else {}
    return arrays(
        pipe(
            prompt=request.prompt,
            width=64,
            height=64,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance_scale,
            generator=generators_of([seed])[0],
            **said,
        ).images
    )


@pytest.mark.parametrize("model", CLASSES)
def test_pictures_are_the_stock_pipelines_bit_for_bit(engine: Engine, folder: Path, model: str) -> None:
    negative = {} if model == "flux" else {"negative_prompt": "blurry"}
    mine = finish(engine, **ask(model, batch=2, seed=7, **negative))
    for place, seed in enumerate((7, 8)):
        np.testing.assert_array_equal(arrays(mine.images)[place : place + 1], theirs(folder, model, seed, **negative))
    assert mine.seeds == (7, 8) and mine.facts["model"] == model


@pytest.mark.parametrize("model", CLASSES)
def test_every_step_is_told_with_a_preview_that_ends_near_the_picture(engine: Engine, model: str) -> None:
    events = events_of(engine, small(**ask(model, steps=4)))
    steps = [event for event in events if isinstance(event, Step)]
    ending = events[-1]
    assert isinstance(ending, Finished)
    assert [step.index for step in steps] == [1, 2, 3, 4] and {step.total for step in steps} == {4}
    last = steps[-1].preview
    assert all(step.preview is not None for step in steps) and last is not None
    small_picture = np.asarray(ending.images[0].resize(last.size, 4), dtype=float)
    assert np.abs(np.asarray(last, dtype=float) - small_picture).mean() < 40


@pytest.mark.parametrize("model", CLASSES)
def test_a_stop_takes_effect_within_a_step_and_nothing_is_decoded(
    engine: Engine, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = loaded(engine, model).model.pipeline
    autoencoder = getattr(pipeline, "vae", None) or pipeline.vqvae
    monkeypatch.setattr(autoencoder, "decode", lambda *a, **k: pytest.fail("decoded after the stop"))
    steps: list[Step] = []
    stop = threading.Event()
    for event in engine.run(small(**ask(model, steps=20)), stop.is_set):
        if isinstance(event, Step):
            steps.append(event)
            stop.set()
    assert isinstance(event, Cancelled) and len(steps) <= 3
    monkeypatch.undo()
    assert isinstance(events_of(engine, small(**ask(model)))[-1], Finished)


def test_a_watcher_that_goes_away_ends_the_run(engine: Engine) -> None:
    running = engine.run(small(**ask("sd3", steps=50)), lambda: False)
    while not isinstance(next(running), Step):
        pass
    running.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "stock-pipeline"]


def test_an_error_inside_comes_out_and_the_next_job_works(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = loaded(engine, "sd3").model.pipeline
    monkeypatch.setattr(pipeline.transformer, "forward", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        events_of(engine, small(**ask("sd3")))
    monkeypatch.undo()
    assert isinstance(events_of(engine, small(**ask("sd3")))[-1], Finished)


def test_after_out_of_memory_inside_the_next_job_works(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    from studio.errors import OutOfMemory

    pipeline = loaded(engine, "flux").model.pipeline

    def full(*args: Any, **kwargs: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(pipeline.transformer, "forward", full)
    with pytest.raises(OutOfMemory, match="not enough memory"):
        events_of(engine, small(**ask("flux")))
    monkeypatch.undo()
    assert isinstance(events_of(engine, small(**ask("flux")))[-1], Finished)


def test_cards_offer_the_models_own_scheduler_and_presets(folder: Path) -> None:
    cards = {card.id: card for card in scan([folder]).models}
    assert {card.family for card in cards.values()} == {"pipeline"}
    assert [choice.id for choice in cards["sd3"].schedulers] == ["own"]
    assert cards["sd3"].architecture == "sd3" and cards["sd3"].width == 64
    assert cards["flux"].preset("standard").steps == STOCK_KINDS["FluxPipeline"].steps


def test_another_scheduler_a_mask_and_prompt_weights_are_answered(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match="does not fit this model"):
        finish(engine, **ask("sd3", scheduler="euler"))
    with pytest.raises(ModelError, match="is guided in every step"):
        finish(engine, **ask("sd3", guidance_end=0.5))
    weighted = finish(engine, **ask("sd3", prompt="a (red:1.4) cat"))
    assert any("plain words" in note for note in weighted.notes)
    plain = finish(engine, **ask("sd3", prompt="a red cat"))
    assert plain.notes == (NO_FILM,), "where others have their film strip"
    np.testing.assert_array_equal(arrays(weighted.images), arrays(plain.images))


def test_embeddings_and_unknown_loras_are_answered_here_too(engine: Engine, folder: Path) -> None:
    save_embedding(folder / "neg.safetensors")
    save_embedding(folder / "both.safetensors", is_xl=True)
    assert "embeddings" not in finish(engine, **ask("flux", prompt="both cats")).facts  # T5 reads no CLIP vectors
    assert isinstance(finish(engine, **ask("amused", prompt="neg")), Finished)
    with pytest.raises(InvalidRequest, match="no LoRA"):
        finish(engine, **ask("flux", prompt="a cat <lora:absent>"))


@pytest.mark.parametrize(
    ("part", "named"),
    [("transformer", ["my_code", "MyModel"]), ("transformer", ["diffusers", "a.b"]), ("vae", ["os", "system"])],
)
def test_folders_that_name_other_code_are_refused(folder: Path, tmp_path: Path, part: str, named: list[str]) -> None:
    shutil.copytree(folder / "sd3", tmp_path / "copy")
    index = tmp_path / "copy" / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), part: named}))
    (bad,) = scan([tmp_path]).unusable
    assert "its own code" in bad.reason


def test_a_missing_part_is_named(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "flux", tmp_path / "copy")
    next((tmp_path / "copy" / "transformer").glob("*.safetensors")).unlink()
    (bad,) = scan([tmp_path]).unusable
    assert "transformer" in bad.reason and "no weights" in bad.reason


def test_other_tabs_say_that_this_model_is_for_prompts(engine: Engine) -> None:
    from studio.engine.denoise import Blend, LoopOptions

    model = loaded(engine, "sd3")
    options = LoopOptions(blend=Blend(torch.zeros(1, 4, 8, 8), torch.ones(1, 1, 8, 8)))
    run = engine.sample(model, small(**ask("sd3")), 64, 64, should_stop=lambda: False, options=options)
    with pytest.raises(ModelError, match="only makes pictures from prompts"):
        next(run)


def test_a_wish_to_stop_early_is_answered(engine: Engine) -> None:
    made = finish(engine, **ask("amused", steps=2, auto_stop=True))
    assert any("runs to its last step" in note for note in made.notes)


def test_what_was_drawn_of_random_words_is_told(engine: Engine) -> None:
    made = finish(engine, **ask("amused", prompt="a {red|green|blue} cat", seed=3, batch=2, steps=2))
    drawn = [one["drawn"]["prompt"] for one in made.facts["pictures"]]
    assert len(drawn) == 2 and set(drawn) <= {"a red cat", "a green cat", "a blue cat"}
