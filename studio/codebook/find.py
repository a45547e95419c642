"""The VQGANs there are: model folders with a VQModel in them, found without loading a weight."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from studio.errors import ModelError, UnknownName

PARTS = ("", "vqvae", "vqgan", "movq")


def vqmodel_folder(folder: Path) -> Path | None:
    """Return the VQModel folder at `folder` or in its usual part, or None."""
    for part in PARTS:
        try:
            config = json.loads((folder / part / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(config, dict) and config.get("_class_name") == "VQModel":
            return folder / part
    return None


def find_vqgans(folders: Iterable[Path]) -> dict[str, Path]:
    """Return the model folders that hold a VQGAN, by folder name: earlier folders win, then by name."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if path.is_dir() and path.name not in found and vqmodel_folder(path):
                found[path.name] = path
    return found


def resolve(model: str, folders: Iterable[Path]) -> Path:
    """Return the folder of the VQGAN called `model`; "" is the first there is, and a folder's path is itself.

    Raises:
        ModelError: There is no VQGAN at all.
        UnknownName: None has this name.
    """
    if model and vqmodel_folder(Path(model)):
        return Path(model)
    found = find_vqgans(folders)
    if not found:
        raise ModelError("There is no VQGAN in the model folders.", "Train one, or convert one: studio models convert.")
    if not model:
        return next(iter(found.values()))
    if model not in found:
        raise UnknownName("VQGAN", model, found, field="model")
    return found[model]
