"""studio generate: styles, variations, grids and batches, with a tiny real model."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from studio import cli
from studio.app import Headless
from studio.gallery import Gallery
from studio.requests import Request, TextToImage
from studio.settings import ROOT
from tests.engine.tiny import save_ldm

EXAMPLE = str(ROOT / "assets" / "examples" / "cat.jpg")
SMALL = ("--width", "64", "--height", "64", "--steps", "2", "--seed", "3")


@pytest.fixture(autouse=True)
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    save_ldm(tmp_path / "models" / "tiny")
    monkeypatch.setenv("STUDIO_MODEL_FOLDERS", str(tmp_path / "models"))
    monkeypatch.setenv("STUDIO_DEVICE", "cpu")
    monkeypatch.setenv("STUDIO_DTYPE", "float32")
    return tmp_path / "data"


def run(data: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.main(["generate", *arguments, "--model", "tiny", "--data-dir", str(data)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def kept(data: Path) -> list[tuple[str, int | None, int]]:
    with Gallery(data / "gallery", read_only=True) as gallery:
        entries = gallery.page(limit=50).entries
        return [(e.prompt, e.seed, getattr(e.request, "steps", 0)) for e in reversed(entries)]


def test_a_grid_writes_its_parts_and_its_picture(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "grid.png"
    status, out, _ = run(
        tiny, capsys, "a red cat", *SMALL, "--x", "search_replace=red,blue", "--y", "steps=1-2", "--out", str(sheet)
    )
    assert status == 0
    assert "4 of 4" in out
    assert kept(tiny)[:4] == [("a red cat", 3, 1), ("a blue cat", 3, 1), ("a red cat", 3, 2), ("a blue cat", 3, 2)]
    assert len(kept(tiny)) == 5
    with Image.open(sheet) as picture:
        assert picture.width > 2 * 64
        assert "tessera" in picture.info


def test_a_batch_file_makes_one_picture_for_each_line(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text('a cat\n--prompt "a dog" --steps 1 --seed 9\n', encoding="utf-8")
    status, _, _ = run(tiny, capsys, "--batch", str(prompts), *SMALL)
    assert status == 0
    made = kept(tiny)
    assert [(prompt, steps) for prompt, _, steps in made] == [("a cat", 2), ("a dog", 1)]
    assert made[1][1] == 9


def test_an_interrupted_batch_goes_on(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a cat\na dog\na fox\n", encoding="utf-8")
    real = Headless.events

    def interrupted(self: Headless, request: Request, *, out: Path | None = None) -> object:
        assert isinstance(request, TextToImage)
        if request.prompt == "a dog":
            raise KeyboardInterrupt
        return real(self, request, out=out)

    with monkeypatch.context() as patch:
        patch.setattr(Headless, "events", interrupted)
        status, out, _ = run(tiny, capsys, "--batch", str(prompts), *SMALL)
    assert status == 130
    assert "1 of 3 are made" in out
    assert run(tiny, capsys, "--resume", *SMALL)[0] == 0
    assert [prompt for prompt, _, _ in kept(tiny)] == ["a cat", "a dog", "a fox"]
    status, _, error = run(tiny, capsys, "--resume")
    assert (status, "was stopped" in error) == (2, True)


def test_styles_and_variations_are_flags(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("a {cat|cat}", *SMALL, "--style", "mosaic", "--variation-strength", "0.3", "--variation-seed", "8",
                 "--auto-stop")  # fmt: skip
    status, out, _ = run(tiny, capsys, *arguments)
    assert status == 0
    assert "a cat" in out
    with Gallery(tiny / "gallery", read_only=True) as gallery:
        entry = gallery.page(limit=1).entries[0]
        assert isinstance(entry.request, TextToImage)
        assert entry.request.styles[0].name == "Mosaic" and entry.request.auto_stop
        assert (entry.recipe.facts["drawn"]["prompt"], entry.recipe.facts["variation_seed"]) == ("a cat", 8)
        again = entry.recipe.single
        with Image.open(entry.path) as picture:
            assert "Variation seed: 8, Variation seed strength: 0.3" in picture.info["parameters"]
            assert picture.info["parameters"].startswith(again.styles[0].prompt.replace("{prompt}", "a cat"))  # type: ignore[attr-defined]
    assert again.model_dump()["prompt"] == "a cat"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a", "--batch", "missing.txt"), '"missing.txt" is neither a number of pictures nor a file.'),
        (("a", "--x", "steps"), "--x steps names no values."),
        (("a", "--x", "stpes=1"), 'no setting "stpes"'),
        (("a", "--x", "steps=1,2", "--y", "steps=3"), "axes that differ"),
        (("", "--x", "steps=1,2"), "Prompt is empty."),
        (("a", "--style", "mosiac"), 'no style "mosiac"'),
        (("a", "--variation-strength", "2"), "Variation must be a number between 0 and 1, not 2."),
        (("a", "--resume", "0000"), "no such series"),
        (("a", "--control", "missing.png"), '"missing.png" cannot be read'),
        (("a", "--control-preprocessor", "hed"), "Prepare cannot be 'hed'"),
        (("a", *("--control", EXAMPLE) * 2, *("--control-end", "2") * 2), "Control until must be a number between 0"),
    ],
)
def test_bad_wishes_are_named(
    arguments: tuple[str, ...], message: str, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, error = run(tiny, capsys, *arguments)
    assert (status, message in error) == (2, True), error


def test_a_control_picture_reaches_the_engine(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, error = run(tiny, capsys, "a", "--control", EXAMPLE, *SMALL)
    assert (status, "tiny takes no control picture" in error) == (1, True)


def test_a_picture_that_cannot_be_made_does_not_hold_up_the_rest(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = tmp_path / "prompts.csv"
    prompts.write_text("prompt,scheduler\na cat,\na dog,nonsense\na fox,\n", encoding="utf-8")
    status, out, _ = run(tiny, capsys, "--batch", str(prompts), *SMALL)
    assert status == 1
    assert 'not made: a dog: There is no scheduler "nonsense".' in out
    assert [prompt for prompt, _, _ in kept(tiny)] == ["a cat", "a fox"]
