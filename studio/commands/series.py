"""Grids and batches on the command line; part of `studio generate`.

studio generate "a red cat" --x search_replace=red,green,blue --y steps=10,20
studio generate --batch prompts.txt --steps 30
studio generate --resume
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.commands.progress import ProgressBar, event_as_json
from studio.errors import InvalidRequest
from studio.events import Finished
from studio.requests import Request, StyleWords, TextToImage, parse
from studio.series.axes import axis_fields, read_axis
from studio.series.batch_file import read_batch
from studio.series.plan import Series, SeriesFolder, batch, grid
from studio.series.run import make_series, make_sheet, sheet_facts
from studio.settings import Settings
from studio.stylize.presets import SHIPPED, load_presets

if TYPE_CHECKING:
    from studio.app import Headless

AXES = ("x", "y", "z")


def add_series_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --x, --y, --z and --resume."""
    for axis in AXES:
        parser.add_argument(
            f"--{axis}",
            metavar="FIELD=VALUES",
            help=f"what varies along {axis} of a grid: steps=10,20 or seed=1-4 or search_replace=red,blue; "
            f"fields: {', '.join(axis_fields())}",
        )
    parser.add_argument(
        "--resume", nargs="?", const="latest", metavar="ID", help="go on with a grid or batch that was stopped"
    )


def names_a_file(batch: str | None) -> bool:
    """Whether --batch names a file, and no number of pictures."""
    try:
        float(batch or 0)
    except ValueError:
        return True
    return False


def asks_for_series(args: argparse.Namespace) -> bool:
    """Whether the flags ask for more than one run."""
    return names_a_file(args.batch) or args.resume is not None or any(getattr(args, axis) for axis in AXES)


def run_series(studio: Headless, args: argparse.Namespace, values: dict[str, Any], *, out: Callable[..., None]) -> int:
    """Make a grid or a batch; everything goes into the gallery, a grid's picture also to --out.

    Returns:
        0, or 1 when a picture could not be made.
    """
    from studio.gallery import Gallery

    folder = SeriesFolder(studio.settings.data_dir / "series")
    series = _resumed(folder, args.resume) if args.resume else _planned(studio, args, values)
    if args.out is not None and not series.axes:
        raise InvalidRequest("--out is for one picture, or for a grid.", "A batch goes into the gallery.")
    with Gallery(studio.settings.gallery_dir):
        folder.keep(series)  # a gallery that cannot be written is said now, not once for each picture
    try:
        make_series(series, make=_maker(studio, args, series, out), keep=folder.keep)
    except KeyboardInterrupt:
        out(f"{series.done} of {len(series.cells)} are made. Go on: studio generate --resume {series.id}")
        raise
    if series.axes and series.records:
        _write_sheet(studio.settings, folder, series, args, out)
    for cell in series.cells:
        if cell.error:
            out(f"not made: {cell.request['prompt'][:60]}: {cell.error}")
    return 1 if any(cell.error for cell in series.cells) else 0


def _planned(studio: Headless, args: argparse.Namespace, values: dict[str, Any]) -> Series:
    base = studio.complete({**values, "prompt": values["prompt"] or "."}, quality=args.quality)
    assert isinstance(base, TextToImage)
    if not any(getattr(args, axis) for axis in AXES):
        path = Path(args.batch)
        if not path.is_file():
            raise InvalidRequest(f'"{args.batch}" is neither a number of pictures nor a file.', field="batch")
        lines = read_batch(path.read_bytes(), name=path.name)
        settings = base.model_dump()
        if not values["prompt"]:
            del settings["prompt"]
        return batch(settings, lines, title=path.stem)
    known = load_presets((SHIPPED, studio.settings.data_dir / "styles"))
    styles = {name: StyleWords(**style.model_dump()) for name, style in known.items()}
    axes = []
    for axis in AXES:
        if asked := getattr(args, axis):
            field, equals, words = asked.partition("=")
            if not equals:
                raise InvalidRequest(f"--{axis} {asked} names no values.", f"Write --{axis} steps=10,20,30.")
            axes.append(read_axis(field.strip().replace("-", "_"), words, base=base, styles=styles))
    parse({**base.model_dump(), "prompt": values["prompt"] or _first_prompt(axes)})
    return grid(base, axes)


def _first_prompt(axes: list[Any]) -> str:
    return next((str(axis.values[0]) for axis in axes if axis.field == "prompt"), "")


def _resumed(folder: SeriesFolder, wanted: str) -> Series:
    if wanted != "latest":
        series = folder.get(wanted, owner=None)
    else:
        open_ones = [one for one in folder.all(owner="") if not one.is_complete or any(c.error for c in one.cells)]
        if not open_ones:
            raise InvalidRequest("No grid or batch of the command line was stopped.", "Start one with --x or --batch.")
        series = open_ones[0]
    series.retry()
    return series


def _maker(
    studio: Headless, args: argparse.Namespace, series: Series, out: Callable[..., None]
) -> Callable[[Request], str]:
    bar = ProgressBar(sys.stderr, enabled=not args.json and sys.stderr.isatty())

    def make(request: Request) -> str:
        for event in studio.events(request):
            bar.show(event)
            if args.json:
                out(json.dumps({"picture": series.done + 1, "of": len(series.cells), **event_as_json(event)}))
            if isinstance(event, Finished):
                if not args.json:
                    out(f"{series.done + 1} of {len(series.cells)}  {event.extras['files'][0]}  seed {event.seeds[0]}")
                return event.records[0]
        raise InvalidRequest("The run ended without a picture.")

    return make


def _write_sheet(
    settings: Settings, folder: SeriesFolder, series: Series, args: argparse.Namespace, out: Callable[..., None]
) -> None:
    from studio.gallery import Gallery
    from studio.gallery.loose import write_picture

    with Gallery(settings.gallery_dir) as gallery:
        picture = make_sheet(series, open_picture=gallery.open)
        request, facts = parse(series.cells[0].request), sheet_facts(series)
        entry = gallery.save(
            picture, request=request, seed=None, facts=facts, job_id="", owner="", parents=series.records
        )
        series.sheet = entry.id
        folder.keep(series)
    if args.out is not None:
        write_picture(args.out, picture, request=request, seed=None, facts=facts)
    out(
        json.dumps({"event": "sheet", "file": str(args.out or entry.path)})
        if args.json
        else str(args.out or entry.path)
    )
