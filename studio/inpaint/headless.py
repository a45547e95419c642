"""What the command lines of inpainting and style transfer share: flags, pictures in, one request after another."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from studio.atomic import write_atomically
from studio.commands.progress import ProgressBar, event_as_json
from studio.engine.catalog import scan
from studio.events import Finished
from studio.fields import field_spec
from studio.pictures import open_picture
from studio.requests import Request, parse
from studio.settings import Settings

if TYPE_CHECKING:
    from studio.app import Headless

Out = Callable[..., None]
SAMPLING = ("negative_prompt", "model", "vae", "steps", "guidance_scale", "scheduler", "seed", "batch", "temperature")


def add_fields(parser: argparse.ArgumentParser, request: type[Request], names: Sequence[str]) -> None:
    """Add one flag per field of `request`, with its help and bounds."""
    for name in names:
        spec = field_spec(request, name)
        flag, text = f"--{name.replace('_', '-')}", spec.help or spec.title
        if spec.type is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            limits = f", {spec.range_text()}" if spec.minimum is not None else ""
            parser.add_argument(flag, metavar="VALUE", help=f"{text}{limits}")


def given(args: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """Return the fields that were given on the command line."""
    return {name: value for name in names if (value := getattr(args, name)) is not None}


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add --out and --json."""
    parser.add_argument(
        "--out", type=Path, metavar="PATH", help="the PNG to write, or a folder for several (default: the gallery)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line per event")


class Desk:
    """The studio without a page, for one command: pictures in by file, requests run with progress."""

    def __init__(self, settings: Settings, args: argparse.Namespace, out: Out) -> None:
        from studio.app import Headless  # torch loads behind this

        self.studio: Headless = Headless(settings)
        self._settings, self._json, self._out = settings, args.json, out
        self._bar = ProgressBar(sys.stderr, enabled=not args.json and sys.stderr.isatty())

    def put(self, path: Path) -> str:
        """Open a picture file, say what was converted, and return the hash that requests refer to it by.

        Raises:
            InvalidPicture: It is not a picture, damaged or too large.
        """
        opened = open_picture(path)
        for note in opened.notes:
            self.say(f"{path.name}: {note}")
        return self.put_image(opened.image)

    def put_image(self, image: Image.Image) -> str:
        """Store a picture for a request."""
        return self.studio.pictures.put(image)

    def complete(self, values: dict[str, Any], *, needs_model: bool) -> Request:
        """Return the request, with the model's standard steps, scheduler and guidance where `values` say nothing."""
        if needs_model:
            card = scan(self._settings.checkpoint_folders).find(str(values.get("model", "")))
            preset = card.preset("standard")
            own = {"steps": preset.steps, "scheduler": preset.scheduler, "guidance_scale": preset.guidance_scale}
            values = {**own, **values}
        return parse(values)

    def run(self, request: Request, target: Path | None) -> None:
        """Run one request, show its progress, and print notes, files, seeds and seconds."""
        if target is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
        for event in self.studio.events(request, out=target):
            self._bar.show(event)
            if self._json:
                self._out(json.dumps(event_as_json(event)))
            elif isinstance(event, Finished):
                for note in event.notes:
                    self._out(note)
                for path, seed in zip(event.extras["files"], event.seeds, strict=True):
                    self._out(f"{path}  seed {seed}  {event.seconds:.1f} s")

    def run_to_file(self, request: Request, target: Path) -> None:
        """Run a request whose result is one file, and write that to `target`."""
        target.parent.mkdir(parents=True, exist_ok=True)
        for event in self.studio.engine.run(request, lambda: False):
            self._bar.show(event)
            if isinstance(event, Finished):
                write_atomically(target, Path(event.extras["file"]).read_bytes())
                event = replace(event, extras={"files": [target]})
                for note in event.notes:
                    self.say(note)
                self.say(f"{target}  {event.seconds:.1f} s")
            if self._json:
                self._out(json.dumps(event_as_json(event)))

    def say(self, text: str) -> None:
        """Print a line for people; with --json there is none."""
        if not self._json:
            self._out(text)
