"""A picture as text: its codes, bit-packed, with the model's checksum and a CRC, as a URL-safe string.

Layout, before base64url without padding: magic "TM", version, packing, checksum (8 bytes); then as LEB128
numbers K, factor, width, height, payload length; then the payload and a CRC-32 of all before it. A string
that is cut short is told from a damaged one by its length. The packing that is shortest is used:
bits (every code in ceil(log2 K) bits), table (the codes in use, then indices into them), or deflate.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from studio.atomic import write_atomically
from studio.codebook.tokens import MAX_PIXELS, Codes, TokenMap, check_same_model, grid_shape
from studio.errors import InvalidRequest

MAGIC, VERSION = b"TM", 1
PREFIX = "tessera."
CHECKSUM_BYTES = 8
MAX_CHARACTERS = 400_000
MAX_TOKENS = 300_000
SUFFIX = ".tokens"
Packing = Literal["bits", "table", "deflate"]
PACKINGS: tuple[Packing, ...] = ("bits", "table", "deflate")


def share(tokens: TokenMap) -> str:
    """Return `tokens` as one URL-safe string; raises InvalidRequest when it would be too long to paste."""
    packing, payload = pack(tokens.codes, tokens.codebook_size)
    head = MAGIC + bytes([VERSION, PACKINGS.index(packing)]) + bytes.fromhex(tokens.checksum)[:CHECKSUM_BYTES]
    numbers = (tokens.codebook_size, tokens.factor, *tokens.size, len(payload))
    body = head + b"".join(_leb128(n) for n in numbers) + payload
    text = PREFIX + base64.urlsafe_b64encode(body + _crc(body)).decode().rstrip("=")
    if len(text) > MAX_CHARACTERS:
        raise InvalidRequest(
            f"The picture as text has {len(text):,} characters; up to {MAX_CHARACTERS:,} can be pasted.",
            "Share a smaller picture.",
        )
    return text


def unshare(text: str, *, checksum: str = "") -> TokenMap:
    """Return the token map of a share string.

    Args:
        text: The string; spaces, line breaks and quotes around it do not matter.
        checksum: The checksum of the model to decode with; empty: not compared, and the map keeps the 16 digits
            of the string.

    Raises:
        InvalidRequest: It is no share string, cut short, damaged, of a newer version, or of another model.
    """
    body = _bytes(text)
    if len(body) < 4 or body[:2] != MAGIC:
        raise InvalidRequest("This text is not a picture.", f'A shared picture begins with "{PREFIX}".')
    if body[2] != VERSION:
        raise InvalidRequest(
            f"This picture was shared in format {body[2]}; this studio knows format {VERSION}.",
            "Update the studio.",
        )
    reader = _Reader(body, 4)
    found = reader.take(CHECKSUM_BYTES).hex()
    codebook_size, factor, width, height, length = (reader.number() for _ in range(5))
    payload, crc = reader.take(length), reader.take(4)
    if len(body) != reader.at or crc != _crc(body[: reader.at - 4]) or body[3] >= len(PACKINGS):
        raise InvalidRequest("The text of this picture is damaged: its checksum does not match.", "Copy it again.")
    if checksum:
        check_same_model(found, checksum, "picture")
    shape = _shape(codebook_size, factor, width, height)
    codes = unpack(PACKINGS[body[3]], payload, shape, codebook_size)
    return TokenMap(codes, (width, height), factor, codebook_size, checksum or found)


def save_share(tokens: TokenMap, path: Path) -> None:
    """Write the share string as a small text file."""
    write_atomically(path, (share(tokens) + "\n").encode())


def load_share(path: Path, *, checksum: str = "") -> TokenMap:
    """Read a file written by `save_share`; raises InvalidRequest like `unshare`."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CHARACTERS + 1024)
        return unshare(content.decode("ascii"), checksum=checksum)
    except OSError as error:
        raise InvalidRequest(f'"{path.name}" cannot be read: {error.strerror}.', "Choose another file.") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f'"{path.name}" is not a shared picture.', "Choose a .tokens file.") from error


def pack(codes: Codes, codebook_size: int) -> tuple[Packing, bytes]:
    """Return the shortest packing of `codes` and its bytes."""
    used = np.unique(codes)
    gaps = b"".join(_leb128(int(n)) for n in np.diff(used, prepend=0))
    choices: dict[Packing, bytes] = {
        "bits": pack_bits(codes.ravel(), bits_for(codebook_size)),
        "table": _leb128(len(used)) + gaps + pack_bits(np.searchsorted(used, codes).ravel(), bits_for(len(used))),
        "deflate": zlib.compress(codes.astype("<u4" if codebook_size > 65_536 else "<u2").tobytes(), 9),
    }
    packing = min(choices, key=lambda name: len(choices[name]))
    return packing, choices[packing]


def unpack(packing: Packing, payload: bytes, shape: tuple[int, int], codebook_size: int) -> Codes:
    """Return the codes (h, w) that `pack` packed; raises InvalidRequest when the bytes do not fit the shape."""
    count = shape[0] * shape[1]
    if packing == "deflate":
        width = 4 if codebook_size > 65_536 else 2
        raw = _inflate(payload, count * width)
        codes = np.frombuffer(raw, f"<u{width}").astype(np.int64)
    elif packing == "bits":
        codes = unpack_bits(payload, count, bits_for(codebook_size))
    else:
        reader = _Reader(payload, 0)
        table = np.cumsum([reader.number() for _ in range(min(reader.number(), codebook_size))])
        index = unpack_bits(payload[reader.at :], count, bits_for(len(table)))
        if not len(table) or index.max(initial=0) >= len(table):
            raise _misfit()
        codes = table[index]
    if len(codes) != count:
        raise _misfit()
    return codes.reshape(shape).astype(np.int32)


def bits_for(count: int) -> int:
    """Return the bits that number `count` things: 0 for one, 10 for 1024."""
    return max(count - 1, 0).bit_length()


def pack_bits(values: NDArray[np.integer], bits: int) -> bytes:
    """Pack `values` (n,) with `bits` each, most significant first, zero-padded to whole bytes."""
    planes = (values[:, None].astype(np.int64) >> np.arange(bits - 1, -1, -1)) & 1  # (n, bits)
    return np.packbits(planes.astype(np.uint8)).tobytes()


def unpack_bits(data: bytes, count: int, bits: int) -> NDArray[np.int64]:
    """Unpack `count` values of `bits` each; raises InvalidRequest when `data` has another length."""
    if len(data) != -(-count * bits // 8):
        raise _misfit()
    planes = np.unpackbits(np.frombuffer(data, np.uint8), count=count * bits).reshape(count, bits)
    return planes.astype(np.int64) @ (1 << np.arange(bits - 1, -1, -1, dtype=np.int64))


class _Reader:
    """Reads bytes and LEB128 numbers, and says when the text ends too soon."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self.at = data, at

    def take(self, count: int) -> bytes:
        missing = self.at + count - len(self._data)
        if missing > 0:
            raise InvalidRequest(
                f"The text of this picture is cut short: {missing} bytes or more are missing.",
                "Copy all of it, to the very end.",
            )
        self.at += count
        return self._data[self.at - count : self.at]

    def number(self) -> int:
        value = shift = 0
        while shift < 35:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise _misfit()


def _bytes(text: str) -> bytes:
    text = "".join(text.split()).strip("\"'<>")
    if len(text) > MAX_CHARACTERS:
        raise InvalidRequest(f"The text is too long for a picture ({len(text):,} characters).", "Copy it again.")
    text = text.removeprefix(PREFIX)
    whole = text[: len(text) - (len(text) % 4 == 1)]  # one character carries less than a byte
    try:
        return base64.b64decode(whole + "=" * (-len(whole) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("This text is not a picture.", f'A shared picture begins with "{PREFIX}".') from error


def _shape(codebook_size: int, factor: int, width: int, height: int) -> tuple[int, int]:
    if not (1 <= factor <= 256 and 1 <= codebook_size <= 2**24 and width >= 1 and height >= 1):
        raise _misfit()
    rows, columns = grid_shape((width, height), factor)
    if rows * columns > MAX_TOKENS or width * height > MAX_PIXELS:
        raise InvalidRequest(
            f"The text describes a picture of {width} x {height} pixels, more than this studio opens.",
            "Ask for a smaller one.",
        )
    return rows, columns


def _inflate(payload: bytes, limit: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(payload, limit)
    except zlib.error as error:
        raise _misfit() from error


def _leb128(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _crc(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "big")


def _misfit() -> InvalidRequest:
    return InvalidRequest("The text of this picture is damaged: its parts do not fit together.", "Copy it again.")
