"""The pictures that stand for ready-made styles: small WebP files, found by the style's name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from studio.atomic import write_atomically

SIDE = 192  # pixels
_FOLDER = "pictures"


@dataclass(frozen=True, slots=True)
class StylePictures:
    """The pictures in the subfolder `pictures` of each of `folders` (of style files); an earlier folder goes first."""

    folders: Sequence[Path]

    def of(self, style: str) -> Path | None:
        """Return the picture of `style`, if there is one."""
        paths = (path_of(style, folder) for folder in self.folders)
        return next((path for path in paths if path.is_file()), None)


def path_of(style: str, folder: Path) -> Path:
    """Return where the picture of `style` lies in `folder`."""
    return folder / _FOLDER / f"{file_name(style)}.webp"


def file_name(style: str) -> str:
    """Return the stem of a picture's file name: any style's name makes a safe one."""
    return hashlib.sha256(style.casefold().encode()).hexdigest()[:24]


def keep_picture(style: str, picture: Image.Image, folder: Path) -> Path:
    """Make the middle of `picture` the picture of `style` in `folder`; return its path.

    Raises:
        GalleryError: The folder cannot be written, or the disk is full.
    """
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.convert("RGB").crop((left, top, left + side, top + side))
    buffer = BytesIO()
    square.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(buffer, "WEBP", quality=82)
    path = path_of(style, folder)
    write_atomically(path, buffer.getvalue())
    return path
