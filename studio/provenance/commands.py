"""studio origin FILE ...: what pictures say about how they were made."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from studio.provenance.reading import Origin, origin_of
from studio.settings import Settings


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `origin`."""
    parser = subparsers.add_parser(
        "origin", description="Look for marks of AI origin: XMP, Content Credentials, the studio's invisible mark."
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="PNG, JPEG or WebP pictures")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    """Say what each file says; return 0 when all are marked, 1 when one is not."""
    marked = True
    for path in args.files:
        found = origin_of(path)
        marked &= found.is_marked
        out(json.dumps({"file": path.name, **found.as_dict()}) if args.json else f"{path.name}\n{describe(found)}")
    return 0 if marked else 1


def describe(origin: Origin) -> str:
    """Return the findings in words, a line for each kind of mark."""
    made = ", ".join(filter(None, (origin.source_type, origin.software, origin.system)))
    invisible = "there" if origin.invisible else "not there"
    return "\n".join(
        [
            f"  XMP                  {made or 'says nothing'}",
            f"  Content Credentials  {_credentials(origin)}",
            f"  invisible mark       {invisible} ({origin.score:.1f} deviations from chance)",
        ]
    )


def _credentials(origin: Origin) -> str:
    found = origin.credentials
    if found is None:
        return "cannot be read here (pip install c2pa-python)"
    if found.state == "none":
        return "none"
    if found.state == "valid":
        return (
            f"unchanged since {found.software or 'an unnamed program'} signed it (signer not verified: {found.signer})"
        )
    return f"broken: the file was changed after it was signed ({', '.join(found.problems) or 'no reason given'})"
