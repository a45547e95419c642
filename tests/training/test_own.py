"""Runs on own pictures: what is refused, what is begun, and how a run looks from outside its process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import VQModel
from PIL import Image

from studio.errors import InvalidRequest
from studio.training.config import AutoencoderConfig
from studio.training.own import check_codes, prepare, reporting
from studio.training.plans import EFFORTS, KINDS, STEPS, Order, begin, recipe
from studio.training.recipes import make_config
from studio.training.runs import ACTIVE, Runs

CHILD = """
import json, pathlib, sys, time
run = pathlib.Path(sys.argv[1])
steps = json.loads((run / "order.json").read_text())["effort"] == "probe" and 8 or 150
(run / "grids").mkdir(exist_ok=True)
for step in range(1, steps + 1):
    (run / "alive").touch()
    with (run / "log.jsonl").open("a") as log:
        line = {"step": step, "seconds": 2.0 * step, "seconds_left": 2 * (steps - step), "psnr": 20}
        log.write(json.dumps(line) + "\\n")
    if (run / "STOP").exists():
        break
    time.sleep(float(sys.argv[2]))
(run / "export").mkdir(exist_ok=True)
(run / "export" / "config.json").write_text("{}")
(run / "alive").unlink()
"""


def waits_for(condition: Callable[[], bool]) -> None:
    """Poll for half a minute."""
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come about in 30 s")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A VQGAN of random weights, in a model folder."""
    folder = tmp_path / "tiny"
    vqgan = VQModel(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        latent_channels=4,
        num_vq_embeddings=16,
        mid_block_add_attention=False,
    )
    vqgan.quantize.embedding.weight.data = torch.nn.functional.normalize(vqgan.quantize.embedding.weight.data)
    vqgan.save_pretrained(folder / "vqvae")
    return folder


def pictures(count: int = 5) -> list[Image.Image]:
    return [Image.effect_mandelbrot((160, 128), (-2 - i / 9, -1, 1, 1), 20).convert("RGB") for i in range(count)]


def runs(tmp_path: Path, pause: float = 0.0) -> Runs:
    child = tmp_path / "child.py"
    child.write_text(CHILD)
    return Runs(
        tmp_path / "runs", tmp_path / "models", command=lambda run: [sys.executable, str(child), str(run), str(pause)]
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("effort", ["probe", *EFFORTS])
def test_every_plan_is_a_valid_configuration_of_its_length(kind: str, effort: str, tmp_path: Path) -> None:
    order = Order(kind, effort, str(tmp_path), str(tmp_path))  # type: ignore[arg-type]
    config = make_config("vqvae" if kind == "codebook" else "diffusion", recipe(order, data=tmp_path / "x.pack"))
    assert config.steps == order.steps == STEPS[kind][effort]  # type: ignore[index]


def test_too_few_pictures_a_missing_folder_and_a_wrong_model_are_refused(tmp_path: Path, model: Path) -> None:
    it = runs(tmp_path)
    with pytest.raises(InvalidRequest, match="There are 2 pictures"):
        it.start("a", kind="codebook", pictures=pictures(2), model=model, effort="short")
    with pytest.raises(InvalidRequest, match="There is no folder"):
        it.start("b", kind="codebook", pictures=tmp_path / "nowhere", model=model, effort="short")
    with pytest.raises(InvalidRequest, match="cannot be taught"):
        it.start("c", kind="diffusion", pictures=pictures(), model=model, effort="short")
    for name in ("", "../up", "a/b", "measuring"):
        with pytest.raises(InvalidRequest, match="cannot be the name"):
            it.start(name, kind="codebook", pictures=pictures(), model=model, effort="short")


def test_a_run_is_watched_paused_taken_up_and_its_model_used(tmp_path: Path, model: Path) -> None:
    it = runs(tmp_path, pause=0.05)
    it.start("mine", kind="codebook", pictures=pictures(), model=model, effort="short", caption="a thing")
    assert (tmp_path / "runs" / "mine" / "pictures" / "003.txt").read_text() == "a thing"
    waits_for(lambda: it.state("mine").phase == "running" and it.state("mine").step > 2)
    assert it.state("mine").seconds_left is not None
    with pytest.raises(InvalidRequest, match="still going on"):
        it.start("other", kind="codebook", pictures=pictures(), model=model, effort="short")
    it.pause("mine")
    waits_for(lambda: it.state("mine").phase == "paused")
    assert it.state("mine").has_result and it.state("mine").step < 150
    it.go_on("mine")
    waits_for(lambda: it.state("mine").phase == "running")
    it.stop("mine")
    waits_for(lambda: it.state("mine").phase == "stopped")
    assert (it.use("mine") / "vqvae" / "config.json").is_file()
    assert [state.name for state in it.list()] == ["mine"]


def test_the_time_is_estimated_from_what_was_measured_here(tmp_path: Path, model: Path) -> None:
    it = runs(tmp_path)
    assert it.estimate("codebook", "short") is None and it.measuring() is None
    it.measure(kind="codebook", pictures=pictures(), model=model)
    waits_for(lambda: getattr(it.measuring(), "phase", "") in ("finished", "paused"))
    assert it.estimate("codebook", "short") == pytest.approx(2.0 * STEPS["codebook"]["short"])
    assert it.estimate("diffusion", "short") is None and it.list() == []


def test_a_run_does_not_wait_for_the_measurement_before_it(tmp_path: Path, model: Path) -> None:
    it = runs(tmp_path, pause=1)
    it.measure(kind="codebook", pictures=pictures(), model=model)
    it.measure(kind="codebook", pictures=pictures(), model=model)  # pressed twice: the first one ends
    assert it.measuring() is not None
    waits_for(lambda: (tmp_path / "runs" / "measuring" / "log.jsonl").exists())
    it.start("mine", kind="codebook", pictures=pictures(), model=model, effort="short")
    assert getattr(it.measuring(), "phase", "") not in ACTIVE, "what was measured counts; the rest is not waited for"
    assert it.state("mine").phase in ACTIVE
    it.stop("mine")


def test_a_run_that_dies_says_its_last_words(tmp_path: Path, model: Path) -> None:
    script = "import sys; print('out of luck'); sys.exit(3)"
    it = Runs(tmp_path / "runs", tmp_path / "models", command=lambda run: [sys.executable, "-c", script])
    it.start("mine", kind="codebook", pictures=pictures(), model=model, effort="short")
    run = it.path("mine")
    waits_for(lambda: "out of luck" in (run / "output.txt").read_text())
    os.utime(run / "alive", (0, 0))
    state = it.state("mine")
    assert (state.phase, state.hint) == ("failed", "out of luck")


def test_what_ends_a_run_badly_is_written_down(tmp_path: Path, model: Path) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    pictures(1)[0].save(folder / "one.png")
    run = tmp_path / "runs" / "mine"
    begin(run, kind="codebook", pictures=folder, model=model, effort="short")
    with pytest.raises(InvalidRequest), reporting(run):
        prepare(run, lambda _: None)
    assert json.loads((run / "error.json").read_text())["hint"] == "Give 5 or more."
    assert runs(tmp_path).state("mine").phase == "failed" and not (run / "alive").exists()


def test_codes_of_other_lengths_than_one_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    VQModel(block_out_channels=(8,), norm_num_groups=4, num_vq_embeddings=8).save_pretrained(tmp_path / "vq")
    with pytest.raises(InvalidRequest, match="lengths from"):
        check_codes(tmp_path / "vq")


@pytest.mark.slow
@pytest.mark.thorough
def test_the_real_process_teaches_a_tiny_vqgan(tmp_path: Path, model: Path) -> None:
    """Slow for starting torch in a child; leave it out with -m "not slow"."""
    it = Runs(tmp_path / "runs", tmp_path / "models")
    run = tmp_path / "runs" / "mine"
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, picture in enumerate(pictures(6)):
        picture.save(folder / f"{number}.png")
    order = begin(run, kind="codebook", pictures=folder, model=model, effort="probe")
    command = [sys.executable, "-m", "studio.cli", "train", "own", str(run)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    state = it.state("mine")
    assert (state.phase, state.step) == ("finished", order.steps)
    before = VQModel.from_pretrained(model / "vqvae").quantize.embedding.weight
    after = VQModel.from_pretrained(it.use("mine") / "vqvae").quantize.embedding.weight
    assert after.shape == before.shape and not after.allclose(before)


def test_a_frozen_encoder_is_one_of_the_options() -> None:
    assert AutoencoderConfig.model_fields["freeze_encoder"].default is False
