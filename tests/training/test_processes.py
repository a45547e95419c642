"""Two CPU processes get what one process gets."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from studio.errors import InvalidRequest
from studio.training.checkpoint import load_checkpoint
from studio.training.run import check_shares
from tests.training.test_train_commands import SMALL
from tests.training.tiny import autoencoder_config, autoencoder_task

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys, torch
from pathlib import Path
from tests.training.tiny import Squares, autoencoder_config, autoencoder_task
from studio.training.run import make_accelerator, train
torch.set_num_threads(1)
out, processes, kind = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
config = autoencoder_config(isotropy=0.0, steps=6, revive_every=1, log_every=2, save_every=1)
accelerator = make_accelerator(config)
assert accelerator.num_processes == processes, accelerator.num_processes
task, alone, calls = autoencoder_task(config, accelerator), accelerator.process_index == processes - 1, iter(range(9))
if kind == "collapse":  # the first process's figures are good, the mean of all is not
    encode = task._backward
    task._backward = lambda *given, **named: ({"loss": 9.0 * alone}, *encode(*given, **named)[1:])
    task.health = lambda figures: "all of them" if figures["loss"] > 3 else None
train(config, out, task=task, source=Squares(), accelerator=accelerator,
      should_stop=lambda: kind == "stop" and alone and next(calls) == 2)
"""


def launch(out: Path, *, processes: int, kind: str = "whole") -> list[str]:
    """Run SCRIPT in so many processes and return what each wrote to stderr; all must end in the same way."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    alive = []
    for rank in range(processes):
        own = {
            "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true",
        }  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **(own if processes > 1 else {})}
        command = [sys.executable, "-c", SCRIPT, str(out), str(processes), kind]
        alive.append(subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True))
    said = [process.communicate(timeout=240)[1] for process in alive]
    assert [process.returncode for process in alive] == [int(kind == "collapse")] * processes, said
    return said


@pytest.mark.thorough
def test_two_processes_equal_one(tmp_path: Path) -> None:
    launch(tmp_path / "one", processes=1)
    launch(tmp_path / "two", processes=2)
    one, two = (load_checkpoint(tmp_path / name / "state.pt")["task"] for name in ("one", "two"))
    # Adam's first steps turn rounding into whole steps for weights whose gradient is nothing but rounding, so the
    # difference is held against the way that training went.
    begun = autoencoder_task(autoencoder_config()).model.state_dict()
    went = sum((one["model"][name] - begun[name]).square().sum() for name in begun)
    apart = sum((one["model"][name] - two["model"][name]).square().sum() for name in begun)
    assert apart.sqrt() < 0.05 * went.sqrt()
    assert torch.allclose(one["codebook"]["codes"], two["codebook"]["codes"], atol=5e-3)


@pytest.mark.thorough
def test_all_processes_stop_at_the_step_at_which_one_is_asked_to(tmp_path: Path) -> None:
    launch(tmp_path, processes=2, kind="stop")
    assert load_checkpoint(tmp_path / "state.pt")["step"] == 3


@pytest.mark.thorough
def test_all_processes_give_up_when_their_figures_together_are_nonsense(tmp_path: Path) -> None:
    for said in launch(tmp_path, processes=2, kind="collapse"):
        assert "TrainingCollapsed: Stopped at step 2." in said
    assert json.loads((tmp_path / "log.jsonl").read_text())["loss"] == 4.5


@pytest.mark.thorough
def test_the_command_that_help_tells_trains_in_two_processes(tmp_path: Path) -> None:
    for number in range(12):
        Image.effect_mandelbrot((160, 128), (-2 - number / 9, -1, 1, 1), 20).convert("RGB").save(
            tmp_path / f"thing {number}.png"
        )
    run, pack = str(tmp_path / "run"), str(tmp_path / "own.pack")
    settings = [part for setting in (*SMALL, "grid_every=2") for part in ("--set", setting)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "studio.cli"]
    for command in (
        ["-m", "studio.cli", "data", "build", str(tmp_path), "--out", pack],
        [*torchrun, "train", "start", "vqvae", run, "--data", pack, *settings],
    ):
        done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stderr
    assert done.stdout.count("Finished: 4 steps") == done.stdout.count("4/4 ") == 1  # from one of them
    assert load_checkpoint(tmp_path / "run" / "state.pt")["step"] == 4


def test_a_batch_that_cannot_be_shared_is_refused_with_one_that_can() -> None:
    config = autoencoder_config()  # 4 pictures a batch
    check_shares(config, 2)
    with pytest.raises(InvalidRequest, match="4 pictures cannot be shared equally by 3 processes") as caught:
        check_shares(config, 3)
    assert "such as 6" in caught.value.hint
