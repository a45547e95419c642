"""studio film and studio fork: what can be done with a picture's run, from the picture's own recipe."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from studio.errors import InvalidPicture, InvalidRequest
from studio.inpaint.headless import Desk, Out, add_fields, given
from studio.requests import Fork, Timelapse, parse
from studio.settings import Settings

_CHANGES = ("prompt", "negative_prompt", "guidance_scale", "seed", "model")
_OWN = ("kind", "parent", "step", "mask", "frame", "source")
_ENDINGS = {".mp4": "mp4", ".gif": "gif", ".webp": "webp"}


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `film` and `fork`."""
    film = subparsers.add_parser("film", description="Make a film of how a picture came to be.")
    film.add_argument("picture", type=Path, metavar="PNG", help="a picture that the studio made from a prompt")
    film.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .mp4, .gif or .webp")
    add_fields(film, Timelapse, ("fps",))
    fork = subparsers.add_parser("fork", description="Go on from a step of a picture's run with other settings.")
    fork.add_argument("picture", type=Path, metavar="PNG", help="a picture that the studio made from a prompt")
    fork.add_argument("--step", type=int, required=True, metavar="K", help="the step to go on from")
    fork.add_argument("--mask", type=Path, metavar="FILE", help="white is what may change")
    fork.add_argument("--frame", action="store_true", help="decode the picture as it stood at that step instead")
    fork.add_argument("--out", type=Path, metavar="FILE", help="the PNG to write (default: the gallery)")
    add_fields(fork, Fork, _CHANGES)
    for parser in (film, fork):
        parser.add_argument("--json", action="store_true", help="print one JSON object a line per event")


def run(args: argparse.Namespace, settings: Settings, out: Out) -> int:
    """Make the film, or the fork."""
    recipe = recipe_of(args.picture)
    if args.command == "film":
        if args.out.suffix.lower() not in _ENDINGS:
            raise InvalidRequest(f'"{args.out}" does not end in .mp4, .gif or .webp.', field="out")
        kind = _ENDINGS[args.out.suffix.lower()]
        request = parse({"kind": "timelapse", "parent": recipe, "format": kind, **given(args, ("fps",))})
        Desk(settings, args, out).run_to_file(request, args.out)
        return 0
    own = {name: value for name, value in recipe.items() if name in Fork.model_fields and name not in _OWN}
    values = {**own, "kind": "fork", "parent": recipe, "step": args.step, "frame": args.frame, **given(args, _CHANGES)}
    parse(values)  # complain about bad values before anything is loaded
    desk = Desk(settings, args, out)
    values["source"] = desk.put(args.picture)
    if args.mask is not None:
        values["mask"] = desk.put(args.mask)
    desk.run(parse(values), args.out)
    return 0


def recipe_of(picture: Path) -> dict[str, Any]:
    """Return the recipe inside a PNG of the studio's.

    Raises:
        InvalidPicture: There is no such file, or no recipe of a run in it.
    """
    from studio.gallery.files import read_recipe

    if not picture.is_file():
        raise InvalidPicture(f'There is no file "{picture}".', "Give a PNG that the studio made.")
    recipe = read_recipe(picture)
    if recipe is None or recipe.request is None:
        raise InvalidPicture(f'"{picture.name}" has no recipe inside.', "Give a PNG that the studio made.")
    return dict(recipe.single.model_dump(mode="json"))
