"""The log of a run and the picture made of it."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from studio.errors import StudioError
from studio.training.curves import draw_curves, series, smoothed
from studio.training.runlog import Means, RunLog, read_log


def test_curves_are_drawn_for_every_figure(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps({"step": i, "samples": i * 4, "loss": 1 / (i + 1), "psnr": None if i else 2})
                           + "\n" for i in range(5)))  # fmt: skip
    assert draw_curves(log, tmp_path / "curves.svg") == ["loss"]
    drawn = ElementTree.fromstring((tmp_path / "curves.svg").read_text())
    lines = [e.attrib["points"] for e in drawn.iter("{http://www.w3.org/2000/svg}polyline")]
    assert [len(points.split()) for points in lines] == [5, 5]


def test_a_log_with_one_line_is_too_short_for_a_curve(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1, "samples": 4, "loss": 1.0}\n')
    with pytest.raises(StudioError, match="1 lines"):
        draw_curves(tmp_path / "log.jsonl", tmp_path / "curves.svg")


def test_smoothing_starts_at_the_first_value_and_follows() -> None:
    assert smoothed([2.0, 2.0, 2.0], keep=0.9) == pytest.approx([2, 2, 2])
    assert smoothed([0.0, 1.0], keep=0.5) == pytest.approx([0, 2 / 3])


def test_a_resumed_log_forgets_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.jsonl", from_step=0)
    for step in (4, 8, 12):
        log.write({"step": step, "samples": step, "loss": float("nan") if step == 8 else 0.123456789})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 16, "los')  # cut off
    RunLog(tmp_path / "log.jsonl", from_step=8)
    lines = read_log(tmp_path / "log.jsonl")
    assert [line["step"] for line in lines] == [4, 8]
    assert lines[0]["loss"] == 0.12346
    assert series(lines, "loss") == [(4.0, 0.12346)]


def test_means_average_over_the_steps_that_have_a_figure() -> None:
    means = Means()
    means.add({"loss": 1.0, "gan": 4.0})
    means.add({"loss": 3.0})
    assert means.take() == {"loss": 2.0, "gan": 4.0}
    assert means.take() == {}
