"""studio inpaint, outpaint and stylize from the shell's side."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.cli import main
from studio.stylize.presets import StylePreset, as_json
from tests.stylize.waves import waves


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with two pictures and a mask."""
    for name, seed in (("a", 1), ("b", 2)):
        (tmp_path / "in").mkdir(exist_ok=True)
        waves(60, 44, seed=seed).save(tmp_path / "in" / f"{name}.png")
    mask = Image.new("L", (60, 44))
    mask.paste(255, (20, 15, 30, 22))
    mask.save(tmp_path / "mask.png")
    return tmp_path


def test_a_repair_is_written_with_everything_else_untouched(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = here / "out.png"
    status = main(
        [
            "inpaint",
            str(here / "in" / "a.png"),
            "--mask",
            str(here / "mask.png"),
            "--method",
            "telea",
            "--out",
            str(out),
        ]
    )
    assert status == 0
    before, after = np.asarray(Image.open(here / "in" / "a.png")), np.asarray(Image.open(out))
    changed = (before != after).any(axis=-1)
    assert changed.any() and not changed[:, 45:].any() and not changed[:2].any()
    assert "pixels outside the mask changed" in capsys.readouterr().out


def test_a_folder_is_worked_through_with_progress(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(
        [
            "stylize",
            str(here / "in"),
            "--style",
            str(here / "in" / "b.png"),
            "--method",
            "colour",
            "--out",
            str(here / "o"),
        ]
    )
    assert status == 0
    assert sorted(path.name for path in (here / "o").iterdir()) == ["a.png", "b.png"]
    assert "[2/2] b.png" in capsys.readouterr().out


def test_json_gives_one_object_a_line_and_the_files_last(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, style, out = str(here / "in" / "a.png"), str(here / "in" / "b.png"), str(here / "o.png")
    assert main(["stylize", source, "--style", style, "--method", "colour", "--out", out, "--seed", "4", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1]["event"] == "finished" and lines[-1]["files"] == [out] and lines[-1]["seeds"] == [4]


def test_an_artists_own_presets_are_found_by_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    styles = here / "studio" / "styles"
    styles.mkdir(parents=True)
    (styles / "mine.json").write_text(as_json([StylePreset(name="Mine", prompt="{prompt}, mine")]))
    source = str(here / "in" / "a.png")
    status = main(["stylize", source, "--style", "Mine", "--method", "colour", "--data-dir", str(here / "studio")])
    assert status == 2  # the preset is words, and colour asks for a picture
    assert "takes its style from a picture" in capsys.readouterr().err


_FILL = ["inpaint", "in/a.png", "--mask", "mask.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["inpaint", "in/a.png", "--mask", "black.png", "--method", "telea"], "The mask is empty: paint the part"),
        (["inpaint", "in/a.png", "--mask", "mask.png", "--grow", "99"], "Grow mask must be a whole number between"),
        (["inpaint", "in/a.png", "--mask", "mask.png", "--method", "tela"], 'Did you mean "telea"'),
        (["inpaint", "in", "--mask", "in2"], 'There is no "in2"'),
        (["outpaint", "in/a.png"], "No side is extended"),
        ([*_FILL, "--control", "no.png"], '"no.png" cannot be read'),
        ([*_FILL, *["--control", "mask.png"] * 4], "There are 4 control pictures, and a run takes 3."),
        ([*_FILL, "--control", "mask.png", *["--control-scale", "1"] * 2], "is given 2 times (1, 1), for 1 control"),
        ([*_FILL, "--control", "mask.png", "--control-scale", "9"], "Control strength must be a number between 0"),
        ([*_FILL, "--control", "mask.png", "--method", "telea"], '"telea" takes no control picture'),
        (["stylize", "in/a.png", "--style", "in/b.png", "--control", "mask.png"], '" takes no control picture'),
        (["outpaint", "in/a.png", "--left", "-4"], "Extend"),
        (["stylize", "in/a.png", "--style", "Oil paintin", "--method", "colour"], 'Did you mean "Oil painting"'),
        (["stylize", "nothing.png", "--style", "in/b.png", "--method", "colour"], 'There is no "nothing.png"'),
        (["stylize", "in/a.png", "--style", "in/b.png", "--method", "color"], 'Did you mean "colour"'),
    ],
)
def test_bad_input_ends_with_status_2_and_what_to_do(
    arguments: list[str], message: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(here)
    Image.new("L", (60, 44)).save("black.png")
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
