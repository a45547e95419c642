"""Every pipeline class that the studio names runs through the engine, and gives what its own call gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from studio.engine.engine import Engine
from studio.engine.noise import generators_of
from studio.engine.stock_kinds import STOCK_KINDS
from studio.events import Finished, Step
from tests.engine.run import arrays, events_of, loaded, settings_for, small
from tests.engine.test_stock_pipelines import CLASSES
from tests.engine.tiny_kinds import KINDS, save_kind


def test_none_is_left_out() -> None:
    assert {*KINDS, *CLASSES.values()} == set(STOCK_KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_the_pipelines_own_pixels_at_the_size_asked_for(name: str, tmp_path: Path) -> None:
    save_kind(name, tmp_path / "models" / "tiny")
    settings = settings_for(tmp_path, tmp_path / "models")
    engine, kind = Engine(settings), STOCK_KINDS[name]
    request = small(model="tiny", scheduler="own", steps=2, guidance_scale=3.0, width=64, height=96)
    events = events_of(engine, request)
    ending = events[-1]
    assert isinstance(ending, Finished)
    assert [event.index for event in events if isinstance(event, Step)] == [1, 2]
    assert ending.images[0].size == (64, 96) and ending.facts["model"] == "tiny"
    negative = {"negative_prompt": kind.blank} if kind.blank else {}
    theirs = loaded(engine, "tiny").model.pipeline(
        prompt=request.prompt,
        width=64,
        height=96,
        num_inference_steps=2,
        generator=generators_of([request.seed])[0],
        **{kind.guidance_name: 3.0},
        **negative,
        **kind.always,
    )
    np.testing.assert_array_equal(arrays(ending.images), arrays(theirs.images))
    assert np.ptp(arrays(ending.images)) > 0
