"""studio data build: training data from published picture sets, or from an artist's own folder."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from studio.settings import Settings

PICTOGRAMS = "pictograms"


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `data` with its actions."""
    actions = subparsers.add_parser("data", description="Build training data.").add_subparsers(
        dest="action", required=True
    )
    build = actions.add_parser("build", description="Build a picture pack.")
    build.add_argument("source", metavar="pictograms|FOLDER", help="the published emoji and clip art, or your pictures")
    build.add_argument("--out", type=Path, required=True, metavar="NAME.pack")
    build.add_argument("--cache", type=Path, help="where downloads are kept (pictograms; about 1.3 GB)")
    build.add_argument("--style", default="", help="a word for the style of all pictures of a folder")
    build.add_argument("--licence", default="own", help="recorded with every picture of a folder")
    build.add_argument("--gpl", action="store_true", help="pictograms: from the GPL pictures only")


def run(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    """Build the pack and print what went into it; return the exit status."""
    from studio.training.folder import build_folder
    from studio.training.pictograms import build_pictograms

    if args.source == PICTOGRAMS:
        cache = args.cache or settings.data_dir / "training-sources"
        summary = build_pictograms(args.out, cache, out, gpl=args.gpl)
    else:
        summary = build_folder(args.source, args.out, style=args.style, licence=args.licence, progress=out)
    for name, reason in summary.rejected:
        out(f"left out: {name}: {reason}")
    out(str(summary))
    return 0
