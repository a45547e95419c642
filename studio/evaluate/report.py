"""What the evaluations of methods share: measurements kept as they are made, and the table they end in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, TypeVar

from PIL import Image

from studio.errors import InvalidRequest, StudioError

Row = TypeVar("Row")
Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Missing:
    """The row of a method that cannot run here: why, and what to do about it."""

    method: str
    missing: str


class Log:
    """Measurements by what was measured, one JSON line each: a run that was cut goes on where it stopped.

    Args:
        path: The file to read and to append to; None keeps nothing.

    Raises:
        InvalidRequest: The file cannot be read or holds something else.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known: dict[str, Figures] = {}
        if path is not None and path.exists():
            try:
                lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
                self._known = {_name(line["what"]): line["figures"] for line in lines}
            except (OSError, ValueError, TypeError, KeyError) as error:
                raise InvalidRequest(
                    f'"{path.name}" is not a log of measurements: {error}.', "Give another file, or remove it."
                ) from error

    def figures(self, what: Mapping[str, Any], measure: Callable[[], Figures]) -> Figures:
        """Return the figures of `what`: those of the log, or measured now and written down."""
        name = _name(what)
        if name not in self._known:
            self._known[name] = measure()
            if self._path is not None:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"what": what, "figures": self._known[name]}) + "\n")
        return self._known[name]


def rows_of(methods: Mapping[str, Callable[[], Sequence[Row]]], *, say: Callable[[str], None]) -> list[Row | Missing]:
    """Return every method's rows, measured one after the other, or one that says why it cannot run.

    Args:
        methods: What measures each, by the method's name.
        say: Is told which is being measured.
    """
    found: list[Row | Missing] = []
    for number, (name, measure) in enumerate(methods.items(), 1):
        say(f"{name} ({number} of {len(methods)})")
        try:
            found += measure()
        except StudioError as error:
            found.append(Missing(name, reason(error)))
    return found


def reason(error: StudioError) -> str:
    """Return what happened and what to do, in one line."""
    return " ".join(part for part in (error.message, error.hint) if part)


def means(measured: Sequence[Figures]) -> dict[str, float]:
    """Return the mean of every figure over `measured`."""
    return {name: mean(figures[name] for figures in measured) for name in measured[0]}


def markdown(columns: Mapping[str, Callable[[Row], str]], rows: Iterable[Row | Missing]) -> str:
    """Return `rows` as a Markdown table; `columns` says how each cell is written, "method" among them."""
    lines = [list(columns), ["---"] * len(columns)]
    for row in rows:
        if isinstance(row, Missing):
            cells = {
                **dict.fromkeys(columns, "–"),
                list(columns)[-1]: f"cannot run: {row.missing}",
                "method": row.method,
            }
            lines.append(list(cells.values()))
        else:
            lines.append([cell(row) for cell in columns.values()])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def said(settings: Mapping[str, Any]) -> str:
    """Return settings as a table says them: "strength 0.5, structure 0", or "defaults"."""
    return ", ".join(f"{name} {value:g}" for name, value in settings.items()) or "defaults"


def fitted(picture: Image.Image, side: int) -> Image.Image:
    """Return `picture` in RGB with its longer side `side` pixels long."""
    scale = side / max(picture.size)
    size = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _name(what: Mapping[str, Any]) -> str:
    return json.dumps(what, sort_keys=True)
