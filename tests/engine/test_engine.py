"""The engine as the job runner sees it: events in order, the same picture for the same request, errors in words."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from studio.engine import memory
from studio.engine.engine import Engine
from studio.engine.images import to_pictures
from studio.engine.result import facts_of
from studio.errors import InvalidRequest, InvalidResult, ModelError, OutOfMemory, UnknownName
from studio.events import Cancelled, Decoding, Finished, Loading, Step
from studio.jobs import JobRunner
from studio.requests import Reconstruct, TextToImage
from studio.settings import Settings
from tests.engine.run import arrays, events_of, finish, loaded, small

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = ("ldm", "sd1", "sd2", "sdxl")


@pytest.mark.parametrize("model", FAMILIES)
def test_a_run_says_every_step_then_decoding_then_finished(engine: Engine, model: str) -> None:
    loaded(engine, model)
    events = events_of(engine, small(model=model, steps=4, batch=2))
    assert [type(event) for event in events] == [Step] * 4 + [Decoding, Finished]
    steps = [event for event in events if isinstance(event, Step)]
    assert [(step.index, step.total) for step in steps] == [(i, 4) for i in range(1, 5)]
    assert [step.seconds for step in steps] == sorted(step.seconds for step in steps)
    ending = events[-1]
    assert isinstance(ending, Finished)
    assert [picture.size for picture in ending.images] == [(64, 64)] * 2 and ending.seeds == (7, 8)


@pytest.mark.parametrize("model", FAMILIES)
def test_the_same_request_gives_the_same_picture_also_in_a_fresh_engine(engine: Engine, model: str) -> None:
    first, second = finish(engine, model=model), finish(engine, model=model)
    fresh = Engine(engine.settings)
    third = finish(fresh, model=model)
    np.testing.assert_array_equal(arrays(first.images), arrays(second.images))
    np.testing.assert_array_equal(arrays(first.images), arrays(third.images))
    assert not np.array_equal(arrays(first.images), arrays(finish(engine, model=model, seed=8).images))


@pytest.mark.parametrize("model", FAMILIES)
def test_picture_i_of_a_batch_is_the_picture_made_alone(engine: Engine, model: str) -> None:
    batch = finish(engine, model=model, batch=3, scheduler="euler_a")
    for picture, seed in zip(batch.images, batch.seeds, strict=True):
        alone = finish(engine, model=model, seed=seed, scheduler="euler_a")
        np.testing.assert_array_equal(arrays([picture]), arrays(alone.images))


def test_loading_is_said_once_and_only_when_something_is_loaded(engine: Engine) -> None:
    fresh = Engine(engine.settings)
    first = [event for event in events_of(fresh, small(model="sd1")) if isinstance(event, Loading)]
    again = [event for event in events_of(fresh, small(model="sd1")) if isinstance(event, Loading)]
    assert len(first) > 3 and "sd1" in first[0].what and again == []
    fractions = [event.fraction for event in first if event.fraction is not None]
    assert fractions == sorted(fractions) and fractions[0] >= 0 and fractions[-1] <= 1


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_cancelled_run_stops_before_the_next_step_and_never_decodes(
    engine: Engine, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded(engine, "sd1").model
    decodes: list[int] = []
    monkeypatch.setattr(model, "decode", lambda latents: decodes.append(len(latents)))
    seen: list[Any] = []
    for event in engine.run(small(model="sd1"), lambda: len(seen) >= after):
        seen.append(event)
    assert seen[-1] == Cancelled(at_step=after) and decodes == []
    assert len(seen) == after + 1


def test_a_repeated_prompt_costs_no_text_encoder_run(engine: Engine) -> None:
    for model_id in FAMILIES:
        model = loaded(engine, model_id).model
        finish(engine, model=model_id, prompt="a blue cat", negative_prompt="blurry")
        before = model.prompts.encoder_runs
        finish(engine, model=model_id, prompt="a blue cat", negative_prompt="blurry", seed=99, steps=2)
        assert model.prompts.encoder_runs == before
        finish(engine, model=model_id, prompt="a red cat", negative_prompt="blurry", steps=2)
        assert model.prompts.encoder_runs == before + 1


def test_finished_says_what_makes_the_run_repeatable(engine: Engine) -> None:
    facts = finish(engine, model="sdxl").facts
    assert facts["model"] == "sdxl" and len(facts["checksum"]) == 64
    assert (facts["device"], facts["dtype"]) == ("cpu", "float32")
    assert facts["versions"]["torch"].startswith(torch.__version__.split("+")[0])
    assert set(facts["versions"]) == {"torch", "diffusers", "transformers"}
    json.dumps(facts)


def test_events_reach_a_process_without_torch_and_bring_none(engine: Engine) -> None:
    """The page's process takes every event apart: one class of the engine's in there, and it would load torch."""
    events = events_of(engine, small(model="ldm"))
    assert not any(isinstance(value, torch.Tensor) for event in events for value in _values(event))
    assert isinstance(events[-1], Finished) and events[-1].extras["films"]
    there = (
        "import pickle, sys\n"
        "events = pickle.load(sys.stdin.buffer)\n"
        "assert 'torch' not in sys.modules, 'torch came along'\n"
        "print(len(events), events[-1].extras['films'][0].count)"
    )
    told = subprocess.run([sys.executable, "-c", there], input=pickle.dumps(events), capture_output=True, cwd=ROOT)
    assert told.returncode == 0, told.stderr.decode()
    assert told.stdout.split() == [b"%d" % len(events), b"%d" % small().steps]


def _values(event: Any) -> list[Any]:
    return [getattr(event, name) for name in event.__slots__]


def test_previews_come_with_the_first_and_last_step_and_between_them_at_most_at_the_set_rate(engine: Engine) -> None:
    settings = engine.settings.model_copy(update={"preview_seconds": 10.0})
    slow = Engine(settings, engine.store)
    steps = [e for e in events_of(slow, small(model="ldm", steps=6, batch=2)) if isinstance(e, Step)]
    assert [step.preview is not None for step in steps] == [True, False, False, False, False, True]
    eager = [e for e in events_of(engine, small(model="ldm", steps=6)) if isinstance(e, Step)]
    assert all(step.preview is not None for step in eager)
    first = steps[0].preview
    assert first is not None and first.size == (2 * 16, 16)  # 4 x 4 cells of 4 x 4 pixels, two pictures side by side


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"model": "ldn"}, UnknownName, '"ldm"'),
        ({"model": "ldm", "scheduler": "dpmpp_2n"}, UnknownName, '"dpmpp_2m"'),
        (
            {"model": "ldm", "scheduler": "dpmpp_2m_karras"},
            InvalidRequest,
            "does not fit this model (v_prediction, zero",
        ),
        ({"model": "ldm", "width": 72}, InvalidRequest, "Width must be a multiple of 32 between 64 and 2048"),
        ({"model": "ldm", "height": 88}, InvalidRequest, "not 88. Use 96."),
        ({"model": "sd1", "scheduler": "lcm", "steps": 60}, InvalidRequest, "at most 50 steps, not 60"),
    ],
)
def test_what_a_model_cannot_do_is_said_with_the_values(
    engine: Engine, values: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as raised:
        events_of(engine, small(**values))
    assert said in str(raised.value)


def test_a_request_the_engine_does_not_run_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match="reconstruct"):
        events_of(engine, Reconstruct(source="0" * 64))


def test_a_handler_of_another_kind_runs_through_the_same_door(engine: Engine) -> None:
    def handler(own: Engine, request: Reconstruct, should_stop: Any) -> Any:
        assert torch.is_inference_mode_enabled() and own.read_picture(request.source).size == (3, 2)
        yield Finished((), (), 0.0)

    extended = Engine(
        engine.settings,
        engine.store,
        read_picture=lambda sha: Image.new("RGB", (3, 2)),
        handlers={Reconstruct: handler},
    )
    assert events_of(extended, Reconstruct(source="0" * 64)) == [Finished((), (), 0.0)]


def test_no_model_at_all_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = Engine(Settings(data_dir=tmp_path, device="cpu", dtype="float32"))
    monkeypatch.setattr(Settings, "checkpoint_folders", (tmp_path,))
    with pytest.raises(ModelError, match="no model yet"):
        events_of(empty, small())
    empty.warm_up()


def test_a_long_prompt_is_noted(engine: Engine) -> None:
    assert finish(engine, model="ldm").notes == ()
    (note,) = finish(engine, model="ldm", prompt="a red cat " * 60).notes
    assert note == "Only the first 75 of 180 tokens of the prompt steer this model."


def test_nan_from_the_decoder_is_an_error_and_no_black_picture(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(engine, "sd1").model
    monkeypatch.setattr(model, "decode", lambda latents: torch.full((len(latents), 3, 64, 64), float("nan")))
    with pytest.raises(InvalidResult, match="NaN"):
        events_of(engine, small(model="sd1"))


@pytest.mark.parametrize(
    ("part", "call"), [("predict", 1), ("predict", 2), ("predict", 3), ("decode", 1), ("condition", 1)]
)
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
        MemoryError(),
    ],
    ids=["cuda", "cpu", "python"],
)
def test_running_out_of_memory_anywhere_names_what_fits_and_leaves_the_engine_as_good_as_new(
    engine: Engine, part: str, call: int, error: Exception
) -> None:
    fresh = engine
    expected = arrays(finish(fresh, model="sd1").images)
    model, calls = loaded(fresh, "sd1").model, []
    original = getattr(model, part)

    def failing(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == call:
            raise error
        return original(*args, **kwargs)

    setattr(model, part, failing)
    try:
        with pytest.raises(OutOfMemory, match="not enough memory for 64×64") as raised:
            events_of(fresh, small(model="sd1"))
        assert raised.value.hint.startswith("Try ")
    finally:
        delattr(model, part)
    np.testing.assert_array_equal(arrays(finish(fresh, model="sd1").images), expected)


def test_a_setting_that_cannot_fit_is_refused_before_it_runs(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(engine, "sd1").model
    free = memory.estimate_bytes(model, 512, 256, 1)
    monkeypatch.setattr(type(engine.store.device), "free_bytes", lambda self: free)
    with pytest.raises(OutOfMemory) as raised:
        events_of(engine, small(model="sd1", width=1024, height=512))
    assert raised.value.message.endswith("GB is free.") and raised.value.hint == "Try 512×256."
    assert len(finish(engine, model="sd1", width=512, height=256, steps=1).images) == 1


def test_every_picture_s_run_is_kept_under_the_recipe_that_makes_it_alone(engine: Engine) -> None:
    request = small(model="sdxl", scheduler="euler_a", batch=2, steps=5, seed=7)
    ending = events_of(engine, request)[-1]
    assert isinstance(ending, Finished)
    model = loaded(engine, "sdxl")
    for place in range(2):
        kept = engine.trajectory(small(model="sdxl", scheduler="euler_a", steps=5, seed=7 + place), model)
        assert kept is not None and len(kept) == 5
        with torch.inference_mode():
            again = to_pictures(model.model.decode(torch.from_numpy(kept.latents[-1])))
        np.testing.assert_array_equal(np.asarray(again[0]), np.asarray(ending.images[place]))


def test_a_run_that_settles_stops_by_itself_only_when_asked_to(engine: Engine) -> None:
    asked = {"model": "sd1", "steps": 30, "scheduler": "ddim", "guidance_scale": 1}
    whole = finish(engine, **asked)
    early = finish(engine, **asked, auto_stop=True)
    film, shorter = whole.extras["films"][0], early.extras["films"][0]
    assert film.count == 30 and "stopped_at" not in whole.facts
    calm = next(step for step in range(4, 31) if max(film.moving[step - 2 : step]) <= 0.02)
    assert early.facts["stopped_at"] == shorter.count == calm < 30
    assert shorter.moving == film.moving[:calm]


def test_the_job_runner_drives_the_engine(engine: Engine) -> None:
    with JobRunner(engine.run, lambda job, finished: finished) as runner:
        ending = runner.submit(small(model="ldm"), owner="me").result(timeout_seconds=60)
        refused = runner.submit(small(model="nope"), owner="me").result(timeout_seconds=60)
    assert isinstance(ending, Finished) and "nope" in refused.message  # type: ignore[union-attr]


def test_warming_up_loads_the_default_model(engine: Engine) -> None:
    fresh = Engine(engine.settings)
    fresh.warm_up()
    assert [fresh.store.peek(card) is not None for card in fresh.models()[:2]] == [True, False]


def test_facts_name_the_placement(engine: Engine) -> None:
    assert facts_of(loaded(engine, "ldm"))["preview_r2"] <= 1


def test_prompts_of_every_kind_run(engine: Engine) -> None:
    for prompt in ("🦊🦊", "ein roter Apfel", "一只红色的猫", "\u202eabc", "<|endoftext|>", "[CLS] [PAD]", "a" * 2000):
        assert len(finish(engine, model="ldm", prompt=prompt, steps=1).images) == 1
        assert len(finish(engine, model="sd1", prompt=prompt, steps=1).images) == 1


def test_the_default_request_fits_the_default_schedulers(engine: Engine) -> None:
    default = TextToImage(prompt="x").scheduler
    denoised = [card for card in engine.models() if card.id != "lcm" and card.family != "masked_tokens"]
    assert denoised and all(default in [choice.id for choice in card.schedulers] for card in denoised)
