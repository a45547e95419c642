"""Room on the disk: nothing is begun that cannot end, and a reserve is given up so that deleting always works."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from studio.errors import GalleryError

RESERVE_BYTES = 64 * 2**20
SPARE_BYTES = 4 * 2**20  # for the index's write-ahead log


class Reserve:
    """A file of real bytes beside the gallery that is dropped when the disk is full.

    Args:
        path: Where it lies.
        size: In bytes; 0 keeps no reserve.
    """

    def __init__(self, path: Path, size: int = RESERVE_BYTES) -> None:
        self._path, self._size = path, size

    @property
    def is_whole(self) -> bool:
        """Whether the reserve is there in full."""
        return self._size == 0 or (self._path.exists() and self._path.stat().st_size >= self._size)

    def fill(self) -> bool:
        """Lay the reserve down again where there is ample room (four times its size); return `is_whole`."""
        if self.is_whole or free_bytes(self._path.parent) < 4 * self._size:
            return self.is_whole
        try:
            with self._path.open("wb") as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, self._size)
                else:
                    for _ in range(self._size // 2**20):
                        file.write(bytes(2**20))
        except OSError:
            self.release()
        return self.is_whole

    def release(self) -> None:
        """Give the reserve's room back, so that a deletion can be written down on a full disk."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def free_bytes(folder: Path) -> int:
    """Return how many bytes this user may still write in `folder`."""
    return shutil.disk_usage(folder).free


def admit(folder: Path, size: int) -> None:
    """Raise GalleryError unless twice `size` bytes, and the index's own need, are free."""
    free = free_bytes(folder)
    if free < 2 * size + SPARE_BYTES:
        raise GalleryError(
            f"Only {free // 2**20} MB left; image not saved.", "Delete or export some images, then try again."
        )
