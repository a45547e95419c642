"""What a download leaves on the disk while it is not whole: DATA/models/.OWNER--NAME.download.

Where one file of a repository is fetched, the folder carries its name too, so that several files of one repository
can be under way. `plan.json` in it says what was asked for: with that an interrupted download goes on as itself,
also after the studio was killed and started anew.
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.atomic import write_atomically
from studio.library.hub import Plan, folder_name

logger = logging.getLogger(__name__)

NAME, VERSION = "plan.json", 2  # version 1 named the repository and its revision only
PART, END = ".part", ".download"


@dataclass(frozen=True, slots=True)
class Leftover:
    """A download that is not whole; `repo`, `revision`, `file` and `variant` are as in `Plan`."""

    repo: str
    revision: str
    file: str
    variant: str
    bytes_done: int
    bytes_total: int


def place_of(folder: Path, repo: str, file: str) -> Path:
    """Return where the download of `repo`, or of one `file` of it, lies in `folder` while it is not whole."""
    return folder / f".{repo.partition('/')[0]}--{folder_name(repo, file)}{END}"


def unfinished(folder: Path, plan: Plan) -> Path:
    """Return where `plan` is put while it is not whole.

    Leftovers of another revision are deleted, and of this one those that it does not bring: another variant's.
    """
    place = place_of(folder, plan.repo, plan.file)
    if not place.exists():
        return place
    if _said(place).get("revision") != plan.revision:
        logger.info("what had arrived of %s at another revision is deleted", plan.repo)
        shutil.rmtree(place, ignore_errors=True)
        return place
    kept = {NAME, *(name for file in plan.files for name in (file.name, file.name + PART))}
    for path in [path for path in place.rglob("*") if path.is_file()]:
        if path.relative_to(place).as_posix() not in kept:
            logger.info("%s of %s is deleted: the download goes on without it", path.name, plan.repo)
            path.unlink()
    return place


def note(place: Path, plan: Plan) -> None:
    """Write down in `place` what is being fetched there."""
    said = {
        "version": VERSION,
        "repo": plan.repo,
        "revision": plan.revision,
        "file": plan.file,
        "variant": plan.variant,
        "bytes": plan.bytes,
    }
    write_atomically(place / NAME, json.dumps(said).encode())


def leftovers(folder: Path) -> list[Leftover]:
    """Return what lies unfinished in `folder`, the oldest first; what another version began is left out."""
    places = [place for place in folder.glob(f".*{END}") if (place / NAME).is_file()]
    places.sort(key=lambda place: (place / NAME).stat().st_mtime_ns)
    return [found for place in places if (found := _read(place)) is not None]


def discard(folder: Path, repo: str, file: str) -> None:
    """Delete what has arrived of `repo`, or of one `file` of it; raises OSError."""
    place = place_of(folder, repo, file)
    if place.exists():
        shutil.rmtree(place)


def _read(place: Path) -> Leftover | None:
    said = _said(place)
    try:
        if said["version"] != VERSION:
            return None
        repo, revision, file, variant = (str(said[name]) for name in ("repo", "revision", "file", "variant"))
        total = int(said["bytes"])
    except (KeyError, TypeError, ValueError):
        return None
    done = sum(path.stat().st_size for path in place.rglob("*") if path.is_file() and path.name != NAME)
    found = Leftover(repo, revision, file, variant, min(done, total), total)
    return found if place_of(place.parent, repo, file) == place else None


def _said(place: Path) -> dict[str, Any]:
    try:
        said = json.loads((place / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
