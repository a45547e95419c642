"""A compiled U-Net, as an option: same pictures within tolerance, told of once, and some runs go without."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from studio.engine import compiled as module
from studio.engine import store
from studio.engine.compiled import Compiled
from studio.engine.denoise import Conditioning
from studio.engine.engine import Engine
from studio.engine.prompts import Embedding
from studio.events import Cancelled, Event, Finished, Loading, Step
from studio.settings import Settings
from tests.engine import adapter_files
from tests.engine.run import arrays, events_of, finish, loaded, settings_for, small

LEVELS = 1  # of 255: what another order of summation may change


@pytest.fixture
def calls() -> list[str]:
    """What the compiler's code was called for; the stand-in backend counts, and computes as it is."""
    return []


@pytest.fixture
def compiling(
    tmp_path: Path, model_folder: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """An engine that compiles with a backend that needs no C++ compiler: dynamo traces, what it found runs as it is."""

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        calls.append("compiled")

        def run(*values: Any) -> Any:
            calls.append("ran")
            return graph(*values)

        return run

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "code"))
    monkeypatch.setattr(store, "Compiled", lambda unet: Compiled(unet, backend=backend))
    torch.compiler.reset()
    yield Engine(settings_for(tmp_path, model_folder, compile_models=True))
    torch.compiler.reset()


def waits(said: list[Event]) -> list[str]:
    return [one.what for one in said if isinstance(one, Loading) and "compiling" in one.what]


@pytest.mark.parametrize("model", ["sd1", pytest.param("sdxl", marks=pytest.mark.thorough)])
def test_a_compiled_model_makes_the_same_picture(
    compiling: Engine, engine: Engine, calls: list[str], model: str
) -> None:
    plain = finish(engine, model=model, guidance_scale=5)
    found = finish(compiling, model=model, guidance_scale=5)
    assert "ran" in calls
    difference = np.abs(arrays(plain.images).astype(int) - arrays(found.images))
    assert difference.max() <= LEVELS
    assert found.facts["compiled"] is True and "compiled" not in plain.facts


def test_the_wait_is_told_of_before_the_steps_once_for_each_size(compiling: Engine, calls: list[str]) -> None:
    loaded(compiling, "sd1")
    said = events_of(compiling, small(model="sd1"))
    assert waits(said) == ["sd1: compiling for 64×64, once"]
    assert next(type(one) for one in said if isinstance(one, (Loading, Step))) is Loading
    before = calls.count("compiled")
    assert waits(events_of(compiling, small(model="sd1", prompt="a pear", seed=8))) == []
    assert calls.count("compiled") == before
    assert waits(events_of(compiling, small(model="sd1", width=128))) == ["sd1: compiling for 128×64, once"]
    assert calls.count("compiled") > before


@pytest.mark.thorough
def test_the_wait_is_not_in_the_runs_time(compiling: Engine, monkeypatch: pytest.MonkeyPatch, calls: list[str]) -> None:
    now = [0.0]
    monkeypatch.setattr("studio.engine.sample.time.perf_counter", lambda: now[0])
    model = loaded(compiling, "sd1").model
    fast = model.compiled._fast

    def slow_at_first(*args: Any, **kwargs: Any) -> Any:
        now[0] += 0.5 if calls else 60.0
        calls.append("asked")
        return fast(*args, **kwargs)

    model.compiled._fast = slow_at_first
    ending = events_of(compiling, small(model="sd1", steps=3))[-1]
    assert isinstance(ending, Finished)
    assert ending.seconds == 1.5


def test_stop_during_the_wait_ends_before_the_first_step(compiling: Engine) -> None:
    loaded(compiling, "sd1")
    said: list[Event] = []
    for event in compiling.run(small(model="sd1"), lambda: bool(waits(said))):
        said.append(event)
    assert isinstance(said[-1], Cancelled) and not any(isinstance(one, Step) for one in said)


def test_a_lora_runs_on_the_plain_model(compiling: Engine, calls: list[str], model_folder: Path) -> None:
    loras = compiling.settings.data_dir / "models"
    loras.mkdir()
    adapter_files.save_lora(model_folder / "sd1", loras, "brush")
    found = finish(compiling, model="sd1", prompt="a red apple <lora:brush>")
    assert "ran" not in calls and "compiled" not in found.facts and found.facts["loras"]


def test_a_picture_as_a_prompt_runs_on_the_plain_model(compiling: Engine, calls: list[str]) -> None:
    one = loaded(compiling, "sd1")

    class Seeing:
        """The model with what an IP-Adapter saw, which the U-Net here leaves out."""

        def __getattr__(self, name: str) -> Any:
            return getattr(one.model, name)

        def condition(self, *prompts: Any, **size: Any) -> Conditioning:
            plain = one.model.condition(*prompts, **size)
            return replace(plain, positive=replace(plain.positive, picture=torch.zeros(1, 1, 4)))

        def predict(self, latents: torch.Tensor, timestep: torch.Tensor, embedding: Embedding) -> torch.Tensor:
            return one.model.predict(latents, timestep, replace(embedding, picture=None))

    request = small(model="sd1", guidance_scale=1)
    with torch.inference_mode():
        run = compiling.sample(replace(one, model=Seeing()), request, 64, 64, should_stop=lambda: False)
        assert not waits(list(run))
    assert "ran" not in calls and not one.model.compiled.is_on


def test_what_cannot_be_compiled_runs_as_without(
    compiling: Engine, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any) -> Any:
        raise RuntimeError("no compiler found")

    torch.compiler.reset()
    model = loaded(compiling, "sd1").model
    model.compiled = Compiled(model.unet, backend=broken)
    found = finish(compiling, model="sd1")
    np.testing.assert_array_equal(arrays(found.images), arrays(finish(engine, model="sd1").images))
    assert "compiled" not in found.facts and "no compiler found" in model.compiled.problem
    assert "models run as without" in caplog.text
    assert any("Compiling does not work here" in note for note in found.notes)


def test_memory_that_runs_out_is_not_the_compilers_fault() -> None:
    def full(*args: Any, **kwargs: Any) -> Any:
        raise MemoryError

    one = Compiled(torch.nn.Identity())
    one.is_on, one._fast = True, full
    with pytest.raises(MemoryError):
        one(torch.zeros(1))
    assert not one.problem


@pytest.mark.parametrize("more", [{}, {"compile_models": True, "joined_jobs": 4}])
def test_nothing_is_compiled_unasked_nor_where_users_are_joined(
    tmp_path: Path, model_folder: Path, more: dict[str, Any]
) -> None:
    engine = Engine(settings_for(tmp_path, model_folder, **more))
    assert loaded(engine, "sd1").model.compiled is None
    assert not Settings().compile_models


def test_the_code_is_kept_with_the_studios_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    module.keep_code_in(tmp_path / "code")
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "code")
    module.keep_code_in(tmp_path / "other")
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "code")
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
