"""Two CPU processes get what one process gets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from studio.training.checkpoint import load_checkpoint
from tests.training.tiny import autoencoder_config, autoencoder_task

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys, torch
from pathlib import Path
from tests.training.tiny import Squares, autoencoder_config, autoencoder_task
from studio.training.run import make_accelerator, train
torch.set_num_threads(1)
config = autoencoder_config(isotropy=0.0, steps=6, revive_every=1)
accelerator = make_accelerator(config)
assert accelerator.num_processes == int(sys.argv[2]), accelerator.num_processes
train(config, Path(sys.argv[1]), task=autoencoder_task(config, accelerator), source=Squares(), accelerator=accelerator)
"""


def launch(out: Path, *, processes: int) -> None:
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
        alive.append(
            subprocess.Popen([sys.executable, "-c", SCRIPT, str(out), str(processes)], env=environment, cwd=ROOT)
        )
    assert [process.wait(timeout=240) for process in alive] == [0] * processes


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
