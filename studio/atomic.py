"""Files that are there whole or not at all: temp file, fsync, rename, fsync of the folder.

The order matters and each step has a reason: O_EXCL so that two writers cannot share a temp file, fsync before
the rename so that the name never points at unwritten data, fsync of the folder so that the name itself lasts.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import sys
import time
from pathlib import Path

from studio.errors import GalleryError

logger = logging.getLogger(__name__)

PART = ".part"


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write `data` to `path`, replacing what was there; on failure nothing of it is left.

    Args:
        path: The final name; missing folders are made (mode 0700), the file gets mode 0600.
        data: The whole content.
        durable: Wait until it is on the disk; False for what can be made again.

    Raises:
        GalleryError: The disk is full, or the folder cannot be written.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")
    try:
        make_folder(path.parent)
        try:
            _write(part, data, durable)
            replace(part, path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        raise disk_error(error, path.parent) from error


def make_folder(folder: Path) -> None:
    """Make `folder` (mode 0700) and let its name reach the disk."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def replace(source: Path, target: Path) -> None:
    """Rename over `target`; on Windows, where a virus scanner may hold it open for a moment, try five times."""
    for attempt in range(5):
        try:
            source.replace(target)
            return
        except PermissionError:
            if sys.platform != "win32" or attempt == 4:
                raise
            time.sleep(0.05 * 2**attempt)


def sync_folder(folder: Path) -> None:
    """Let a rename or removal in `folder` reach the disk (Windows does that by itself and has no such call)."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def disk_error(error: OSError, folder: Path) -> GalleryError:
    """Return the sentence for `error`, without a path of this machine beyond the folder's own name."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return GalleryError("The disk is full; image not saved.", "Delete or export some images.")
    logger.error("writing in %s failed: %s", folder, error)
    return GalleryError(
        f'The folder "{folder.name}" cannot be written: {error.strerror or error}.', "Check its permissions and disk."
    )


def _write(path: Path, data: bytes, durable: bool) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        if durable:
            os.fsync(handle)
    finally:
        os.close(handle)
