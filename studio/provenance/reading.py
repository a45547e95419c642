"""What a picture file says about its origin: ours or anybody's, by each of the marks there are."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from html import unescape
from pathlib import Path
from typing import Any

from studio.errors import InvalidPicture, SettingsError
from studio.pictures import open_picture
from studio.provenance import signature, watermark
from studio.provenance.signature import Credentials

_PACKET = re.compile(rb"<x:xmpmeta.{0,1000000}?</x:xmpmeta>", re.DOTALL)  # XMP part 1: packets may be scanned for
_LIMIT_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Origin:
    """What was found.

    Attributes:
        source_type: The last part of IPTC's DigitalSourceType ("trainedAlgorithmicMedia"), or "".
        software: XMP's CreatorTool, or "".
        system: IPTC's AISystemUsed, or "".
        credentials: What the Content Credentials say; None where they cannot be read here.
        score: Of the invisible mark, in standard deviations of chance.
        invisible: Whether the invisible mark is there.
    """

    source_type: str
    software: str
    system: str
    credentials: Credentials | None
    score: float
    invisible: bool

    @property
    def is_marked(self) -> bool:
        """Whether anything says that AI had a part in it."""
        signed = self.credentials is not None and self.credentials.state != "none"
        return "lgorithmicMedia" in self.source_type or self.invisible or signed

    def as_dict(self) -> dict[str, Any]:
        """Return the findings as JSON-able values."""
        return {**asdict(self), "marked": self.is_marked}


def origin_of(path: Path) -> Origin:
    """Return what the picture in `path` says.

    Raises:
        InvalidPicture: It is no PNG, JPEG or WebP, or it is damaged.
    """
    image = open_picture(path).image
    data = path.read_bytes()
    if len(data) > _LIMIT_BYTES:
        raise InvalidPicture(f'"{path.name}" is too large.', "Make it smaller.")
    found = _PACKET.search(data)
    packet = found[0].decode("utf-8", "replace") if found else ""
    reading = watermark.detect(image)
    return Origin(
        source_type=_value(packet, "DigitalSourceType").rsplit("/", 1)[-1],
        software=_value(packet, "CreatorTool"),
        system=_value(packet, "AISystemUsed"),
        credentials=_credentials(data),
        score=round(reading.score, 2),
        invisible=reading.is_marked,
    )


def _value(packet: str, name: str) -> str:
    """A property, whether it is written as an attribute or as an element."""
    found = re.search(rf"""\b\w+:{name}(?:=(?:"([^"]*)"|'([^']*)')|>([^<]*)<)""", packet)
    return unescape(next((it for it in found.groups() if it is not None), "")) if found else ""


def _credentials(data: bytes) -> Credentials | None:
    kind = "image/png" if data[:4] == b"\x89PNG" else "image/jpeg" if data[:2] == b"\xff\xd8" else "image/webp"
    try:
        return signature.read(data, kind)
    except SettingsError:
        return None
