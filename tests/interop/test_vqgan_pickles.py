"""Pickles are opened in a child without network, and code in them is named and never run."""

from __future__ import annotations

import argparse
import os
import pickle
import socket
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from interop.original_vqgans import Shape, random_state
from studio.errors import ModelError
from studio.interop import pickle_child
from studio.interop.pickles import load_checkpoint
from studio.interop.vqgan import convert

SHAPE = Shape("taming")


class Evil:
    """Makes a pickle that calls `function(*args)` when it is opened."""

    def __init__(self, function: object, *args: object) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple:
        return self.call


def test_a_lightning_checkpoint_is_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")
    callback = type("ModelCheckpoint", (), {"__module__": module.__name__})
    module.ModelCheckpoint = callback  # type: ignore[attr-defined]
    for name in ("pytorch_lightning", "pytorch_lightning.callbacks"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    content = {"state_dict": random_state(SHAPE), "epoch": 3, "callbacks": {callback: {"best": 0.5}}}
    torch.save(content, tmp_path / "last.ckpt")
    conversion = convert(tmp_path / "last.ckpt", "made", folder=tmp_path)
    assert conversion.config["num_vq_embeddings"] == 64


@pytest.mark.parametrize("root", ["state_dict", "model", "ema", ""])
def test_weights_are_found_under_the_usual_roots(root: str, tmp_path: Path) -> None:
    weights = {"a.weight": torch.randn(3, 2).t(), "b.half": torch.ones(2, dtype=torch.bfloat16)}
    torch.save({root: weights, "step": 1} if root else weights, tmp_path / "x.pt")
    found = load_checkpoint(tmp_path / "x.pt")
    assert set(found) == set(weights)
    assert all(torch.equal(found[k], weights[k]) for k in weights)


@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, r"\w+\.system"), (exec, r"builtins\.exec"), (subprocess.Popen, r"\w+\.Popen")],
)
def test_code_in_a_pickle_is_named_and_not_run(
    function: object, name: str, tmp_path: Path, figure: Callable[..., None]
) -> None:
    """R8: what a pickle would run is named and never runs."""
    sign = tmp_path / "ran"
    command = f"open({str(sign)!r}, 'w')" if function is exec else f"touch {sign}"
    torch.save({"state_dict": {"w": torch.zeros(1)}, "x": Evil(function, command)}, tmp_path / "evil.ckpt")
    with pytest.raises(ModelError, match=rf"contains code \({name}\) and was not opened. Use a .safetensors file"):
        load_checkpoint(tmp_path / "evil.ckpt")
    figure(pickles_with_code=1, executed=int(sign.exists()))
    assert not sign.exists()


def test_harmless_looking_classes_are_refused_too(tmp_path: Path) -> None:
    torch.save({"args": argparse.Namespace(lr=1), "model": {"w": torch.zeros(1)}}, tmp_path / "a.pt")
    with pytest.raises(ModelError, match=r"contains code \(argparse\.Namespace\)"):
        load_checkpoint(tmp_path / "a.pt")


def test_old_damaged_and_empty_files_are_refused(tmp_path: Path) -> None:
    """R8: by what they are, in one line."""
    sign = tmp_path / "ran"
    path = tmp_path / "old.ckpt"
    path.write_bytes(pickle.dumps(Evil(os.system, f"touch {sign}")))
    with pytest.raises(ModelError, match="old format, or damaged"):
        load_checkpoint(path)
    torch.save({"w": torch.zeros(1)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(ModelError, match="old format, or damaged"):
        load_checkpoint(path)
    torch.save({"w": torch.zeros(4000)}, path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ModelError, match="old format, or damaged"):
        load_checkpoint(path)
    torch.save({"epoch": 3}, path)
    with pytest.raises(ModelError, match="holds no weights"):
        load_checkpoint(path)
    (tmp_path / "x.safetensors").write_bytes(b"version https://git-lfs")
    with pytest.raises(ModelError, match="is damaged"):
        load_checkpoint(tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match="is not a checkpoint"):
        load_checkpoint(Path(__file__))
    with pytest.raises(ModelError, match="no file"):
        load_checkpoint(tmp_path / "none.ckpt")
    assert not sign.exists()


def test_the_child_has_no_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = (
            "import sys, runpy, _socket\n"
            f"child = runpy.run_path({pickle_child.__file__!r})\n"
            "enforced = child['close_network']()\n"
            "import socket, ssl, asyncio\n"
            "try:\n    socket.create_connection(('127.0.0.1', PORT), 2); sys.exit('python socket works')\n"
            "except OSError: pass\n"
            "if enforced:\n"
            "    raw = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM); raw.settimeout(2)\n"
            "    try:\n        raw.connect(('127.0.0.1', PORT)); sys.exit('raw socket works')\n"
            "    except OSError: pass\n"
        ).replace("PORT", str(port))
        done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
