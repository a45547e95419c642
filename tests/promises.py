"""The reliability group: `pytest -m reliability`, and the table of figures that it publishes.

A test belongs to the group when its docstring names a promise ("R5"). It may hand figures to the table through the
`figure` fixture. Small numbers by default; `STUDIO_RELIABILITY=full` runs the published ones:

    STUDIO_RELIABILITY=full python launch.py test -m reliability --reliability-table=assets/docs/reliability.md
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FULL = os.environ.get("STUDIO_RELIABILITY") == "full"
PROMISES = {
    "R1": "A job that runs out of memory fails with a sentence, and the next one is as if nothing had happened",
    "R2": "NaN is an error, never a black picture",
    "R3": "A job stops within a step, leaves nothing behind, and its place is really free",
    "R4": "Who loses the connection finds the result in the gallery",
    "R5": "kill -9 while saving: what was acknowledged is there, whole; nothing is half",
    "R6": "A second studio cannot write to the same gallery, and is told who does",
    "R7": "On a full disk: a clear error, nothing half, and deleting still works",
    "R8": "A damaged checkpoint is refused in one line; the model in use stays",
    "R9": "A damaged picture or recipe is refused, and nothing crashes",
    "R10": "A crowd at the door: everyone gets the picture they asked for",
    "R11": "Memory, files, threads and processes do not grow with use",
    "R12": "Order and retention survive a clock that jumps",
    "R13": "Any text goes round and comes back, and no name breaks the disk",
    "R14": "100,000 pictures: paging shows each once, also while more arrive",
    "R15": "Queued jobs survive a restart, seeds kept; one that kills the studio twice is retired",
    "R16": "A crash or hang of the engine costs one job; a new engine takes over",
    "R17": "The same seed gives the same pixels, also after a failure, a stop, another model, a restart",
    "R18": "An old gallery opens, a newer one is refused untouched, a killed upgrade leaves old or new",
    "R19": "A backup made while pictures are saved is whole",
    "R20": "No route without the gate, and nobody's bytes reach anybody else",
}
LONGEST = ("test_soak.py", "test_engine_faults.py")  # begun first in the full run, so that no core waits for the other
_NAMED = re.compile(r"\bR(?:1\d|20|[1-9])\b")


def count(small: int, full: int) -> int:
    """Return how often to try: `small` times, or `full` in the full run."""
    return full if FULL else small


def promises_of(item: pytest.Item) -> list[str]:
    """Return the promises that a test's docstring names."""
    return named(getattr(getattr(item, "function", None), "__doc__", None) or "")


def named(text: str) -> list[str]:
    """Return the promises that a text names, each once."""
    return [name for name in dict.fromkeys(_NAMED.findall(text)) if name in PROMISES]


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return a function that puts figures into the table: `figure(kills=1000, lost=0)`."""

    def note(**figures: Any) -> None:
        request.node.user_properties.append(("figures", figures))

    return note


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--reliability-table", type=Path, metavar="FILE", help="write the promises and figures there")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "reliability: holds a promise of assets/docs/reliability.md")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if names := promises_of(item):
            item.add_marker(pytest.mark.reliability)
            item.user_properties.append(("promises", names))
            if FULL:
                item.add_marker(pytest.mark.timeout(1500))
    if FULL:
        items.sort(key=lambda item: item.path.name not in LONGEST)


def collected(reports: list[pytest.TestReport]) -> dict[str, dict[str, Any]]:
    """Return for every promise its tests' outcomes and seconds, and the figures of those that held."""
    table: dict[str, dict[str, Any]] = {
        name: {"passed": 0, "failed": 0, "skipped": 0, "seconds": 0.0, "figures": []} for name in PROMISES
    }
    for report in reports:
        told = dict(report.user_properties)
        for name in told.get("promises", ()):
            row = table[name]
            row[report.outcome] += 1
            row["seconds"] += report.duration
            if report.outcome == "passed":
                row["figures"] += [figures for key, figures in report.user_properties if key == "figures"]
    return table


def as_markdown(table: dict[str, dict[str, Any]], *, cores: int) -> str:
    """Return the published table."""
    size = "full" if FULL else "small"
    lines = [
        "# What the studio promises, and how it held",
        "",
        f"Made by `STUDIO_RELIABILITY={size} python launch.py test -m reliability --reliability-table="
        f"assets/docs/reliability.md` on {cores} cores, Python {platform.python_version()}, {platform.system()}. "
        "A test names its promise in its docstring. Hours of use in a loop, with a line of figures a minute: "
        "`.venv/bin/python -m tests.reliability.soak --hours 24`.",
        "",
        "| | Promise | Tests | Figures | Seconds |",
        "|---|---|---|---|---|",
    ]
    for name, row in table.items():
        tests = f"{row['passed']} passed" + "".join(f", {row[it]} {it}" for it in ("failed", "skipped") if row[it])
        figures = "; ".join(
            ", ".join(f"{_words(key)} {_shown(value)}" for key, value in it.items()) for it in gathered(row["figures"])
        )
        lines.append(f"| {name} | {PROMISES[name]} | {tests} | {figures} | {row['seconds']:.0f} |")
    return "\n".join(lines) + "\n"


def gathered(figures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the figures of a promise with those of one test's cases together: counts add up, of measures the worst."""
    found: dict[tuple[object, ...], dict[str, Any]] = {}
    for one in figures:
        words = tuple(value for value in one.values() if isinstance(value, str))
        together = found.setdefault((*one, *words), {})
        for key, value in one.items():
            before = together.get(key, value)
            together[key] = before + value if key in together and isinstance(value, int) else max(before, value)
    return list(found.values())


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    path = config.getoption("--reliability-table")
    if path is None:
        return
    reports = [
        report
        for outcome in ("passed", "failed", "skipped")
        for report in terminalreporter.stats.get(outcome, [])
        if getattr(report, "when", "") == "call" or (outcome == "skipped" and getattr(report, "when", "") == "setup")
    ]
    path.write_text(as_markdown(collected(reports), cores=os.cpu_count() or 1), encoding="utf-8")
    terminalreporter.write_line(f"reliability table: {path}")


def _words(key: str) -> str:
    return key.replace("_", " ")


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) else str(value)
