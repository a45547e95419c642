"""Where a downloaded model came from, kept in its folder as `source.json`.

With it a model can be verified years later, and had again exactly as it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from studio.atomic import write_atomically

NAME, VERSION = "source.json", 1
_DEPTH = 4  # folders above a file in which its source may lie: a repository's own folders come along


@dataclass(frozen=True, slots=True)
class Source:
    """A hub repository at one commit.

    Attributes:
        repo: "owner/name".
        revision: The commit, 40 hex digits.
        licence: As the repository states it.
        sums: File -> its digest, "sha256:..." or "git:..." (the blob's SHA-1, for small files the hub keeps in git).
    """

    repo: str
    revision: str
    licence: str
    sums: Mapping[str, str]


def write_source(folder: Path, source: Source) -> None:
    """Keep the source of what lies in `folder`."""
    said = {
        "version": VERSION,
        "repo": source.repo,
        "revision": source.revision,
        "licence": source.licence,
        "sums": dict(source.sums),
    }
    write_atomically(folder / NAME, json.dumps(said, indent=1).encode())


def read_source(path: Path) -> Source | None:
    """Return the source of the model at `path`, or of the folder it was downloaded in, if it is known."""
    place = source_folder(path)
    return _read(place) if place else None


def source_folder(path: Path) -> Path | None:
    """Return the folder that holds the source of the model at `path`: its own, or one above it."""
    places = (path, *path.parents[:_DEPTH])
    return next((place for place in places if _read(place) is not None), None)


def _read(folder: Path) -> Source | None:
    try:
        said = json.loads((folder / NAME).read_text(encoding="utf-8"))
        sums = {str(name): str(digest) for name, digest in said["sums"].items()}
        return Source(str(said["repo"]), str(said["revision"]), str(said["licence"]), sums)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def digest_of(path: Path, *, like: str) -> str:
    """Return the digest of a file in the form of `like`: "sha256:..." or "git:..."."""
    if like.startswith("git:"):
        blob = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        blob.update(path.read_bytes())
        return f"git:{blob.hexdigest()}"
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def changed_since(folder: Path, source: Source) -> list[str]:
    """Return the files of `folder` that are not as they were downloaded, or are gone."""
    bad = []
    for name, digest in source.sums.items():
        file = folder / name
        inside = file.resolve().is_relative_to(folder.resolve())
        if not inside or not file.is_file() or digest_of(file, like=digest) != digest:
            bad.append(name)
    return bad
