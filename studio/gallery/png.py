"""Text inside PNG files, chunk by chunk: read without decoding a pixel, replaced without touching one.

Source: PNG specification, third edition, sections 5 (chunks) and 11.3.3 (tEXt, zTXt, iTXt).
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from PIL import Image

MAGIC = b"\x89PNG\r\n\x1a\n"
XMP_KEY = "XML:com.adobe.xmp"
_TEXT_KINDS = (b"tEXt", b"zTXt", b"iTXt")
_METADATA_KINDS = (*_TEXT_KINDS, b"eXIf", b"tIME", b"caBX")


def encode_png(image: Image.Image, texts: Mapping[str, str]) -> bytes:
    """Return `image` as a PNG file that carries `texts` and no other metadata."""
    buffer = io.BytesIO()
    Image.frombytes(image.mode, image.size, image.tobytes()).save(buffer, "PNG", compress_level=4)
    return replace_texts(buffer.getvalue(), texts)


def replace_texts(png: bytes, texts: Mapping[str, str]) -> bytes:
    """Return `png` with `texts` (keyword to text) in place of all its metadata; the pixels' bytes stay the same.

    Raises:
        ValueError: `png` is not a whole PNG file, or a keyword is not 1 to 79 Latin-1 characters.
    """
    parts = [MAGIC]
    ended = False
    for kind, length, data in _chunks(io.BytesIO(png), keep=None):
        if kind in _METADATA_KINDS:
            continue
        assert length == len(data)
        parts.append(_chunk(kind, data))
        if kind == b"IHDR":
            parts += [_text_chunk(keyword, text) for keyword, text in texts.items()]
        ended = kind == b"IEND"
    if not ended:
        raise ValueError("the PNG file ends too early")
    return b"".join(parts)


def read_texts(file: BinaryIO, *, limit_chunk: int, limit_total: int) -> dict[str, str]:
    """Return keyword to text of all text chunks of a PNG file; of equal keywords the first wins.

    Chunks over `limit_chunk` bytes (packed or unpacked) are left out, and reading stops once `limit_total`
    bytes of text were read. A file that ends too early gives what came before its end.

    Raises:
        ValueError: This is not a PNG file.
    """
    texts: dict[str, str] = {}
    total = 0
    for kind, length, data in _chunks(file, keep=limit_chunk):
        if kind not in _TEXT_KINDS or length > limit_chunk:
            continue
        keyword, text = _decode(kind, data, limit_chunk)
        total += len(data) + len(text)
        if total > limit_total:
            break
        if keyword and keyword not in texts:
            texts[keyword] = text
    return texts


def _chunks(file: BinaryIO, *, keep: int | None) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield kind, length, data; with a `keep` limit only text chunks up to it are read, the rest is skipped over."""
    if file.read(8) != MAGIC:
        raise ValueError("not a PNG file")
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if keep is None or (kind in _TEXT_KINDS and length <= keep):
            data = file.read(length)
            if len(data) < length:
                return
            file.seek(4, io.SEEK_CUR)
        else:
            data = b""
            file.seek(length + 4, io.SEEK_CUR)
        yield kind, length, data
        if kind == b"IEND":
            return


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _text_chunk(keyword: str, text: str) -> bytes:
    """tEXt where Latin-1 suffices (every reader knows it), iTXt (UTF-8) otherwise and for XMP, as Pillow writes."""
    name = keyword.encode("latin-1")
    if not 1 <= len(name) <= 79 or "\0" in keyword:
        raise ValueError(f"a PNG keyword has 1 to 79 characters, not {keyword!r}")
    text = text.replace("\0", "")
    if keyword != XMP_KEY:
        try:
            return _chunk(b"tEXt", name + b"\0" + text.encode("latin-1"))
        except UnicodeEncodeError:
            pass
    return _chunk(b"iTXt", name + b"\0\0\0\0\0" + text.encode("utf-8", "replace"))


def _decode(kind: bytes, data: bytes, limit: int) -> tuple[str, str]:
    """Keyword and text of one chunk; ("", "") when it is malformed or unpacks to more than `limit` bytes."""
    keyword, _, rest = data.partition(b"\0")
    packed, encoding = kind == b"zTXt", "latin-1"
    if kind == b"zTXt":
        rest = rest[1:]
    elif kind == b"iTXt":
        packed, encoding = rest[:1] == b"\1", "utf-8"
        pieces = rest[2:].split(b"\0", 2)  # language, translated keyword, text
        if len(pieces) < 3:
            return "", ""
        rest = pieces[2]
    if packed:
        unpacker = zlib.decompressobj()
        try:
            rest = unpacker.decompress(rest, limit)
        except zlib.error:
            return "", ""
        if unpacker.unconsumed_tail:
            return "", ""
    return keyword.decode("latin-1"), rest.decode(encoding, "replace")
