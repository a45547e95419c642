"""studio bench: speed measured side by side in one run, with its spread."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

from studio.settings import Settings


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the groups and options."""
    parser = subparsers.add_parser("bench", description="Measure speed, side by side in one run.")
    parser.add_argument("group", nargs="*", help="engine, models, codes, gallery, style, inpaint (default: all)")
    parser.add_argument(
        "--rounds", type=int, default=0, metavar="N", help="interleaved rounds (default: the group's own)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    """Run the groups one after the other and print each one's table when it is done."""
    from studio.bench import GROUPS, as_text, run_group  # torch loads behind some of them
    from studio.errors import UnknownName

    for name in args.group:
        if name not in GROUPS:
            raise UnknownName("benchmark", name, GROUPS)
    say: Callable[..., None] = (lambda line: None) if args.json else out
    results = {}
    for name in args.group or GROUPS:
        say(f"measuring {name}")
        results[name] = run_group(name, settings, rounds=args.rounds, say=say)
        say("\n" + as_text(name, results[name]) + "\n")
    if args.json:
        out(json.dumps(results))
    return 0
