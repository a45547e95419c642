"""studio codes: everything the Codebook tab does, headless, on files and folders. Importing this loads no torch."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from studio.codebook.choices import MAX_FRAMES, ORDERS, STYLES
from studio.settings import Settings

Out = Callable[..., None]
_PICTURES = "pictures, .tokens files, or folders of them"


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `codes` and what it can do."""
    codes = subparsers.add_parser("codes", description="See, edit and share a picture's codes.")
    actions = codes.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, help: str) -> argparse.ArgumentParser:
        parser = actions.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        parser.add_argument("--model", default="", help="the VQGAN's name or folder (default: the first there is)")
        return parser

    _add_conversions(action)
    _add_exploration(action)
    _add_sharing(action)


def run(args: argparse.Namespace, settings: Settings, out: Out) -> int:
    """Do one action; exit status 1 when some of several files failed."""
    from studio.codebook import actions

    return actions.run(args, settings, out)


def _add_conversions(action: Callable[[str, str], argparse.ArgumentParser]) -> None:
    encode = action("encode", "turn pictures into .tokens files")
    encode.add_argument("sources", nargs="+", type=Path, help=_PICTURES)
    encode.add_argument("--out", type=Path, required=True, help="a .tokens file, or a folder for several")
    decode = action("decode", "turn .tokens files (or pictures, through their codes) into PNG")
    decode.add_argument("sources", nargs="+", type=Path, help=_PICTURES)
    decode.add_argument("--out", type=Path, required=True, help="a .png file, or a folder for several")
    change = action("apply", "apply a palette or operations to pictures")
    change.add_argument("sources", nargs="+", type=Path, help=_PICTURES)
    change.add_argument("--out", type=Path, required=True, help="a .png or .tokens file, or a folder for several")
    change.add_argument("--palette", type=Path, help="a palette file")
    change.add_argument("--method", choices=("nearest", "histogram", "transport"), default="transport")
    change.add_argument("--by", choices=("colour", "embedding"), default="colour", help="what counts as near")
    change.add_argument("--strength", type=float, default=1.0, help="share of tokens that change, 0 to 1")
    change.add_argument("--operations", type=Path, help="a JSON file with a list of operations")


def _add_exploration(action: Callable[[str, str], argparse.ArgumentParser]) -> None:
    stats = action("stats", "count codes, and measure what they cost and keep")
    stats.add_argument("sources", nargs="+", type=Path, help=_PICTURES)
    stats.add_argument("--out", type=Path, help="write the counts to this JSON file")
    stats.add_argument("--json", action="store_true", help="print one JSON object")
    atlas = action("atlas", "draw every code as a swatch")
    atlas.add_argument("--out", type=Path, required=True, help="the .png to write")
    atlas.add_argument("--order", choices=ORDERS, default="similarity")
    atlas.add_argument("--columns", type=int, help="default: as many as rows")
    atlas.add_argument("--cell", type=int, default=0, help="pixels of a swatch (default: the model's)")
    atlas.add_argument("--usage", type=Path, help="counts from `stats --out`; unused codes are hidden")
    atlas.add_argument("--all", action="store_true", help="show unused codes, too")
    atlas.add_argument("--seed", type=int, default=0)
    palette = action("palette", "save the codes of a picture as a palette file")
    palette.add_argument("source", type=Path)
    palette.add_argument("--out", type=Path, required=True, help="the .json to write")
    film = action("morph", "make a film from one picture to another, or of one growing")
    film.add_argument("source", type=Path)
    film.add_argument("target", type=Path, nargs="?", help="leave out to let the first grow from one code")
    film.add_argument("--out", type=Path, required=True, help=".mp4, .gif or .webp")
    film.add_argument("--style", choices=STYLES, default="smooth")
    film.add_argument("--frames", type=int, default=24, help=f"2 to {MAX_FRAMES}")
    film.add_argument("--fps", type=float, default=12)
    film.add_argument("--bounce", action="store_true", help="play back to the start")
    film.add_argument("--seed", type=int, default=0)


def _add_sharing(action: Callable[[str, str], argparse.ArgumentParser]) -> None:
    sharing = action("share", "print a picture as one line of text")
    sharing.add_argument("source", type=Path)
    sharing.add_argument("--out", type=Path, help="also write it to this file")
    unsharing = action("unshare", "make the picture of a line of text")
    unsharing.add_argument("text", help="the text, or - to read it from standard input")
    unsharing.add_argument("--out", type=Path, required=True, help="the .png or .tokens to write")
