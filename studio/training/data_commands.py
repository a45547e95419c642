"""studio data build: training data from published picture sets or an artist's own folder; the prompt dictionary."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from studio.settings import Settings

PICTOGRAMS, LANGUAGES = "pictograms", "languages"


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `data` with its actions."""
    actions = subparsers.add_parser("data", description="Build training data.").add_subparsers(
        dest="action", required=True
    )
    build = actions.add_parser("build", description="Build a picture pack, or the dictionary of prompts.")
    build.add_argument(
        "source",
        metavar="pictograms|languages|FOLDER",
        help="the published emoji and clip art; the words of prompts in other languages (assets/languages.json); "
        "or your pictures",
    )
    build.add_argument("--out", type=Path, required=True, metavar="NAME.pack", help="for languages a JSON file")
    build.add_argument(
        "--cache", type=Path, help="where downloads are kept (pictograms: about 1.3 GB, languages: 50 MB)"
    )
    build.add_argument("--style", default="", help="a word for the style of all pictures of a folder")
    build.add_argument("--licence", default="own", help="recorded with every picture of a folder")
    build.add_argument("--gpl", action="store_true", help="pictograms: from the GPL pictures only")


def run(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    """Build what is asked for and print what went into it; return the exit status."""
    from studio.training.folder import build_folder
    from studio.training.pictograms import build_pictograms

    cache = args.cache or settings.data_dir / "training-sources"
    if args.source == LANGUAGES:
        return _languages(args.out, cache, out)
    if args.source == PICTOGRAMS:
        summary = build_pictograms(args.out, cache, out, gpl=args.gpl)
    else:
        summary = build_folder(args.source, args.out, style=args.style, licence=args.licence, progress=out)
    for name, reason in summary.rejected:
        out(f"left out: {name}: {reason}")
    out(str(summary))
    return 0


def _languages(target: Path, cache: Path, out: Callable[..., None]) -> int:
    from studio.training.dictionary import build_dictionary
    from studio.training.fetch import fetch_npm
    from studio.training.pictograms import EMOJIBASE

    counts = build_dictionary(fetch_npm(*EMOJIBASE, cache=cache.resolve()), target)
    out(f"{target}: {', '.join(f'{count} words of {language}' for language, count in counts.items())}")
    return 0
