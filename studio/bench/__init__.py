"""Benchmarks: what the studio promises about speed, measured side by side in one run. `studio bench`.

A group is a module with `run`, and a row in GROUPS. Importing this package imports none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from studio.errors import UnknownName
from studio.settings import Settings


@dataclass(frozen=True, slots=True)
class Group:
    """A group of measurements.

    Attributes:
        module: Has `run(rounds)`, or `run(X, rounds)` where X is what `needs` names; with a context `say` too.
        rounds: How many are usual.
        needs: "settings"; "context": an engine with everything around it; or nothing.
    """

    module: str
    rounds: int
    needs: Literal["", "settings", "context"] = ""

    def run(self, settings: Settings, rounds: int, *, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
        """Measure, and return JSON-able figures by name; `say` is told of each as it is made, where it takes long."""
        run: Callable[..., dict[str, Any]] = import_module(self.module).run
        if self.needs == "settings":
            return run(settings, rounds)
        return run(_context(settings), rounds, say=say) if self.needs == "context" else run(rounds)


GROUPS: Mapping[str, Group] = {
    "engine": Group("studio.bench.engine", 20, needs="settings"),
    "models": Group("studio.bench.models", 10, needs="settings"),
    "codes": Group("studio.bench.codes", 20),
    "gallery": Group("studio.bench.gallery", 100),
    "style": Group("studio.bench.style", 5, needs="context"),
    "inpaint": Group("studio.bench.inpaint", 5, needs="context"),
}


def run_group(
    name: str, settings: Settings, *, rounds: int = 0, say: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Run the group called `name` with `rounds` (0: its own number) and return its figures; raises UnknownName."""
    if name not in GROUPS:
        raise UnknownName("benchmark", name, GROUPS)
    return GROUPS[name].run(settings, rounds or GROUPS[name].rounds, say=say)


def as_text(name: str, result: Mapping[str, Any]) -> str:
    """Return a group's figures as a table: plain values first, then one line per measurement."""
    rows = dict(_rows(result))
    plain = [f"  {key.replace('_', ' ')}: {_shown(value)}" for key, value in result.items() if not _is_table(value)]
    width = max((len(key) for key in rows), default=0)
    lines = [
        f"  {key:<{width}}  " + "  ".join(f"{label.replace('_', ' ')} {_shown(value)}" for label, value in row.items())
        for key, row in rows.items()
    ]
    return "\n".join([name, *plain, *lines])


def _rows(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every dictionary of plain values in `table`, however deep, with the names that lead to it."""
    for key, value in table.items():
        if not _is_table(value):
            continue
        if any(_is_table(inner) for inner in value.values()):
            yield from _rows(value, f"{above}{key} ")
        else:
            yield f"{above}{key}", value


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _context(settings: Settings) -> Any:
    from studio.engine.engine import Engine
    from studio.handlers import Codebooks
    from studio.inpaint.context import Context

    return Context.of(Engine(settings), Codebooks(settings).load_or_default)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:.0f}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_shown(item) for item in value)}]"
    return str(value)
