"""What messages and hints tell a user to type must exist."""

from __future__ import annotations

import argparse
import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from studio.cli import COMMANDS, parser_of
from studio.training.config import AutoencoderConfig, DiffusionConfig, TokensConfig

STUDIO = Path(__file__).parents[1] / "studio"
OF_OTHERS = {"--no-deps", "--nproc-per-node", "--num_processes"}  # pip's, torchrun's, accelerate's


@cache
def sentences() -> tuple[tuple[str, str], ...]:
    """Return (place, text) of all strings with a space in them; the page's are left out, its CSS looks like flags."""
    return tuple(_sentences())


def _sentences() -> Iterator[tuple[str, str]]:
    for path in sorted(STUDIO.rglob("*.py")):
        if (STUDIO / "ui") not in path.parents:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
                    yield f"{path.relative_to(STUDIO)}:{node.lineno}", node.value


def flags_of(parser: argparse.ArgumentParser) -> set[str]:
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found = found.union(*(flags_of(child) for child in action.choices.values()))
    return found


def test_every_flag_that_a_message_names_exists() -> None:
    known = set().union(*(flags_of(parser_of(importlib.import_module(command.module))) for command in COMMANDS))
    named = [(place, flag) for place, text in sentences() for flag in re.findall(r"(?<![\w-])--[a-z][a-z_-]+", text)]
    assert len(named) > 20
    assert [(place, flag) for place, flag in named if flag not in known | OF_OTHERS] == []


def test_every_setting_that_training_names_exists() -> None:
    known = {name for model in (AutoencoderConfig, DiffusionConfig, TokensConfig) for name in model.model_fields}
    places = [(place, text) for place, text in sentences() if place.startswith("training")]
    named = [(place, name) for place, text in places for name in re.findall(r"--set (\w+)=", text)]
    assert len(named) >= 3
    assert [(place, name) for place, name in named if name not in known] == []
