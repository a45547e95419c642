"""studio generate: a prompt in, PNG files with their recipe out; the same requests as the tab's, many at once too."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from studio.commands.control import add_control_arguments, control_values
from studio.commands.progress import ProgressBar, event_as_json
from studio.commands.series import add_series_arguments, asks_for_series, names_a_file, run_series
from studio.errors import InvalidRequest
from studio.events import Finished
from studio.fields import field_spec
from studio.pictures import open_picture
from studio.requests import StyleWords, TextToImage, parse
from studio.settings import Settings
from studio.stylize.presets import SHIPPED, find_preset, load_presets

FLAGS = (
    "negative_prompt",
    "model",
    "vae",
    "width",
    "height",
    "steps",
    "guidance_scale",
    "guidance_start",
    "guidance_end",
    "scheduler",
    "seed",
    "batch",
    "auto_stop",
    "temperature",
    "variation_strength",
    "variation_seed",
)


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add one flag per field of the request, with its title, bounds and help."""
    parser = subparsers.add_parser("generate", description="Make a picture from a prompt (see assets/docs/prompts.md).")
    parser.add_argument("prompt", nargs="?", default="", help=field_spec(TextToImage, "prompt").help)
    parser.add_argument(
        "--quality", choices=("draft", "standard", "fine"), help="steps, scheduler and guidance in one word"
    )
    for name in FLAGS:
        spec = field_spec(TextToImage, name)
        if spec.type is bool:
            parser.add_argument(f"--{name.replace('_', '-')}", action=argparse.BooleanOptionalAction, help=spec.help)
            continue
        limits = f", {spec.range_text()}" if spec.minimum is not None else ""
        files = "; or a file of prompts, one a line, CSV or JSON" if name == "batch" else ""
        parser.add_argument(
            f"--{name.replace('_', '-')}", metavar="VALUE", help=f"{spec.help or spec.title}{limits}{files}"
        )
    parser.add_argument(
        "--style", action="append", default=[], metavar="NAME", help="a ready-made style; several stack"
    )
    add_control_arguments(parser)
    add_series_arguments(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="the PNG to write (default: the gallery)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line per event")


def run(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    """Generate, show progress, and print the files, seeds and seconds."""
    values = _values(args, settings)
    from studio.app import Headless  # torch loads behind this

    studio = Headless(settings)
    values |= control_values(args, lambda path: studio.pictures.put(open_picture(path).image))
    if asks_for_series(args):
        return run_series(studio, args, values, out=out)
    request = studio.complete(values, quality=args.quality)
    bar = ProgressBar(sys.stderr, enabled=not args.json and sys.stderr.isatty())
    for event in studio.events(request, out=args.out):
        bar.show(event)
        if args.json:
            out(json.dumps(event_as_json(event)))
        elif isinstance(event, Finished):
            _report(event, out)
    return 0


def _values(args: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Return what the flags say of the request; complains about bad values before anything is loaded."""
    given = {name: getattr(args, name) for name in FLAGS}
    if names_a_file(given["batch"]):
        given["batch"] = None
    values = {"kind": "text_to_image", "prompt": args.prompt, **{k: v for k, v in given.items() if v is not None}}
    values |= control_values(args)
    if args.style:
        known = load_presets((SHIPPED, settings.data_dir / "styles"))
        values["styles"] = [StyleWords(**find_preset(name, known).model_dump()).model_dump() for name in args.style]
    parse({**values, "prompt": args.prompt or ("." if asks_for_series(args) else "")})
    if args.out is not None and args.out.suffix.lower() != ".png":
        raise InvalidRequest(
            f'"{args.out.name}" does not end in .png.', "Pictures are written as PNG: they carry their recipe."
        )
    return values


def _report(finished: Finished, out: Callable[..., None]) -> None:
    for note in finished.notes:
        out(note)
    for place, (path, seed) in enumerate(zip(finished.extras["files"], finished.seeds, strict=True)):
        drawn = finished.facts_of(place).get("drawn")
        out(f"{path}  seed {seed}  {finished.seconds:.1f} s" + (f"  {drawn['prompt']}" if drawn else ""))
