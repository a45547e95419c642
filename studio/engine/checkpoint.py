"""Is this file a safetensors checkpoint, and what is in it? Read from the header alone, before any weight.

Knows no torch. The rules are stricter than the format's: a header of at most 8 MB, at most 20,000 tensors,
no overlaps, no gaps, and a file exactly as long as its header says. Everything else that people save under a
checkpoint's name (pickles, download pointers, error pages) is recognised and named.

Source: https://huggingface.co/docs/safetensors (format); limits after the Trail of Bits audit of 2023.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from studio.errors import ModelError

MAX_HEADER_BYTES = 8 * 2**20
MAX_TENSORS = 20_000
INDEX_SUFFIX = ".safetensors.index.json"

_BYTES_PER_VALUE = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor's declaration in a header."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of its values."""
        return math.prod(self.shape) * _BYTES_PER_VALUE[self.dtype]


@dataclass(frozen=True, slots=True)
class Header:
    """What a checkpoint says it holds: tensors by name, and free metadata."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return sum(tensor.nbytes for tensor in self.tensors.values())


def read_header(path: Path) -> Header:
    """Return the checked header of the safetensors file at `path`.

    Raises:
        ModelError: The file is missing, unreadable, empty, truncated, damaged, or not a safetensors file.
    """
    try:
        stat = path.stat()
        return _read(path, stat.st_size, stat.st_mtime_ns)
    except FileNotFoundError as error:
        raise ModelError(f'"{path.name}" is missing.', "Put the file back, or choose another model.") from error
    except OSError as error:
        raise ModelError(f'"{path.name}" cannot be read: {error.strerror}.', "Check its permissions.") from error


@lru_cache(maxsize=512)  # every job looks at the model folders: a file is parsed again only when it has changed
def _read(path: Path, size: int, mtime_ns: int) -> Header:
    with path.open("rb") as file:
        start = file.read(512)
        length = int.from_bytes(start[:8], "little")
        _refuse_other_kinds(path, start, size)
        if length > MAX_HEADER_BYTES:
            raise _damaged(path, f"a header of {length:,} bytes, at most {MAX_HEADER_BYTES:,} are accepted")
        if 8 + length > size:
            raise _damaged(path, f"header (expected {8 + length:,} bytes, found {size:,})")
        file.seek(8)
        raw = file.read(length)
    return _parse(path, raw, data_bytes=size - 8 - length)


def read_folder_headers(folder: Path) -> Header:
    """Return one header for all safetensors files of a model part's folder (one file, a variant, or shards).

    Raises:
        ModelError: There is none, a shard is missing, or one of them is damaged.
    """
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    for path in weight_files(folder):
        header = read_header(path)
        tensors.update(header.tensors)
        metadata.update(header.metadata)
    return Header(tensors, metadata)


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files that make up the part in `folder`, in order; raises ModelError if incomplete."""
    indices = sorted(folder.glob(f"*{INDEX_SUFFIX}"))
    if indices:
        index = read_json(indices[0])
        names = sorted({str(name) for name in (index.get("weight_map") or {}).values()})
        if any("/" in name or "\\" in name or not name.endswith(".safetensors") for name in names):
            raise ModelError(f'"{indices[0].name}" names files outside its folder.', "Download the model again.")
        missing = [name for name in names if not (folder / name).is_file()]
        if missing or not names:
            raise ModelError(
                f'"{folder.parent.name}/{folder.name}" lacks {len(missing)} of {len(names)} weight files, '
                f'first "{(missing or ["all"])[0]}".',
                "Download the model again.",
            )
        return [folder / name for name in names]
    plain = [folder / f"{stem}.safetensors" for stem in ("diffusion_pytorch_model", "model")]
    found = [path for path in plain if path.is_file()] or sorted(folder.glob("*.safetensors"))[:1]
    if not found:
        pickles = [p.name for p in folder.glob("*") if p.suffix in (".bin", ".ckpt", ".pt", ".pth")]
        if pickles:
            raise ModelError(
                f'"{folder.name}" holds a pickle ("{pickles[0]}"), which can run code and was not opened.',
                "Use a .safetensors file.",
            )
        raise ModelError(f'"{folder.parent.name}/{folder.name}" has no weights.', "Download the model again.")
    return found


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in `path`; raises ModelError when it is missing, huge, or not an object."""
    try:
        if path.stat().st_size > MAX_HEADER_BYTES:
            raise ModelError(f'"{path.name}" is too large for a configuration.', "Download the model again.")
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f'"{path.parent.name}/{path.name}" is missing.', "Download the model again.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f'"{path.parent.name}/{path.name}" cannot be read: {error}.', "Mend it.") from error
    if not isinstance(value, dict):
        raise ModelError(f'"{path.parent.name}/{path.name}" is not a JSON object.', "Download the model again.")
    return value


def _refuse_other_kinds(path: Path, start: bytes, size: int) -> None:
    text = start.lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        raise ModelError(
            f'"{path.name}" is a download pointer, not the model itself ({size} bytes).', "Run: git lfs pull"
        )
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ModelError(f'"{path.name}" is a web page, not a model.', "Download the file itself again.")
    if start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        raise ModelError(
            f'"{path.name}" is a pickle, which can run code, and was not opened.', "Use a .safetensors file."
        )
    if start.startswith(b"GGUF"):
        raise ModelError(f'"{path.name}" is a GGUF file, which the studio cannot read.', "Use a .safetensors file.")
    if size < 10:
        raise ModelError(f'"{path.name}" is empty or cut off ({size} bytes).', "Download it again.")


def _parse(path: Path, raw: bytes, *, data_bytes: int) -> Header:
    try:
        entries = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "header (not JSON)") from error
    if not isinstance(entries, dict):
        raise _damaged(path, "header (not a table)")
    metadata = entries.pop("__metadata__", {}) or {}
    if len(entries) > MAX_TENSORS:
        raise _damaged(path, f"{len(entries):,} tensors, at most {MAX_TENSORS:,} are accepted")
    tensors: dict[str, Tensor] = {}
    spans: list[tuple[int, int]] = []
    for name, entry in entries.items():
        tensors[name], span = _entry(path, name, entry)
        spans.append(span)
    spans.sort()
    ends = [0, *(end for _, end in spans)]
    if any(start != before for (start, _), before in zip(spans, ends, strict=False)):
        raise _damaged(path, "data (tensors overlap or leave gaps)")
    if ends[-1] != data_bytes:
        raise _damaged(path, f"data (expected {ends[-1]:,} bytes, found {data_bytes:,})")
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    texts = {str(k): str(v) for k, v in metadata.items()} if isinstance(metadata, dict) else {}
    return Header(tensors, texts)


def _entry(path: Path, name: str, entry: Any) -> tuple[Tensor, tuple[int, int]]:
    try:
        dtype, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not all(type(n) is int and n >= 0 for n in (*shape, start, end)) or len(shape) > 8:
            raise ValueError("not counts")
        tensor = Tensor(str(dtype), tuple(shape))
        fits = tensor.nbytes == end - start
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f'the entry "{name[:60]}"') from error
    if not fits:
        raise _damaged(path, f'the size of "{name[:60]}" ({end - start:,} bytes for {tensor.nbytes:,})')
    return tensor, (start, end)


def _damaged(path: Path, what: str) -> ModelError:
    return ModelError(f'"{path.name}" is damaged: {what}.', "Download it again.")
