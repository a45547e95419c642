"""The log of a run: one JSON object per line, appended, cut back to the checkpoint when a run is resumed."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


class Means:
    """Means of figures between two log lines; figures that a step leaves out are averaged over the others."""

    def __init__(self) -> None:
        self._values: dict[str, list[Tensor | float]] = defaultdict(list)

    def add(self, figures: dict[str, Tensor | float]) -> None:
        """Note the figures of one step; tensors are read only when asked for, so that a GPU is not held up."""
        for name, value in figures.items():
            self._values[name].append(value)

    def take(self) -> dict[str, float]:
        """Return the means and begin again."""
        means = {name: sum(float(v) for v in values) / len(values) for name, values in self._values.items()}
        self._values.clear()
        return means


class RunLog:
    """Appends to ``log.jsonl`` in the folder of a run."""

    def __init__(self, path: Path, *, from_step: int) -> None:
        self.path = path
        kept = [line for line in read_log(path) if line["step"] <= from_step]
        path.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def write(self, line: dict[str, Any]) -> None:
        """Append one line; floats are kept to five digits, NaN becomes null."""
        tidy = {k: _tidy(v) for k, v in line.items()}
        with self.path.open("a") as file:
            file.write(json.dumps(tidy) + "\n")


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log; none when there is no file. A line cut off by a crash is left out."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text().splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return lines


def _tidy(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value
