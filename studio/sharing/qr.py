"""Links as QR codes: for the terminal, and as a drawing for the owner's page."""

from __future__ import annotations

import io

import segno

_WHITE_ON_BLACK, _PLAIN = "\x1b[97;40m", "\x1b[0m"


def terminal_code(link: str, *, encoding: str | None, colour: bool = False) -> str:
    """Return `link` as a QR code of half blocks; "" where it cannot be shown.

    Args:
        encoding: What the terminal can write.
        colour: Say which colours the blocks have: without, they are light on dark only in a dark terminal.
    """
    drawn = io.StringIO()
    segno.make(link, error="l", micro=False).terminal(drawn, border=2, compact=True)
    lines = drawn.getvalue().rstrip("\n").split("\n")
    try:
        "".join(lines).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ""
    return "\n".join(f"{_WHITE_ON_BLACK}{line}{_PLAIN}" if colour else line for line in lines)


def svg_code(link: str) -> bytes:
    """Return `link` as an SVG drawing, dark on white, with the quiet zone that scanners need."""
    drawn = io.BytesIO()
    segno.make(link, error="m", micro=False).save(
        drawn, kind="svg", border=3, dark="#161514", light="#ffffff", xmldecl=False, svgns=True, omitsize=True
    )
    return drawn.getvalue()
