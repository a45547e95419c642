"""SHA-256 of models, computed once per file and remembered by size and modification time.

A folder's checksum is that of its sorted (relative path, SHA-256) list over weights and configuration, so it
does not depend on where the folder lies. Knows no torch.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from studio.atomic import write_atomically
from studio.errors import GalleryError, ModelError

logger = logging.getLogger(__name__)

_BESIDE = ("preview.safetensors", "source.json")  # made from the model, or about it: they change no picture
_PARTS = (".safetensors", ".json", ".txt", ".model")


class Checksums:
    """Remembered checksums, kept in `path` (a JSON file that may be deleted at any time)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Any] | None = None

    def of(self, path: Path) -> str:
        """Return the SHA-256 (64 hex digits) of a model's file or folder; raises ModelError if it is unreadable."""
        if path.is_file():
            return self._of_file(path)
        total = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.suffix in _PARTS and p.name not in _BESIDE and p.is_file()):
            total.update(f"{file.relative_to(path).as_posix()}\0{self._of_file(file)}\n".encode())
        return total.hexdigest()

    def _of_file(self, path: Path) -> str:
        known = self._read()
        try:
            stat = path.stat()
            stamp = [stat.st_size, stat.st_mtime_ns]
            entry = known.get(str(path.resolve()))
            if isinstance(entry, list) and entry[:2] == stamp:
                return str(entry[2])
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ModelError(f'"{path.name}" cannot be read: {error.strerror}.', "Check its permissions.") from error
        known[str(path.resolve())] = [*stamp, digest]
        self._write(known)
        return digest

    def _read(self) -> dict[str, Any]:
        if self._known is None:
            try:
                value = json.loads(self._path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                value = {}
            self._known = value if isinstance(value, dict) else {}
        return self._known

    def _write(self, known: dict[str, Any]) -> None:
        try:
            write_atomically(self._path, json.dumps(known).encode(), durable=False)
        except GalleryError as error:
            logger.warning("checksums could not be kept in %s: %s", self._path, error)
