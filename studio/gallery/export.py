"""Pictures out: one by one or as a zip, as PNG, JPEG or WebP, with or without the recipe.

Whatever leaves the studio goes through `rendered`: no owner, no job, no note, no path goes with it. Without the
recipe only the mark of its origin stays (software, model, digitalSourceType).
"""

from __future__ import annotations

import csv
import io
import secrets
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from PIL import ExifTags, Image

from studio import atomic
from studio.errors import GalleryError, InvalidRequest
from studio.gallery.entry import Entry
from studio.gallery.files import open_own
from studio.gallery.png import XMP_KEY, encode_png
from studio.gallery.provenance import SOFTWARE, xmp
from studio.gallery.recipe import TEXT_KEY
from studio.interop.a1111 import a1111_parameters
from studio.pictures import opaque
from studio.provenance.marks import NO_MARKS, Marks

if TYPE_CHECKING:
    from typing_extensions import Buffer  # in the standard library from Python 3.12 on

Format: TypeAlias = Literal["png", "jpeg", "webp"]
FORMATS: tuple[Format, ...] = get_args(Format)
SUFFIXES: dict[str, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
MAX_EXIF = 60_000  # bytes: a JPEG segment holds 65,533

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\u3000", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def rendered(entry: Entry, *, format: Format = "png", recipe: bool = True, marks: Marks = NO_MARKS) -> bytes:
    """Return a picture's file for somebody else.

    Args:
        entry: The picture.
        format: "png" (exact pixels), "jpeg" (quality 95, transparency on white) or "webp" (quality 92).
        recipe: Include prompt and settings; False leaves only the mark that it was made with AI.
        marks: Further marks of that, in the pixels or signed.

    Raises:
        GalleryError: The file is gone or damaged, the format is unknown, or it cannot be signed.
    """
    if format not in FORMATS:
        raise GalleryError(f'"{format}" is not an export format.', f"Choose {', '.join(FORMATS)}.")
    image = marks.drawn(open_own(entry.path))
    data = encode_png(image, _texts(entry, recipe)) if format == "png" else _photo(image, entry, format, recipe=recipe)
    return marks.signed(data, f"image/{format}", entry.recipe.settings)


def _photo(image: Image.Image, entry: Entry, format: Format, *, recipe: bool) -> bytes:
    """Return a JPEG or a WebP, with the mark in XMP and the recipe there too."""
    buffer = io.BytesIO()
    mark = xmp(entry.recipe.settings, recipe=_json(entry) if recipe else "").encode()
    if len(mark) > MAX_EXIF:
        mark = xmp(entry.recipe.settings).encode()
    exif = _exif(entry, recipe)
    if format == "jpeg":
        opaque(image).save(buffer, "JPEG", quality=95, subsampling=0, xmp=mark, exif=exif)
    else:
        image.save(buffer, "WEBP", quality=92, method=4, xmp=mark, exif=exif)
    return buffer.getvalue()


def export_zip(
    entries: Iterable[Entry],
    target: Path,
    *,
    format: Format = "png",
    recipe: bool = True,
    marks: Marks = NO_MARKS,
) -> int:
    """Write pictures as `NNNN_<id8>.<ext>` into a new zip file, with a table `pictures.csv`; return how many.

    The table (file, date, model, prompt, ...) is there only with the recipe. `marks`: see `rendered`.

    Raises:
        GalleryError: A picture is gone, the format is unknown, or the target cannot be written; no file is left.
    """
    with writing_zip(target) as archive:
        return sum(1 for _ in fill_zip(archive, entries, format=format, recipe=recipe, marks=marks))


def fill_zip(
    archive: zipfile.ZipFile,
    entries: Iterable[Entry],
    *,
    format: Format = "png",
    recipe: bool = True,
    marks: Marks = NO_MARKS,
    left_out: list[str] | None = None,
) -> Iterator[str]:
    """Write pictures, and at the end the table, into an open zip; yields each picture's name once it is written.

    Args:
        left_out: Gets a line for every picture that is gone or damaged, and the zip a list of them; without it the
            first such picture raises GalleryError.
    """
    rows = []
    for name, entry, data in rendered_files(entries, format=format, recipe=recipe, marks=marks, left_out=left_out):
        archive.writestr(name, data)
        rows.append([name, *_row(entry)])
        yield name
    if recipe:
        archive.writestr("pictures.csv", table(rows), compress_type=zipfile.ZIP_DEFLATED)
    write_left_out(archive, left_out)


def rendered_files(
    entries: Iterable[Entry], *, format: Format, recipe: bool, marks: Marks, left_out: list[str] | None
) -> Iterator[tuple[str, Entry, bytes]]:
    """Yield the file name, the entry and the file of each picture; see `fill_zip` for `left_out`."""
    number = 0
    for entry in entries:
        try:
            data = rendered(entry, format=format, recipe=recipe, marks=marks)
        except GalleryError as error:
            if left_out is None or format not in FORMATS:
                raise
            left_out.append(f"{entry.id}: {error}")
            continue
        number += 1
        yield file_name(number, entry, format), entry, data


def write_left_out(archive: zipfile.ZipFile, left_out: list[str] | None) -> None:
    """Add the list of what could not be exported, where there is such."""
    if left_out:
        archive.writestr("left-out.txt", "\n".join([*left_out, ""]))


def stream_zip(fill: Callable[[zipfile.ZipFile], Iterator[object]]) -> Iterator[bytes]:
    """Yield the bytes of a zip as `fill(archive)` writes it, a picture at a time: nothing is kept on the disk."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for _ in fill(archive):
            yield pipe.take()
    yield pipe.take()


def file_name(number: int, entry: Entry, format: Format) -> str:
    """Return a name of digits and id letters alone: nothing a person typed becomes a file name."""
    return f"{number:04d}_{entry.id[-8:]}{SUFFIXES[format]}"


def table(rows: Sequence[Sequence[object]]) -> str:
    """Return CSV with a header; cells that a spreadsheet would run as a formula get an apostrophe in front."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(["file", "created", "kind", "model", "seed", "width", "height", "prompt", "negative prompt"])
    writer.writerows([[_cell(value) for value in row] for row in rows])
    return "\ufeff" + buffer.getvalue()


class writing_zip:  # noqa: N801 -- used as a verb: `with writing_zip(path) as archive`
    """A zip file that is there whole at the end of the block, or not at all."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._part = target.with_name(f".{target.name}.{secrets.token_hex(4)}{atomic.PART}")

    def __enter__(self) -> zipfile.ZipFile:
        try:
            self._archive = zipfile.ZipFile(self._part, "x", zipfile.ZIP_STORED)
        except OSError as error:
            raise atomic.disk_error(error, self._target.parent) from error
        return self._archive

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            self._archive.close()
            if error is None:
                atomic.replace(self._part, self._target)
                return
        except OSError as failed:
            error = failed
        self._part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise atomic.disk_error(error, self._target.parent) from error


class _Pipe(io.RawIOBase):
    """What a zip is written to when it is sent on at once; it cannot seek, so sizes follow the files."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        part = bytes(data)
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        """Return what was written since the last time."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _texts(entry: Entry, recipe: bool) -> dict[str, str]:
    mark = {XMP_KEY: xmp(entry.recipe.settings), "Software": SOFTWARE}
    if not recipe:
        return mark
    parameters = _parameters(entry)
    return {**({"parameters": parameters} if parameters else {}), TEXT_KEY: _json(entry), **mark}


def _json(entry: Entry) -> str:
    return replace(entry.recipe, owner="", job="").to_json()


def _parameters(entry: Entry) -> str:
    try:
        return a1111_parameters(entry.request, entry.seed, {**entry.recipe.facts, "size": (entry.width, entry.height)})
    except InvalidRequest:
        return ""


def _exif(entry: Entry, recipe: bool) -> Image.Exif:
    """A1111's place in JPEG and WebP: the EXIF comment, as UTF-16 behind its charset's name."""
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = SOFTWARE
    comment = b"UNICODE\0" + _parameters(entry).encode("utf-16-be", "replace")
    if recipe and 8 < len(comment) <= MAX_EXIF:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    return exif


def _row(entry: Entry) -> list[object]:
    created = entry.created.isoformat(timespec="seconds")
    texts = (entry.prompt, entry.negative_prompt)
    return [created, entry.kind, entry.model, entry.seed, entry.width, entry.height, *texts]


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA) else value
