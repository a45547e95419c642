"""studio stylize: the same request as the tab's, on files and folders."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from studio.commands.control import add_control_arguments, control_values
from studio.errors import InvalidRequest, UnknownName
from studio.inpaint.headless import SAMPLING, Desk, Out, add_fields, add_output, given
from studio.requests import Stylize, parse
from studio.settings import Settings
from studio.stylize.methods import ALL, METHODS, find_method, suggested
from studio.stylize.presets import SHIPPED, StylePreset, apply_presets, find_preset, load_presets

_FIELDS = (*SAMPLING, "strength", "structure", "keep_colours", "size")


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `stylize`."""
    parser = subparsers.add_parser("stylize", description="Give a picture a style.")
    parser.add_argument("sources", nargs="+", type=Path, metavar="CONTENT", help="pictures, or folders of them")
    parser.add_argument(
        "--style", action="append", default=[], metavar="REF_OR_NAME", help="a style picture, or a preset by name"
    )
    parser.add_argument("--weight", action="append", type=float, metavar="W", help="one per style picture")
    parser.add_argument("--prompt", default="", help="style words, or what the picture shows, for a preset")
    methods = "; ".join(f"{method.name}: {method.help}" for method in METHODS)
    parser.add_argument(
        "--method", action="append", metavar="NAME", help=f"several make a chain; {ALL}: a sheet of all; {methods}"
    )
    add_fields(parser, Stylize, _FIELDS)
    add_control_arguments(parser)
    add_output(parser)


@dataclass(frozen=True, slots=True)
class Styles:
    """What --style named: pictures, and presets."""

    pictures: tuple[Path, ...]
    presets: tuple[StylePreset, ...]


def read_styles(names: list[str], settings: Settings) -> Styles:
    """Tell files from presets; raises UnknownName for what is neither."""
    known = load_presets((SHIPPED, settings.data_dir / "styles"))
    pictures, presets = [], []
    for name in names:
        if Path(name).is_file():
            pictures.append(Path(name))
            continue
        try:
            presets.append(find_preset(name, known))
        except UnknownName as error:
            raise InvalidRequest(
                f'"{name}" is neither a picture file nor a style.', error.hint, field="style"
            ) from error
    return Styles(tuple(pictures), tuple(presets))


def run(args: argparse.Namespace, settings: Settings, out: Out) -> int:
    """Stylize every source; exit status 1 when some of several failed."""
    from studio.codebook.headless import Batch

    styles = read_styles(args.style, settings)
    prompt, negative = apply_presets(styles.presets, args.prompt, args.negative_prompt or "")
    methods = args.method or list(suggested(pictures=bool(styles.pictures)))
    values = {"kind": "stylize", "methods": methods, "prompt": prompt, **given(args, _FIELDS)}
    values |= {"negative_prompt": negative, "reference_weights": args.weight or ()}
    parse(
        {**values, **control_values(args), "content": "0" * 64}
    )  # complain about bad values before anything is loaded
    needs_model = methods == [ALL] or any(find_method(name).has_chance for name in methods)
    batch = Batch(args.sources, args.out)
    desk = Desk(settings, args, out)
    references = [desk.put(path) for path in styles.pictures]
    values |= control_values(args, desk.put)

    def paint(source: Path, target: Path) -> None:
        files = {"content": desk.put(source), "references": references}
        desk.run(desk.complete({**values, **files}, needs_model=needs_model), target if args.out else None)

    return batch.run(paint, desk.say)
