"""studio serve: start the studio and print its address."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from studio.settings import Settings


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options that override settings."""
    parser = subparsers.add_parser("serve", description="Start the studio.")
    help_of = {name: field.description for name, field in Settings.model_fields.items()}
    parser.add_argument("--host", dest="set_host", help=help_of["host"])
    parser.add_argument("--port", dest="set_port", metavar="NUMBER", help=help_of["port"])
    parser.add_argument("--share", dest="set_share", action="store_true", default=None, help=help_of["share"])
    parser.add_argument("--listen", dest="set_listen", action="store_true", default=None, help=help_of["listen"])
    parser.add_argument(
        "--no-browser", dest="set_browser", action="store_false", default=None, help="do not open a browser"
    )
    parser.add_argument("--device", dest="set_device", help=help_of["device"])


def run(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    """Serve until interrupted."""
    from studio.app import serve

    serve(settings, out)
    return 0
