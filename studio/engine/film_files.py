"""The films that artists asked to keep: one file per run, with its steps and with the strip that shows them.

A file carries its request and is named after it and the model. A request that was stored before a setting existed is
the one that has the setting at its default, so a film is found again after requests have got further settings. The
strip is kept beside the steps, so that it can be shown without a model. No torch here: the page reads the strips.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from studio.atomic import make_folder, write_atomically
from studio.engine.trajectories import Trajectory, film_name
from studio.errors import GalleryError, InvalidRequest
from studio.events import Film
from studio.requests import Request, parse

SPARE_BYTES = 128 * 2**20  # left for pictures: a film is never worth the last room on a disk
_STEPS = ("outputs", "latents", "clean")


class FilmFiles:
    """The files of kept films in `folder`, which is made when the first is kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._meant: dict[tuple[str, int], str] = {}  # file name and time -> what it would be called today

    def find(self, request: Request, checksum: str) -> Path | None:
        """Return the file of the run of `request` with the model that has `checksum`, or None."""
        name = film_name(request, checksum)
        if (self._folder / name).is_file():
            return self._folder / name
        return next((path for path in self._paths() if self._meaning(path) == name), None)

    def save(self, request: Request, checksum: str, taken: Trajectory, film: Film) -> Path:
        """Write a run and its film and return the file.

        Raises:
            GalleryError: The disk is full or nearly so, or the folder cannot be written.
        """
        arrays = {name: np.stack(getattr(taken, name)) for name in _STEPS}
        arrays |= {"frames": np.asarray(film.frames.convert("RGB")), "settled": film.settled}
        arrays["moving"] = np.asarray(film.moving)
        said = {"request": request.model_dump_json(), "model": checksum, "enough": str(film.enough)}
        data, path = save(arrays, said), self._folder / film_name(request, checksum)
        make_folder(self._folder)
        admit(self._folder, len(data))
        before = self.find(request, checksum)
        write_atomically(path, data)
        if before is not None and before != path:
            before.unlink(missing_ok=True)
        return path

    def trajectory(self, request: Request, checksum: str) -> Trajectory | None:
        """Return the kept steps of a run; None where none are kept, or their file is damaged: it can be run again."""
        path = self.find(request, checksum)
        if path is None:
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                return Trajectory(*(tuple(file.get_tensor(name)) for name in _STEPS))
        except (OSError, SafetensorError):
            return None

    def film(self, request: Request, checksum: str) -> Film | None:
        """Return the kept film of a run; None where there is none, or its file is damaged or has no strip inside."""
        path = self.find(request, checksum)
        if path is None:
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                frames, settled, moving = (file.get_tensor(name) for name in ("frames", "settled", "moving"))
                enough = int((file.metadata() or {})["enough"])
        except (OSError, SafetensorError, KeyError, ValueError):
            return None
        return Film(Image.fromarray(frames), len(moving), settled, tuple(moving.tolist()), enough)

    def drop(self, request: Request, checksum: str) -> None:
        """Delete the film of a run, if there is one; raises OSError."""
        path = self.find(request, checksum)
        if path is not None:
            path.unlink(missing_ok=True)

    def room(self) -> tuple[int, int]:
        """Return how many films are kept, and the bytes they take."""
        sizes = []
        for path in self._paths():
            with suppress(FileNotFoundError):  # deleted meanwhile
                sizes.append(path.stat().st_size)
        return len(sizes), sum(sizes)

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("*.safetensors"))

    def _meaning(self, path: Path) -> str:
        """Return what the film at `path` would be called if it were kept today; "" where it does not say."""
        try:
            key = path.name, path.stat().st_mtime_ns
        except OSError:
            return ""  # deleted meanwhile
        if key not in self._meant:
            self._meant[key] = _name_of(path)
        return self._meant[key]


def admit(folder: Path, size: int) -> None:
    """Raise GalleryError where a film of `size` bytes would leave less than SPARE_BYTES on the disk of `folder`."""
    free = shutil.disk_usage(folder).free
    if free < size + SPARE_BYTES:
        raise GalleryError(
            f"Only {free // 2**20} MB left; film not kept.", "Delete or export some images, then try again."
        )


def _name_of(path: Path) -> str:
    try:
        with safe_open(path, framework="numpy") as file:
            said = file.metadata() or {}
        return film_name(parse(json.loads(said["request"])), said["model"])
    except (OSError, SafetensorError, KeyError, ValueError, InvalidRequest):
        return ""
