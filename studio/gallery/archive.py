"""Reading a zip from anybody: judged whole from its table of contents before a single byte is unpacked."""

from __future__ import annotations

import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from studio.errors import InvalidRequest

_DRIVE = re.compile(r"^[A-Za-z]:")


class ArchiveRefused(InvalidRequest):
    """An archive that is not opened: an unsafe name, a link, or too much in it. Nothing was written."""

    def __init__(self, why: str, what: str) -> None:
        super().__init__(f"Archive refused: {why} ({what}).", "Nothing was imported.")


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may hold: entries, bytes unpacked in all and per entry, and bytes unpacked per byte packed."""

    entries: int = 2000
    total_bytes: int = 2 * 2**30
    entry_bytes: int = 256 * 2**20
    ratio: float = 100


def read_archive(path: Path, limits: Limits) -> Iterator[tuple[str, bytes | None]]:
    """Yield (name, content) of every file in the zip at `path`; content is None for one that is damaged.

    Raises:
        ArchiveRefused: Before anything is read, when one entry breaks a limit or a rule.
        InvalidRequest: It is not a zip file.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InvalidRequest(f'"{path.name[:80]}" is not a zip file, or it is damaged.', "Choose another.") from error
    with archive:
        infos = archive.infolist()
        judge(infos, limits)
        for info in infos:
            if not info.is_dir():
                yield info.filename, _content(archive, info)


def judge(infos: list[zipfile.ZipInfo], limits: Limits) -> None:
    """Raise ArchiveRefused unless every entry of a table of contents is safe to unpack."""
    if len(infos) > limits.entries:
        raise ArchiveRefused("too large", f"{len(infos):,} files; the limit is {limits.entries:,}")
    seen: set[str] = set()
    for info in infos:
        name = info.filename
        shown = "".join(c for c in name if c.isprintable())[:60]
        parts = name.replace("\\", "/").split("/")
        folded = unicodedata.normalize("NFC", name.rstrip("/")).casefold()
        if name.startswith(("/", "\\")) or _DRIVE.match(name) or ".." in parts or "\0" in info.orig_filename:
            raise ArchiveRefused("unsafe name", shown)
        if folded in seen:
            raise ArchiveRefused("unsafe name", f"{shown} twice")
        seen.add(folded)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ArchiveRefused("link", shown)
        if info.file_size > limits.entry_bytes or info.file_size > limits.ratio * max(info.compress_size, 1024):
            raise ArchiveRefused("too large", f"{shown} unpacks to {info.file_size / 2**20:,.0f} MB")
    total = sum(info.file_size for info in infos)
    if total > limits.total_bytes:
        raise ArchiveRefused("too large", f"{total / 2**20:,.0f} MB; the limit is {limits.total_bytes / 2**20:,.0f} MB")


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | None:
    """At most as many bytes as the table of contents says; zipfile checks length and CRC."""
    try:
        with archive.open(info) as file:
            data = file.read(info.file_size + 1)
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError, ValueError, zlib.error):
        return None  # RuntimeError: it is encrypted
    return data if len(data) == info.file_size else None
