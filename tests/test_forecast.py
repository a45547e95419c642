"""Forecasts come from the machine's own runs, and from nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from studio.events import Finished
from studio.forecast import KEPT, PastRuns, work_of
from studio.requests import Inpaint, TextToImage

GB = 10**9


def wish(**values: Any) -> TextToImage:
    return TextToImage(**{"prompt": "a cat", "model": "m", "steps": 20, "guidance_scale": 4, "seed": 1, **values})


def ended(seconds: float, *, need: int = GB, rows: int = 1, device: str = "cpu", free: int = 8 * GB) -> Finished:
    memory = {"rows": rows, "activation_bytes": need, "free_bytes": free}
    image = Image.new("RGB", (8, 8))
    return Finished((image,), (1,), seconds, {"model": "m", "device": device}, extras={"memory": memory})


def runs(tmp_path: Path, *, free: int = 8 * GB) -> PastRuns:
    return PastRuns(tmp_path / "runs.jsonl", free_ram=lambda: free)


def test_nothing_is_guessed_for_a_model_that_never_ran(tmp_path: Path) -> None:
    forecast = runs(tmp_path).forecast(wish(), waiting=2)
    assert (forecast.seconds, forecast.need_bytes, forecast.place) == (None, None, 3)
    assert forecast.fits


def test_time_grows_with_the_work_on_top_of_what_a_run_costs_anyway(tmp_path: Path) -> None:
    past = runs(tmp_path)
    for steps in (10, 20, 40):
        past.note(wish(steps=steps), ended(3 + steps * 0.5))
    assert past.forecast(wish(steps=30)).seconds == pytest.approx(18)
    assert past.forecast(wish(steps=30, batch=2)).seconds == pytest.approx(33)
    assert past.forecast(wish(steps=30, guidance_scale=1)).seconds == pytest.approx(10.5)


def test_another_size_is_scaled_by_its_pixels_from_the_nearest(tmp_path: Path) -> None:
    past = runs(tmp_path)
    past.note(wish(width=256, height=256), ended(4))
    past.note(wish(width=1024, height=1024), ended(200))
    assert past.forecast(wish(width=512, height=256)).seconds == pytest.approx(8)
    assert past.forecast(wish(width=1024, height=768)).seconds == pytest.approx(150)


def test_runs_of_another_device_or_model_do_not_count(tmp_path: Path) -> None:
    past = runs(tmp_path)
    past.note(wish(), ended(100))
    past.note(wish(), ended(2, device="cuda", free=5 * GB))
    forecast = past.forecast(wish())
    assert forecast.seconds == pytest.approx(2)
    assert forecast.free_bytes == 5 * GB
    assert past.forecast(wish(model="other")).seconds is None


def test_the_file_is_read_by_the_next_studio_and_damage_is_left_out(tmp_path: Path) -> None:
    runs(tmp_path).note(wish(), ended(4))
    with (tmp_path / "runs.jsonl").open("a") as file:
        file.write('{"model": "m"}\nnonsense\n{"model": "m", "work": 0}\n')
    assert runs(tmp_path).forecast(wish()).seconds == pytest.approx(4)


def test_the_file_does_not_grow_without_end(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    past = runs(tmp_path)
    past.note(wish(), ended(4))
    path.write_text(path.read_text() * (2 * KEPT + 5))
    past = runs(tmp_path)
    for _ in range(KEPT + 2):
        past.note(wish(), ended(4))
    assert len(path.read_text().splitlines()) <= 2 * KEPT + 1


def test_other_kinds_and_runs_that_ended_early_are_left_out(tmp_path: Path) -> None:
    past = runs(tmp_path)
    early = ended(1)
    early.facts["stopped_at"] = 3
    past.note(wish(), early)
    past.note(Inpaint(source="0" * 64, model="m"), ended(1))
    assert past.forecast(wish()).seconds is None


def test_a_shortage_offers_the_nearest_size_that_fits(tmp_path: Path) -> None:
    past = runs(tmp_path, free=5 * GB)
    past.note(wish(width=512, height=512), ended(4, need=2 * GB))
    assert past.forecast(wish(width=768, height=768)).fits
    forecast = past.forecast(wish(width=1024, height=1024, batch=4))  # a CPU makes them one after another
    assert not forecast.fits
    assert forecast.need_bytes == 8 * GB
    assert forecast.smaller == {"width": 768, "height": 768}
    assert past.forecast(wish(width=1024, height=1024).model_copy(update=forecast.smaller)).fits


def test_on_a_gpu_fewer_pictures_at_once_come_first(tmp_path: Path) -> None:
    past = runs(tmp_path)
    past.note(wish(width=512, height=512), ended(4, need=GB, device="cuda", free=3 * GB))
    assert past.forecast(wish(width=512, height=512, batch=4)).smaller == {"batch": 3}


def test_nothing_smaller_is_offered_when_nothing_fits(tmp_path: Path) -> None:
    past = runs(tmp_path, free=1000)
    past.note(wish(width=512, height=512), ended(4))
    forecast = past.forecast(wish(width=512, height=512))
    assert not forecast.fits
    assert forecast.smaller is None


def test_composed_prompts_are_more_work() -> None:
    assert work_of(wish(prompt="a AND b AND c")) == 80
    assert work_of(wish(guidance_scale=1)) == 20
    assert work_of(wish(prompt="(a:99)")) == 40
