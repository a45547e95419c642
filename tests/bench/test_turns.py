"""Timing in turns: the slow are timed fewer times, and nobody who could not run is left out in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.bench.style import time_methods
from studio.bench.turns import Arm, in_turns
from studio.engine.engine import Engine
from studio.errors import StudioError
from studio.inpaint.context import Context
from studio.stylize.methods import find_method
from tests.engine.run import settings_for
from tests.engine.tiny import save_sd


def test_arms_take_turns_until_their_own_time_is_spent() -> None:
    done: list[str] = []
    said: list[str] = []

    def arm(name: str) -> Arm:
        return Arm(lambda: done.append(name), warm=lambda: done.append(f"warm {name}"))

    def broken() -> None:
        raise StudioError("There is no adapter.", "Put one there.")

    arms = {"a": arm("a"), "b": arm("b"), "c": Arm(broken, warm=broken)}
    found = in_turns(arms, rounds=2, where="256 px", say=said.append)
    assert done == ["warm a", "a", "warm b", "b", "a", "b"]
    assert found.figures["a"]["rounds"] == 2 and set(found.figures) == {"a", "b"}
    assert found.reasons == {"c": "There is no adapter. Put one there."}
    assert [line.split(":")[0] for line in said] == ["256 px a", "256 px b", "256 px c"]
    done.clear()
    assert in_turns({"a": arm("a")}, rounds=5, where="", budget_seconds=1e-9).figures["a"]["rounds"] == 1
    assert done == ["warm a", "a"]


@pytest.mark.thorough
def test_style_and_repair_methods_are_timed_at_both_sizes_and_at_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.settings.ROOT", tmp_path / "nothing shipped")
    save_sd(tmp_path / "models" / "tiny-sd")
    context = Context.of(Engine(settings_for(tmp_path, tmp_path / "models")), lambda model: None)  # type: ignore[arg-type, return-value]
    names = ("colour", "strokes", "diffusion", "reference")
    result = time_methods(context, 1, methods=[find_method(name) for name in names], sides=(64, 96))
    for side in ("64", "96"):
        assert list(result[side])[:2] == ["telea", "navier_stokes"]
        assert {"colour", "strokes", "diffusion"} <= set(result[side]), result
    assert set(result["512"]) == {"strokes"}
    assert result["without reference"]
