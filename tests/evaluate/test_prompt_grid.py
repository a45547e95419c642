"""Sixty-four prompts on one sheet."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageColor

from studio.cli import DONE, main
from studio.evaluate.prompt_grid import PROMPTS, prompt_grid
from tests.engine.tiny import save_ldm, ship_preview


def test_every_prompt_is_made_once_with_its_own_seed_and_stands_in_reading_order() -> None:
    asked: list[tuple[str, int]] = []

    def make(prompt: str, seed: int) -> Image.Image:
        asked.append((prompt, seed))
        return Image.new("RGB", (256, 256), f"hsl({seed * 5}, 100%, 50%)")

    sheet = prompt_grid(make, side=64)
    assert asked == [(prompt, seed) for seed, prompt in enumerate(PROMPTS)]
    assert len(set(PROMPTS)) == 64
    step, rows = sheet.width // 8, sheet.height // 8
    for seed in (0, 7, 8, 63):
        there = sheet.getpixel((seed % 8 * step + 38, seed // 8 * rows + 38))
        assert there == ImageColor.getrgb(f"hsl({seed * 5}, 100%, 50%)")
    below = sheet.crop((6, 6 + 64, 70, 6 + 64 + 26)).convert("L")
    assert below.getextrema()[0] < 128, "its words stand below"


def test_the_command_draws_with_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUDIO_MODEL_FOLDERS", str(tmp_path / "models"))
    monkeypatch.setenv("STUDIO_DEVICE", "cpu")
    monkeypatch.setattr("studio.evaluate.prompt_grid.PROMPTS", PROMPTS[:3])
    ship_preview(save_ldm(tmp_path / "models" / "tiny"))
    asked = ["eval", "grid", "tiny", "--quality", "draft", "--side", "32", "--out"]
    assert main([*asked, str(tmp_path / "grid.png")]) == DONE
    with Image.open(tmp_path / "grid.png") as sheet:
        assert sheet.convert("L").resize((1, 1)).getextrema() != (255, 255)
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "grid.png")
    assert main([*asked, str(tmp_path / "grid.wrong")]) != DONE
    assert "Give --out a .png" in capsys.readouterr().err
