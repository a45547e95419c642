"""Upscalers and embeddings that people share as pickles (.pth, .pt), made into .safetensors files.

The pickle is opened by `studio.interop.pickles`, which runs nothing of it; what comes out is recognised by its
keys like any other add-on.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from studio.engine.addons import read_addon
from studio.errors import InvalidRequest, ModelError
from studio.interop.pickles import load_checkpoint
from studio.interop.vqgan import NAME

CONVERTED = ("upscaler", "embedding")
_TABLE = "*"  # what A1111 calls an embedding in its file


def convert_addon(source: Path, name: str, *, folder: Path) -> str:
    """Write `folder / name.safetensors` if `source` is an upscaler or an embedding, and say so; "" if it is neither.

    Raises:
        InvalidRequest: `name` is not a plain file name.
        ModelError: `source` is damaged or holds code, or there is a file of that name.
    """
    if not NAME.fullmatch(name):
        raise InvalidRequest(
            f'"{name[:80]}" cannot be a model\'s name.',
            "Use letters, digits, dots, dashes and underscores.",
            field="to",
        )
    weights = _renamed(load_checkpoint(source))
    target = folder / f"{name}.safetensors"
    if target.exists():
        raise ModelError(f'There is already a "{target.name}".', "Choose another name, or remove it.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".convert-", dir=folder) as place:
        made = Path(place) / target.name
        save_file({key: value.contiguous().clone() for key, value in weights.items()}, made)
        addon = read_addon(made)
        if addon is None or addon.kind not in CONVERTED:
            return ""
        made.rename(target)
    return f"{target}: an {addon.kind}, {addon.bytes / 1e6:.1f} MB"


def _renamed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights, an A1111 embedding's under the name that safetensors files of it have."""
    return {"emb_params": weights[_TABLE]} if set(weights) == {_TABLE} else weights
