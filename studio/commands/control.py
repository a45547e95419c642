"""The flags of control pictures: `--control` once for each picture, and how each acts."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from studio.errors import InvalidRequest
from studio.fields import field_spec
from studio.requests import MAX_CONTROLS, Controlled

_HOW = ("net", "preprocessor", "scale", "start", "end")


def add_control_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --control, and one flag for each way in which a control picture acts."""
    parser.add_argument(
        "--control",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help=f"a picture whose shapes steer the run; up to {MAX_CONTROLS}",
    )
    for name in _HOW:
        spec = field_spec(Controlled, f"control_{name}")
        limits = f", {spec.range_text()}" if spec.minimum is not None else ""
        text = f"{spec.help or spec.title}{limits}; once for all pictures, or once for each, in order"
        parser.add_argument(f"--control-{name}", action="append", default=[], metavar="VALUE", help=text)


def control_values(args: argparse.Namespace, put: Callable[[Path], str] = lambda path: "0" * 64) -> dict[str, Any]:
    """Return the fields of a request that the flags say.

    Args:
        put: Stores a picture file and returns its hash; without it only the flags are checked.

    Raises:
        InvalidRequest: There are more pictures than a run takes, or values for other than all of them.
        InvalidPicture: As `put` does.
    """
    count = len(args.control)
    if count > MAX_CONTROLS:
        raise InvalidRequest(
            f"There are {count} control pictures, and a run takes {MAX_CONTROLS}.", "Leave some out.", field="control"
        )
    how = {name: _for_each(name, getattr(args, f"control_{name}"), max(count, 1)) for name in _HOW}
    uses = [{name: values[place] for name, values in how.items() if values} for place in range(max(count, 1))]
    values: dict[str, Any] = {f"control_{name}": value for name, value in uses[0].items()}
    pictures = [put(path) for path in args.control]
    if pictures:
        values["control"] = pictures[0]
        values["more_controls"] = [{"picture": ref, **use} for ref, use in zip(pictures[1:], uses[1:], strict=True)]
    return values


def _for_each(name: str, given: list[str], count: int) -> list[str]:
    """Return the value of each of `count` pictures; nothing where none is given."""
    if len(given) > 1 and len(given) != count:
        raise InvalidRequest(
            f"--control-{name} is given {len(given)} times ({', '.join(given)}), for {count} control "
            f"picture{'s' if count > 1 else ''}.",
            "Give it once for all pictures, or once for each.",
            field=f"control_{name}",
        )
    return given * count if len(given) == 1 else given
