"""Build a pack from an artist's own folder of pictures.

A caption comes from the first of: a CSV in the folder, a text file beside the picture (`fox.txt` for
`fox.png`), the file name ("red-fox_02.png" is a red fox). Damaged files are listed, never fatal.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from studio.errors import StudioError
from studio.training.build import PROCESSES, Summary, build_pack, hashed_fraction
from studio.training.emoji import Candidate

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".svg"})
FILE_COLUMNS = ("file_name", "file", "filename", "path", "image")
CAPTION_COLUMNS = ("caption", "text", "prompt", "description")
HELD_OUT_PICTURES = 0.05
MIN_PICTURES_TO_HOLD_OUT = 40
MAX_CAPTION = 300  # characters
_IN_PROCESS = 64  # fewer pictures than this are drawn without starting processes


def build_folder(
    folder: str | Path,
    out: str | Path,
    *,
    style: str = "",
    licence: str = "own",
    progress: Callable[[str], Any] = print,
    processes: int = PROCESSES,
) -> Summary:
    """Build a pack from the pictures in a folder and its subfolders.

    Args:
        folder: Where the pictures are.
        out: The `NAME.pack` folder to make.
        style: A word for the style of all of them ("watercolour"), said in captions.
        licence: Recorded with every picture.
        progress: Called with a line of text now and then.
        processes: Decoding processes.

    Raises:
        StudioError: The folder is missing, holds no picture that can be used, or its CSV has no usable columns.
    """
    folder, out = Path(folder), Path(out)
    if not folder.is_dir():
        raise StudioError(f"There is no folder {folder}.", "Give the folder that holds your pictures.")
    files = sorted(path for path in folder.rglob("*") if _is_picture(path, out))
    if not files:
        raise StudioError(f"{folder} holds no pictures.", f"It takes {', '.join(sorted(SUFFIXES))}.")
    from_csv = _read_csv(folder)
    candidates = [_candidate(file, folder, from_csv, style, licence) for file in files]
    missing = [(name, "named in the CSV, but there is no such picture") for name in _unused(from_csv, candidates)]
    workers = 1 if len(candidates) < _IN_PROCESS else processes
    return build_pack(
        out, candidates, split=split_pictures, progress=progress, processes=workers, also_rejected=missing
    )


def split_pictures(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Hold out one picture in twenty to watch for overfitting; none of fewer than forty."""
    holds_out = len(candidates) >= MIN_PICTURES_TO_HOLD_OUT
    return {
        c.id: "heldout_picture" if holds_out and hashed_fraction(f"picture {c.id}") < HELD_OUT_PICTURES else "train"
        for c in candidates
    }


def caption_of_name(stem: str) -> str:
    """Turn a file name into a caption: "Red-Fox_02 (1)" is "red fox"."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem)
    text = re.sub(r"\(\d+\)|[_\-.+]+|\b\d+\b|(?<=[^\W\d])\d+\b", " ", text).lower()
    return re.sub(r"\s+", " ", text).strip()


def _is_picture(path: Path, out: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix.lower() in SUFFIXES and path.is_file() and not hidden and out not in path.parents


def _candidate(file: Path, folder: Path, from_csv: Mapping[str, str], style: str, licence: str) -> Candidate:
    name = file.relative_to(folder).as_posix()
    caption = from_csv.get(name) or from_csv.get(file.name) or _sidecar(file) or caption_of_name(file.stem)
    caption = re.sub(r"\s+", " ", caption).strip(" .,")[:MAX_CAPTION] or "picture"
    is_noun = len(caption.split()) <= 4 and "," not in caption
    thing = re.sub(r"^(an?|the) ", "", caption.lower()) if is_noun else caption
    return Candidate(
        id=name,
        source="folder",
        drawing=file,
        thing=thing,
        names=(thing,),
        style=style,
        category="object" if is_noun else "sentence",
        weight=1.0,
        licence=licence,
    )


def _sidecar(file: Path) -> str:
    text_file = file.with_suffix(".txt")
    if not text_file.is_file():
        return ""
    return text_file.read_text(encoding="utf-8-sig", errors="replace").strip()


def _read_csv(folder: Path) -> dict[str, str]:
    """Read captions by file name from the CSV files at the top of the folder; there may be none."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.csv")):
        try:
            with path.open(encoding="utf-8-sig", newline="") as lines:
                found.update(_caption_rows(path, csv.DictReader(lines)))
        except (UnicodeDecodeError, csv.Error) as error:
            message = f"{path.name} cannot be read as CSV: {error}"
            raise StudioError(message, "Save it as UTF-8 with commas between the columns.") from error
    return found


def _caption_rows(path: Path, rows: csv.DictReader[str]) -> Iterator[tuple[str, str]]:
    columns = {column.strip().lower(): column for column in rows.fieldnames or ()}
    file_column = next((columns[name] for name in FILE_COLUMNS if name in columns), None)
    caption_column = next((columns[name] for name in CAPTION_COLUMNS if name in columns), None)
    if file_column is None or caption_column is None:
        raise StudioError(
            f"{path.name} has the columns {', '.join(columns) or 'none'}.",
            f"It needs one of {', '.join(FILE_COLUMNS)} and one of {', '.join(CAPTION_COLUMNS)} in its first line.",
        )
    for row in rows:
        if row.get(file_column) and row.get(caption_column):
            yield row[file_column].strip().replace("\\", "/").removeprefix("./"), row[caption_column].strip()


def _unused(from_csv: Mapping[str, str], candidates: Sequence[Candidate]) -> list[str]:
    there = {c.id for c in candidates} | {Path(c.id).name for c in candidates}
    return [name for name in from_csv if name not in there]
