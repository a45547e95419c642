"""Benchmarks: what the studio promises about speed, measured side by side in one run. `studio bench`.

A group is a module with `run`, and a row in GROUPS. Importing this package imports none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from studio.errors import UnknownName
from studio.settings import Settings


@dataclass(frozen=True, slots=True)
class Group:
    """A group of measurements: its module, its usual number of rounds, and whether it needs the settings."""

    module: str
    rounds: int
    needs_settings: bool = False

    def run(self, settings: Settings, rounds: int) -> dict[str, Any]:
        """Measure, and return JSON-able figures by name."""
        run: Callable[..., dict[str, Any]] = import_module(self.module).run
        return run(settings, rounds) if self.needs_settings else run(rounds)


GROUPS: Mapping[str, Group] = {
    "engine": Group("studio.bench.engine", 20, needs_settings=True),
    "gallery": Group("studio.bench.gallery", 100),
}


def run_group(name: str, settings: Settings, *, rounds: int = 0) -> dict[str, Any]:
    """Run the group called `name` with `rounds` (0: its own number) and return its figures; raises UnknownName."""
    if name not in GROUPS:
        raise UnknownName("benchmark", name, GROUPS)
    return GROUPS[name].run(settings, rounds or GROUPS[name].rounds)


def as_text(name: str, result: Mapping[str, Any]) -> str:
    """Return a group's figures as a table: one line per measurement, plain values first."""
    plain = [
        f"  {key.replace('_', ' ')}: {_shown(value)}" for key, value in result.items() if not isinstance(value, dict)
    ]
    rows = {key: value for key, value in result.items() if isinstance(value, dict)}
    width = max((len(key) for key in rows), default=0)
    lines = [
        f"  {key:<{width}}  " + "  ".join(f"{label.replace('_', ' ')} {_shown(value)}" for label, value in row.items())
        for key, row in rows.items()
    ]
    return "\n".join([name, *plain, *lines])


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:.0f}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_shown(item) for item in value)}]"
    return str(value)
