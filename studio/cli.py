"""The command line: `studio COMMAND ...`, or nothing to start the studio.

Each command's module is imported only when its name is given, so that `studio --help` and the page start
fast. Exit status: 0 done, 1 failed, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from studio import __version__
from studio.errors import InvalidPicture, InvalidRequest, SettingsError, StudioError
from studio.settings import Settings, load_settings

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its module has `add_arguments(subparsers)` and `run(args, settings, out) -> exit status`."""

    name: str
    help: str
    module: str


COMMANDS = (
    Command("serve", "start the studio (the default)", "studio.commands.serve"),
    Command("generate", "make a picture from a prompt", "studio.commands.generate"),
    Command("stylize", "give a picture a style", "studio.stylize.commands"),
    Command("styles", "list, import and draw ready-made styles", "studio.commands.styles"),
    Command("inpaint", "repaint part of a picture", "studio.inpaint.commands"),
    Command("outpaint", "extend a picture", "studio.inpaint.commands"),
    Command("upscale", "make a picture larger", "studio.enhance.commands"),
    Command("walk", "make a film between two prompts or seeds", "studio.enhance.commands"),
    Command("film", "make a film of how a picture came to be", "studio.film.commands"),
    Command("fork", "go on from a step of a picture's run", "studio.film.commands"),
    Command("codes", "see, edit and share a picture's codes", "studio.codebook.commands"),
    Command("models", "list, convert and check models", "studio.commands.models"),
    Command("gallery", "list, check, export and import pictures", "studio.gallery.commands"),
    Command("origin", "say what pictures tell about their origin", "studio.provenance.commands"),
    Command("data", "build training data", "studio.training.data_commands"),
    Command("train", "train or fine-tune a model", "studio.training.train_commands"),
    Command("eval", "measure models and methods", "studio.commands.evaluate"),
    Command("bench", "measure speed, side by side", "studio.commands.bench"),
    Command("doctor", "say what is here and what is wrong", "studio.commands.doctor"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    names = [command.name for command in COMMANDS]
    if arguments[:1] in (["-h"], ["--help"]):
        print(overview())
        return DONE
    if arguments[:1] == ["--version"]:
        print(f"Tessera Studio {__version__}")
        return DONE
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in names):
        arguments = ["serve", *arguments]
    command = next((c for c in COMMANDS if c.name == arguments[0]), None)
    if command is None:
        print(f'There is no command "{arguments[0]}".\n\n{overview()}', file=sys.stderr)
        return BAD_INPUT
    return execute(command, arguments[1:])


def execute(command: Command, arguments: list[str]) -> int:
    """Parse `arguments` for `command`, run it, and turn errors into a message and an exit status."""
    module = importlib.import_module(command.module)
    args = parser_of(module).parse_args([command.name, *arguments])
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = settings_from(args)
        return int(module.run(args, settings, _print))
    except StudioError as error:
        if getattr(args, "json", False):
            _print(json.dumps({"event": "failed", "message": error.message, "hint": error.hint}))
        print(f"{error.message}\n{error.hint}".rstrip(), file=sys.stderr)
        return BAD_INPUT if isinstance(error, InvalidRequest | InvalidPicture | SettingsError) else FAILED
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def parser_of(module: ModuleType) -> argparse.ArgumentParser:
    """Return a parser of `module`'s commands, with the options that every command takes."""
    parser = argparse.ArgumentParser(prog="studio")
    module.add_arguments(parser.add_subparsers(dest="command", required=True))
    add_data_dir(parser)
    return parser


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Give `parser` and the parsers of its subcommands the --data-dir option."""
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="FOLDER",
        help=Settings.model_fields["data_dir"].description,
    )
    for action in parser._subparsers._group_actions if parser._subparsers else ():
        for child in getattr(action, "choices", None) or {}:
            add_data_dir(action.choices[child])  # type: ignore[index]


def settings_from(args: argparse.Namespace) -> Settings:
    """Return the settings, with those that `args` names on top."""
    given = {name: getattr(args, f"set_{name}", getattr(args, name, None)) for name in Settings.model_fields}
    taken = {"data_dir", *(name for name in given if hasattr(args, f"set_{name}"))}
    return load_settings({name: value for name, value in given.items() if name in taken})


def overview() -> str:
    """Return the list of commands."""
    lines = ["studio COMMAND [options]      (studio COMMAND --help tells more)", ""]
    lines += [f"  {command.name:<10}{command.help}" for command in COMMANDS]
    return "\n".join([*lines, "", "Without a command the studio starts. Every command takes --data-dir FOLDER."])


def _print(*values: object, end: str = "\n") -> None:
    print(*values, end=end, flush=True)


if __name__ == "__main__":
    sys.exit(main())
