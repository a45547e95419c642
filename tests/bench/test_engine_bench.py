"""The engine's benchmarks run on a tiny model and give every figure they promise."""

from __future__ import annotations

import inspect
import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from studio.bench import GROUPS, as_text, run_group
from studio.bench import engine as bench
from studio.bench.ratio import latency, ratio, time_interleaved
from studio.engine.engine import Engine
from studio.errors import ModelError, UnknownName
from studio.settings import Settings
from tests.engine import tiny
from tests.engine.run import arrays, events_of, loaded


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("bench")
    tiny.ship_preview(tiny.save_ldm(folder / "models" / "ldm"))
    return Settings(data_dir=folder / "data", model_folders=(folder / "models",), device="cpu", dtype="float32")


@pytest.fixture(autouse=True)
def only_tiny_models(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "checkpoint_folders", property(lambda self: self.model_folders))


@pytest.mark.thorough
def test_every_promised_figure_is_there(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_start_once", lambda: 1.0)  # starting the whole studio has its own test
    monkeypatch.setattr(bench, "_import_once", lambda before: None)
    result = run_group("engine", settings, rounds=2)
    rows = {name for name, value in result.items() if isinstance(value, dict)}
    assert rows >= {
        "streaming engine / stock",
        "guidance all along / in 60 % of the steps",
        "stock / stock (noise)",
        "prompt cache emptied / kept",
        "prompt cache kept / kept (noise)",
        "own process / in process",
        "desk call",
        "click to first preview",
        "stop to acknowledged",
        "stop to idle",
        "one job behind eight",
        "eight users one by one / joined",
        "last user's first preview one by one / joined",
        "start to page ready",
        "engine's libraries, collector at rest / awake",
    }
    json.dumps(result)
    text = as_text("engine", result)
    assert all(name in text for name in rows) and "interval [" in text


def test_the_stock_arm_makes_the_engines_picture(settings: Settings) -> None:
    engine = Engine(settings)
    model = loaded(engine, "ldm")
    request = bench._request(model)
    stock = bench.stock_arm(model, request)().images  # type: ignore[attr-defined]
    np.testing.assert_array_equal(arrays(stock), arrays(events_of(engine, request)[-1].images))  # type: ignore[union-attr]


def test_the_prompt_cache_is_emptied_in_its_own_arm_alone(settings: Settings) -> None:
    engine = Engine(settings)
    model = loaded(engine, "ldm")
    request = bench._request(model).with_changes(steps=1)
    cache = model.model.prompts
    list(engine.run(request, lambda: False))
    before = cache.encoder_runs
    result = bench._prompt_cache(engine, model, request, 3)  # type: ignore[arg-type]
    phrases = len({request.prompt, request.negative_prompt})
    assert cache.encoder_runs - before == phrases * (3 + 1)  # a round is thrown away
    assert result["prompt cache emptied / kept"]["ratio"] > 0 and "prompt cache kept / kept (noise)" in result


def test_without_a_model_there_is_nothing_to_measure(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model to measure"):
        run_group("engine", Settings(data_dir=tmp_path, device="cpu", dtype="float32"), rounds=1)


def test_an_unknown_group_suggests_a_known_one(settings: Settings) -> None:
    with pytest.raises(UnknownName, match='Did you mean "engine"'):
        run_group("engin", settings)
    assert "engine" in GROUPS


def test_every_group_names_a_module_that_runs() -> None:
    assert {"engine", "codes", "gallery", "style"} <= set(GROUPS)
    for group in GROUPS.values():
        taken = list(inspect.signature(import_module(group.module).run).parameters)
        told = ["say"] if group.needs == "context" else []  # these take minutes, and say how far they are
        assert taken == ([group.needs] if group.needs else []) + ["rounds"] + told


def test_a_table_shows_plain_values_first_and_nested_rows_by_their_path() -> None:
    text = as_text("style", {"256": {"tokens": {"median_seconds": 0.5, "met": True}}, "model": "m", "wide": 123.4})
    assert text == "style\n  model: m\n  wide: 123\n  256 tokens  median seconds 0.500  met yes"


def test_equal_arms_have_a_ratio_of_one_and_a_double_one_of_two() -> None:
    dice = np.random.default_rng(0)
    base = dice.uniform(1, 4, 200)
    found = ratio((base * dice.normal(2, 0.05, 200)).tolist(), base.tolist())
    assert found.low <= found.median <= found.high and abs(found.median - 2) < 0.05
    same = ratio(base.tolist(), base.tolist())
    assert (same.low, same.median, same.high) == (1, 1, 1)


def test_a_latency_has_an_interval_that_is_wider_where_calls_hang_together() -> None:
    dice = np.random.default_rng(0)
    strokes = (dice.uniform(0.01, 0.02, (20, 1)) * dice.uniform(0.99, 1.01, (20, 12))).ravel().tolist()
    alone, together = latency(strokes), latency(strokes, together=12)
    assert alone["rounds"] == 240 and alone["p50_ms"] == together["p50_ms"] < alone["p95_ms"]
    for found in (alone, together):
        assert found["interval_ms"][0] <= found["p50_ms"] <= found["interval_ms"][1]
    widths = [found["interval_ms"][1] - found["interval_ms"][0] for found in (alone, together)]
    assert widths[1] > 2 * widths[0]
    assert latency([0.5]) == {"p50_ms": 500, "interval_ms": [500, 500], "p95_ms": 500, "rounds": 1}


def test_arms_are_interleaved_and_the_first_round_is_not_counted() -> None:
    calls: list[str] = []
    seconds = time_interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=20)
    assert len(seconds["a"]) == len(seconds["b"]) == 20 and len(calls) == 42
    pairs = {tuple(calls[i : i + 2]) for i in range(0, 42, 2)}
    assert pairs == {("a", "b"), ("b", "a")}
