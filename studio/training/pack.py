"""A pack: thousands of captioned pictures in one folder that is easy to carry and quick to sample.

`NAME.pack/records.jsonl` has one JSON object per picture, `NAME.pack/pictures.bin` their WebP files end to
end (256 x 256, RGBA with straight alpha, so that any background and recolouring is possible later).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from studio.errors import StudioError

SIDE = 256
SPLITS = ("train", "heldout_thing", "heldout_picture")
FORMAT_VERSION = 1
WEBP_QUALITY = 80
_RECORDS, _PICTURES = "records.jsonl", "pictures.bin"


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One captioned picture.

    `thing` is the canonical English name without colour ("apple"), `names` what it may be called in a
    caption, `colours` the dominant colour words of its pixels, `weight` its sampling weight, and `solid`
    the opaque share of the frame (1 = a full picture with a background of its own).
    """

    id: str
    offset: int
    length: int
    thing: str
    split: str = "train"
    names: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    style: str = ""
    category: str = ""
    colours: tuple[str, ...] = ()
    weight: float = 1.0
    solid: float = 0.0
    licence: str = ""
    source: str = ""


def is_pack(path: str | Path) -> bool:
    """Whether `path` is a pack's folder, and not just a folder of pictures."""
    return (Path(path) / _RECORDS).is_file()


class Pack:
    """A pack opened for reading. Pictures are decoded on demand, or come from a shared decoded cache."""

    def __init__(self, path: Path, records: list[Record], decoded: NDArray[np.uint8] | None = None) -> None:
        self.path = path
        self.records = records
        self._decoded = decoded
        self._decoded_folder: Path | None = None
        self._bytes: NDArray[np.uint8] | None = None

    @classmethod
    def open(cls, path: str | Path, *, decoded: str | Path | None = None) -> Pack:
        """Open a pack folder and check it against its own index.

        Args:
            path: The `NAME.pack` folder.
            decoded: Folder for a memory-mapped file of all decoded pictures (256 KiB each), made on first
                use and shared between processes. Without it each picture is decoded when asked for.

        Raises:
            StudioError: The folder is no pack, or it is damaged or incomplete.
        """
        path = Path(path)
        if not (path / _RECORDS).is_file() or not (path / _PICTURES).is_file():
            raise StudioError(
                f"{path} is not a pack: it has no {_RECORDS} and {_PICTURES}.",
                "Make one with: studio data build pictograms --out NAME.pack",
            )
        pack = cls(path, list(_read_records(path)))
        if decoded is not None:
            pack._decoded_folder = Path(decoded)
            pack._decoded = _decoded_cache(pack, Path(decoded))
        return pack

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to a worker process as a path, not as gigabytes of pixels."""
        return _reopen, (self.path, self._decoded_folder)

    def __len__(self) -> int:
        return len(self.records)

    def picture(self, i: int) -> NDArray[np.uint8]:
        """Return picture `i` as (256, 256, 4) uint8 RGBA with straight alpha; treat it as read-only."""
        if self._decoded is not None:
            return self._decoded[i]
        return self.decode(i)

    def decode(self, i: int) -> NDArray[np.uint8]:
        """Decode picture `i` from the pack itself, (256, 256, 4) uint8 RGBA."""
        if self._bytes is None:
            self._bytes = np.memmap(self.path / _PICTURES, np.uint8, mode="r")
        record = self.records[i]
        rgba = _decode(self._bytes[record.offset : record.offset + record.length])
        if rgba is None:
            raise StudioError(f'Picture {i} ("{record.id}") of {self.path} is damaged.', "Build the pack again.")
        return rgba

    def indices(self, split: str) -> NDArray[np.int64]:
        """Return the picture numbers of one split ("train", "heldout_thing" or "heldout_picture")."""
        if split not in SPLITS:
            raise StudioError(f'There is no split "{split}".', f"Splits are {', '.join(SPLITS)}.")
        return np.array([i for i, record in enumerate(self.records) if record.split == split], np.int64)

    @cached_property
    def digest(self) -> str:
        """Identify the contents: first 16 hex digits of the SHA-256 of the index and the data size."""
        seen = hashlib.sha256((self.path / _RECORDS).read_bytes())
        seen.update(str((self.path / _PICTURES).stat().st_size).encode())
        return seen.hexdigest()[:16]


class PackWriter:
    """Write a pack, picture by picture; the folder appears complete or not at all.

    Use as a context manager. Raises StudioError when the target exists and is not empty.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._partial = self.path.with_name(self.path.name + ".partial")
        self._offset = 0
        if self.path.exists() and any(self.path.iterdir()):
            raise StudioError(f"{self.path} exists already.", "Choose another name, or delete it first.")
        self._partial.mkdir(parents=True, exist_ok=True)
        self._pictures = (self._partial / _PICTURES).open("wb")
        self._records = (self._partial / _RECORDS).open("w", encoding="utf-8")
        self._write_line({"format": "tessera-pack", "version": FORMAT_VERSION, "side": SIDE})

    def add(self, webp: bytes, **about: Any) -> Record:
        """Append one encoded picture with the fields of `Record` other than offset and length."""
        record = Record(offset=self._offset, length=len(webp), **about)
        self._pictures.write(webp)
        self._offset += len(webp)
        self._write_line(asdict(record))
        return record

    def _write_line(self, row: Mapping[str, Any]) -> None:
        self._records.write(json.dumps(row, ensure_ascii=False) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        self._pictures.close()
        self._records.close()
        if kind is None:
            if self.path.exists():
                self.path.rmdir()
            self._partial.rename(self.path)


def encode_webp(rgba: NDArray[np.uint8]) -> bytes:
    """Encode (256, 256, 4) uint8 RGBA as lossy WebP with its alpha."""
    if rgba.shape != (SIDE, SIDE, 4) or rgba.dtype != np.uint8:
        raise ValueError(f"expected ({SIDE}, {SIDE}, 4) uint8, got {rgba.shape} {rgba.dtype}")
    bgra = cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA)
    return cv2.imencode(".webp", bgra, [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY])[1].tobytes()


def _reopen(path: Path, decoded: Path | None) -> Pack:
    return Pack.open(path, decoded=decoded)


def _decode(webp: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    pixels = cv2.imdecode(webp, cv2.IMREAD_UNCHANGED) if len(webp) else None
    if pixels is None or pixels.shape[:2] != (SIDE, SIDE):
        return None
    code = cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGBA
    return np.asarray(cv2.cvtColor(pixels, code), np.uint8)


def _read_records(path: Path) -> Iterator[Record]:
    size = (path / _PICTURES).stat().st_size
    names = {f.name for f in fields(Record)}
    again = "Copy the pack again from where it came from, or build it again."
    if (path / _RECORDS).stat().st_size == 0:
        raise StudioError(f"{path / _RECORDS} is empty.", again)
    with (path / _RECORDS).open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                if number == 1:
                    _check_header(path, row)
                    continue
                row = {key: tuple(v) if isinstance(v, list) else v for key, v in row.items() if key in names}
                record = Record(**row)
                end = record.offset + record.length
            except (ValueError, TypeError, AttributeError) as error:
                raise StudioError(f"{path / _RECORDS} is damaged at line {number}: {error}", again) from error
            if record.offset < 0 or record.length <= 0 or end > size:
                message = f"{path / _PICTURES} has {size} bytes, but line {number} needs {end}."
                raise StudioError(message, again)
            yield record


def _check_header(path: Path, row: object) -> None:
    if not isinstance(row, dict) or row.get("format") != "tessera-pack":
        raise ValueError("the first line does not name the format tessera-pack")
    if row.get("version") != FORMAT_VERSION or row.get("side") != SIDE:
        message = f"{path} is a pack of version {row.get('version')} with side {row.get('side')}."
        raise StudioError(message, f"This program reads version {FORMAT_VERSION} with side {SIDE}: build it again.")


def _decoded_cache(pack: Pack, folder: Path) -> NDArray[np.uint8]:
    """Map the decoded pictures, (n, 256, 256, 4); the first process makes the file, the others find it."""
    file = folder / f"{pack.path.stem}-{pack.digest}.npy"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}.partial")
        out = np.lib.format.open_memmap(partial, "w+", np.uint8, (len(pack), SIDE, SIDE, 4))
        for i in range(len(pack)):
            out[i] = pack.decode(i)
        out.flush()
        partial.replace(file)
    return np.asarray(np.load(file, mmap_mode="r"))
