"""Opening other people's checkpoints: safetensors here, pickles in a child process (`pickle_child`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from studio.errors import ModelError
from studio.interop import pickle_child

PICKLES = (".ckpt", ".pt", ".pth", ".bin")
ADVICE = "Use a .safetensors file."


def load_checkpoint(source: Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors, .ckpt, .pt, .pth or .bin file by name.

    Raises:
        ModelError: The file is missing, damaged, of another kind, or holds code (which is named, and not run).
    """
    suffix = source.suffix.lower()
    if not source.is_file():
        raise ModelError(f'There is no file "{source.name}".', "Give the path of a checkpoint.")
    if suffix == ".safetensors":
        return _read_safetensors(source, source.name)
    if suffix not in PICKLES:
        raise ModelError(
            f'"{source.name}" is not a checkpoint.', f"Checkpoints end in .safetensors, {', '.join(PICKLES)}."
        )
    with tempfile.TemporaryDirectory(prefix="studio-convert-") as folder:
        target = Path(folder) / "weights.safetensors"
        _check(_run_child(source, target, folder=folder), source.name)
        return _read_safetensors(target, source.name)


def _read_safetensors(path: Path, name: str) -> dict[str, Tensor]:
    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise ModelError(f'"{name}" is damaged: {error}.', "Download it again.") from error


def _run_child(source: Path, target: Path, *, folder: str) -> dict[str, Any]:
    """Run the child in an empty environment; its answer, or how it ended."""
    command = [sys.executable, "-I", "-W", "ignore", str(pickle_child.__file__), str(source.resolve()), str(target)]
    environment = {"OMP_NUM_THREADS": "1", "HOME": folder, "TMPDIR": folder}
    environment |= {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}  # Windows needs it
    try:
        done = subprocess.run(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=pickle_child.MAX_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(f'"{source.name}" took longer than {pickle_child.MAX_SECONDS} s to open.', ADVICE) from error
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        return {"refused": "failed", "why": lines[-1][:300] if lines else f"exit status {done.returncode}"}
    return answer if isinstance(answer, dict) else {"refused": "failed", "why": "no answer"}


def _check(answer: dict[str, Any], name: str) -> None:
    match answer.get("refused"):
        case "code":
            names = ", ".join(str(n) for n in answer["names"][:8])
            raise ModelError(f"This checkpoint contains code ({names}) and was not opened.", ADVICE)
        case "legacy":
            raise ModelError(
                f'"{name}" is in PyTorch\'s old format, or damaged: it cannot be searched for code and was not opened.',
                ADVICE,
            )
        case "empty":
            raise ModelError(f'"{name}" holds no weights.', "Choose another file.")
        case "failed":
            raise ModelError(f'"{name}" could not be opened: {answer["why"]}', ADVICE)
