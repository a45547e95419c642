"""The only place where a pickle is opened: a process of its own, without network, with bounded memory and time.

Runs as a script (`python -I pickle_child.py SOURCE TARGET`), knows nothing of the studio, and prints one JSON
object. It takes the tensors out of a PyTorch checkpoint into a safetensors file:

1. The pickle is read for the names it would call, without running it (`get_unsafe_globals_in_checkpoint`). Any name
   outside PyTorch's own list and STUBS is reported, and nothing is opened. Legacy (non-zip) files cannot be read
   that way and are refused.
2. `torch.load(weights_only=True)` with inert stand-ins for STUBS: the training callbacks that Lightning
   checkpoints mention.

The network is closed by an empty network namespace where the system allows one, and by closing `socket` always.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
MAX_SECONDS = 600
ROOTS = ("state_dict", "model", "ema", "params_ema", "params", "string_to_param", "")
STUBS = (
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
)


class NoSocket(socket.socket):
    """A socket that cannot be made; a class, because the standard library derives from it."""

    def __init__(self, *_: object, **__: object) -> None:
        _no_network()


def close_network() -> bool:
    """Leave this process without network; return whether the system enforces it (else only Python's sockets)."""
    socket.socket = NoSocket  # type: ignore[misc]
    socket.getaddrinfo = _no_network
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return any(libc.unshare(flags) == 0 for flags in (CLONE_NEWNET, CLONE_NEWUSER | CLONE_NEWNET))


def limit_resources(source_bytes: int) -> None:
    """Bound memory, time and file size, where the system can (not on Windows)."""
    try:
        import resource
    except ImportError:
        return
    memory = 24 * 2**30 + 4 * source_bytes  # address space: a CUDA build of torch maps much of it
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, MAX_SECONDS),
        (resource.RLIMIT_FSIZE, 2 * source_bytes + 2**20),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # a lower hard limit is already in force
            resource.setrlimit(limit, (value, value))


def unsafe_names(source: Path) -> list[str]:
    """Return the names that the pickle would call, apart from PyTorch's own list and STUBS."""
    from torch.serialization import get_unsafe_globals_in_checkpoint

    return sorted(set(get_unsafe_globals_in_checkpoint(source)) - set(STUBS))


def load_tensors(source: Path) -> dict[str, Any]:
    """Return the checkpoint's tensors by name, contiguous and in their own precision."""
    import torch
    from torch.serialization import safe_globals

    stand_ins: list[Any] = [(type(name.rsplit(".", 1)[1], (), {}), name) for name in STUBS]
    with safe_globals(stand_ins):
        content = torch.load(source, map_location="cpu", weights_only=True, mmap=True)
    return {
        name: tensor.detach().clone(memory_format=torch.contiguous_format)
        for name, tensor in _tensors(content, torch.Tensor)
    }


def main(source: Path, target: Path) -> dict[str, Any]:
    """Take the tensors of `source` into `target`; return what happened as JSON-able values."""
    limit_resources(source.stat().st_size)
    enforced = close_network()
    import zipfile

    if not zipfile.is_zipfile(source):
        return {"refused": "legacy"}
    names = unsafe_names(source)
    if names:
        return {"refused": "code", "names": names}
    from safetensors.torch import save_file

    tensors = load_tensors(source)
    if not tensors:
        return {"refused": "empty"}
    save_file(tensors, target)
    return {"tensors": len(tensors), "network": "closed by the system" if enforced else "closed in Python"}


def _tensors(content: Any, kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the named tensors of the first of ROOTS that has any ("" is the file itself)."""
    for root in ROOTS:
        inner = content.get(root) if root and isinstance(content, Mapping) else content
        if isinstance(inner, Mapping) and any(isinstance(value, kind) for value in inner.values()):
            yield from ((str(name), value) for name, value in inner.items() if isinstance(value, kind))
            return


def _no_network(*_: object, **__: object) -> NoReturn:
    raise OSError("no network here")


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))
