"""studio upscale and studio walk: larger pictures, and films between two prompts or seeds."""

from __future__ import annotations

import argparse
from pathlib import Path

from studio.errors import InvalidRequest
from studio.inpaint.headless import SAMPLING, Desk, Out, add_fields, add_output, given
from studio.requests import Upscale, Walk, parse
from studio.settings import Settings

_UPSCALE = (*SAMPLING, "scale", "method", "upscaler", "strength")
_WALK = (*(name for name in SAMPLING if name != "batch"), "width", "height", "to_prompt", "to_seed", "frames", "fps")
_SWITCHES = ("ease", "bounce")
_ENDINGS = {".mp4": "mp4", ".gif": "gif", ".webp": "webp"}


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `upscale` and `walk`."""
    upscale = subparsers.add_parser("upscale", description="Make a picture 2 or 4 times larger.")
    upscale.add_argument("sources", nargs="+", type=Path, metavar="IN", help="pictures, or folders of them")
    upscale.add_argument("--prompt", default="", help="what the picture shows, for --method refine")
    add_fields(upscale, Upscale, _UPSCALE)
    add_output(upscale)
    walk = subparsers.add_parser("walk", description="Make a film from one prompt or seed to another.")
    walk.add_argument("prompt", help="where it begins")
    add_fields(walk, Walk, (*_WALK, *_SWITCHES))
    walk.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .mp4, .gif or .webp")
    walk.add_argument("--json", action="store_true", help="print one JSON object a line per event")


def run(args: argparse.Namespace, settings: Settings, out: Out) -> int:
    """Upscale every source, or make one film."""
    return _walk(args, settings, out) if args.command == "walk" else _upscale(args, settings, out)


def _upscale(args: argparse.Namespace, settings: Settings, out: Out) -> int:
    from studio.codebook.headless import Batch

    values = {"kind": "upscale", "prompt": args.prompt, **given(args, _UPSCALE)}
    if "scale" in values:
        values["scale"] = int(values["scale"]) if str(values["scale"]).isdecimal() else values["scale"]
    parse({**values, "source": "0" * 64})  # complain about bad values before anything is loaded
    batch, desk = Batch(args.sources, args.out), Desk(settings, args, out)

    def enlarge(source: Path, target: Path) -> None:
        request = desk.complete({**values, "source": desk.put(source)}, needs_model=values.get("method") == "refine")
        desk.run(request, target if args.out else None)

    return batch.run(enlarge, desk.say)


def _walk(args: argparse.Namespace, settings: Settings, out: Out) -> int:
    if args.out.suffix.lower() not in _ENDINGS:
        raise InvalidRequest(f'"{args.out}" does not end in .mp4, .gif or .webp.', field="out")
    values = {"kind": "walk", "prompt": args.prompt, "format": _ENDINGS[args.out.suffix.lower()]}
    values |= given(args, (*_WALK, *_SWITCHES))
    parse(values)
    desk = Desk(settings, args, out)
    desk.run_to_file(desk.studio.complete(values), args.out)
    return 0
