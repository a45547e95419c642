"""One writer per gallery: a lock on a file that names the process; the system drops it when the process dies."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from studio.atomic import make_folder
from studio.errors import GalleryError

_LOCKED_BYTE = 1 << 30  # far behind the text, so that others can read who holds it (Windows locks forbid reading)


class GalleryLocked(GalleryError):
    """Another process writes to this gallery; `process` is its id, or 0 when it could not be read."""

    def __init__(self, process: int) -> None:
        super().__init__(
            f"Gallery is open in another studio (process {process or 'unknown'}). Open read-only?",
            "Close the other studio, or open the gallery read-only.",
        )
        self.process = process


class WriterLock:
    """Holds `path` locked until `release()`.

    Raises:
        GalleryLocked: Another process, or another Gallery of this one, holds it.
        GalleryError: The folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            make_folder(path.parent)
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise GalleryError(
                f'The gallery folder "{path.parent.name}" cannot be written: {error.strerror}.',
                "Check its permissions, or choose another with --data-dir.",
            ) from error
        try:
            _lock(self._handle)
        except OSError as error:
            holder = os.pread(self._handle, 20, 0) if hasattr(os, "pread") else os.read(self._handle, 20)
            os.close(self._handle)
            raise GalleryLocked(int(holder) if holder.strip().isdigit() else 0) from error
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same, only the name is missing
            os.ftruncate(self._handle, 0)
            os.write(self._handle, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let the next writer in."""
        os.close(self._handle)


def _lock(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        os.lseek(handle, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
