"""Is a model as it was made? Held against the SHA256SUMS that came with it, or what the hub said of its files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from studio.library.shelf import Item
from studio.library.sources import changed_since, source_folder

SUMS = "SHA256SUMS"


def changed(item: Item) -> list[str] | None:
    """Return the files of `item` that are not as they were made or downloaded; None if it came without checksums."""
    listed = next((place for place in (item.path, item.path.parent) if (place / SUMS).is_file()), None)
    if listed is not None:
        return changed_files(listed)
    folder = source_folder(item.path)
    return changed_since(folder, item.source) if folder and item.source else None


def changed_files(folder: Path) -> list[str]:
    """Return the files of `folder` whose SHA-256 is not the one that its SHA256SUMS lists, or that are missing."""
    bad = []
    for line in (folder / SUMS).read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file() or _sha256(path) != digest:
            bad.append(name)
    return bad


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
