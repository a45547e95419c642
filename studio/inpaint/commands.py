"""studio inpaint and studio outpaint: the same requests as the tab's, on files and folders."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from studio.commands.control import add_control_arguments, control_values
from studio.engine.catalog import scan
from studio.errors import InvalidRequest
from studio.inpaint.headless import SAMPLING, Desk, Out, add_fields, add_output, given
from studio.inpaint.methods import METHODS
from studio.inpaint.standard import standard_settings
from studio.requests import Inpaint, parse
from studio.settings import Settings

_SHARED = (*SAMPLING, "strength", "feather", "match_colours", "size")
_MASKED = ("area", "padding", "grow", "prefill", "fill_colour", "soft")
_SIDES = ("left", "top", "right", "bottom")


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `inpaint` and `outpaint`."""
    inpaint = subparsers.add_parser("inpaint", description="Repaint part of a picture, or repair it.")
    inpaint.add_argument("sources", nargs="+", type=Path, metavar="IN", help="pictures, or folders of them")
    inpaint.add_argument(
        "--mask", type=Path, required=True, help="white is what to paint; a folder holds one of each source's name"
    )
    methods = ", ".join(f"{method.name} ({method.help})" for method in METHODS)
    inpaint.add_argument("--method", metavar="NAME", help=f"how the part is filled: {methods}")
    outpaint = subparsers.add_parser("outpaint", description="Extend a picture.")
    outpaint.add_argument("sources", nargs="+", type=Path, metavar="IN", help="pictures, or folders of them")
    for side in _SIDES:
        outpaint.add_argument(f"--{side}", type=int, default=0, metavar="PIXELS", help=f"extend the {side} side")
    outpaint.add_argument("--all", type=int, default=0, metavar="PIXELS", help="extend every side")
    for parser in (inpaint, outpaint):
        parser.add_argument("--prompt", default="", help="what the painted part should show")
        add_fields(parser, Inpaint, _SHARED)
        add_control_arguments(parser)
        add_output(parser)
    add_fields(inpaint, Inpaint, _MASKED)
    add_fields(outpaint, Inpaint, ("padding",))


def run(args: argparse.Namespace, settings: Settings, out: Out) -> int:
    """Paint every source; exit status 1 when some of several failed."""
    from studio.codebook.headless import Batch

    values = {"kind": "inpaint", "prompt": args.prompt, **given(args, (*_SHARED, "padding"))}
    if args.command == "inpaint":
        values |= given(args, (*_MASKED, "method"))
    else:
        values["extend"] = extension(args)
    parse({**values, **control_values(args), "source": "0" * 64})  # complain about bad values before anything is loaded
    batch = Batch(args.sources, args.out)
    masks = {source: _mask_for(source, args.mask) for source in batch.sources} if args.command == "inpaint" else {}
    desk = Desk(settings, args, out)
    values |= control_values(args, desk.put)
    models = partial(scan, settings.checkpoint_folders)
    own = standard_settings(values.get("method", "diffusion"), models, values.get("model", ""))

    def paint(source: Path, target: Path) -> None:
        files = {"source": desk.put(source), **({"mask": desk.put(masks[source])} if masks else {})}
        if values.get("control_preprocessor") == "inpaint" and "control" not in values:
            files["control"] = files["source"]  # it is what such a network was made to see
        desk.run(parse({**own, **values, **files}), target if args.out else None)

    return batch.run(paint, desk.say)


def extension(args: argparse.Namespace) -> tuple[int, ...]:
    """Return the pixels to add on the left, top, right and bottom.

    Raises:
        InvalidRequest: No side is extended.
    """
    sides = tuple(getattr(args, side) or args.all for side in _SIDES)
    if not any(sides):
        raise InvalidRequest("No side is extended.", "Say how far, in pixels: --right 64, or --all 64.", field="extend")
    return sides


def _mask_for(source: Path, mask: Path) -> Path:
    if not mask.exists():
        raise InvalidRequest(f'There is no "{mask}".', "Give a mask picture, or a folder of them.", field="mask")
    if not mask.is_dir():
        return mask
    found = sorted(path for path in mask.iterdir() if path.stem == source.stem)
    if not found:
        raise InvalidRequest(f'"{mask.name}" holds no mask called "{source.stem}".', "Name masks like their pictures.")
    return found[0]
