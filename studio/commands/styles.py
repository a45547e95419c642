"""studio styles: the ready-made styles, by name; import from other studios, and pictures for the shelf."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from studio.commands.progress import ProgressBar
from studio.events import Finished
from studio.prompt.style_pictures import StylePictures, keep_picture
from studio.requests import StyleWords
from studio.settings import Settings
from studio.stylize.presets import SHIPPED, StylePreset, find_preset, keep_presets, load_presets, read_presets


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `styles list`, `styles import FILE`, `styles draw`."""
    parser = subparsers.add_parser("styles", description="Ready-made styles for prompts.")
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="list every style with its words")
    taking = actions.add_parser("import", help="take in styles of other studios: A1111's CSV, Fooocus' JSON")
    taking.add_argument("file", type=Path)
    drawing = actions.add_parser("draw", help="make a picture for each style that has none")
    drawing.add_argument("names", nargs="*", metavar="NAME", help="only these, also those that have a picture")
    drawing.add_argument("--prompt", default="a cat", help="what the pictures show (default: %(default)s)")
    drawing.add_argument("--model", default="", help="the model that draws them (default: the studio's)")
    drawing.add_argument("--seed", type=int, default=1, help="the seed of all of them (default: %(default)s)")
    drawing.add_argument("--folder", type=Path, help="a folder of style files (default: your own styles)")


def run(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    """List, import or draw."""
    own = settings.data_dir / "styles"
    if args.action == "import":
        found = read_presets(args.file)
        keep_presets(found, own)
        out(f"{len(found)} styles: {', '.join(style.name for style in found)}")
        return 0
    styles = load_presets((SHIPPED, own))
    if args.action == "list":
        for style in styles.values():
            out(
                f"{style.name:<24}{style.prompt}"
                + (f"  (not: {style.negative_prompt})" if style.negative_prompt else "")
            )
        return 0
    pictures = StylePictures((own, SHIPPED))
    wanted = [find_preset(name, styles) for name in args.names] or [
        style for style in styles.values() if pictures.of(style.name) is None
    ]
    _draw(wanted, args, settings, out)
    return 0


def _draw(
    styles: Iterable[StylePreset], args: argparse.Namespace, settings: Settings, out: Callable[..., None]
) -> None:
    from studio.app import Headless  # torch loads behind this

    studio = Headless(settings)
    bar = ProgressBar(sys.stderr, enabled=sys.stderr.isatty())
    for style in styles:
        words = StyleWords(**style.model_dump())
        values = {"kind": "text_to_image", "prompt": args.prompt, "model": args.model, "seed": args.seed}
        request = studio.complete({**values, "styles": [words.model_dump()]})
        for event in studio.engine.run(request, lambda: False):
            bar.show(event)
            if isinstance(event, Finished):
                path = keep_picture(style.name, event.images[0], args.folder or settings.data_dir / "styles")
                out(f"{style.name:<24}{path}")
