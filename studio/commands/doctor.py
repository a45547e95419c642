"""studio doctor: what is here and what is wrong, each with a remedy."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

from studio.doctor import examine
from studio.settings import Settings


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the doctor's options."""
    parser = subparsers.add_parser("doctor", description="Say what is here and what is wrong.")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")


def run(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    """Print the report; the exit status is 1 when something is wrong."""
    report = examine(settings)
    out(json.dumps(report.as_dict(), indent=2) if args.json else report.as_text())
    return 1 if report.problems else 0
