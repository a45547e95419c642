"""Draw the curves of a run's log as one SVG file, without a plotting library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from studio.errors import StudioError
from studio.training.runlog import read_log

_SIZE = (360, 200)  # of one chart, in SVG units
_COLUMNS = 3
_NOT_DRAWN = frozenset({"step", "samples", "seconds", "seconds_left"})
_SMOOTHING = 0.85  # of the strong line over the pale one


def draw_curves(log: Path, out: Path) -> list[str]:
    """Draw every figure of ``log`` over the number of samples; return the names of those drawn.

    Raises StudioError when the log has fewer than two lines.
    """
    lines = read_log(log)
    if len(lines) < 2:
        raise StudioError(f"{log} has {len(lines)} lines, a curve needs two.", hint="Let the run go on for a while.")
    names = sorted({name for line in lines for name, value in line.items() if _is_number(value)} - _NOT_DRAWN)
    charts = [(name, series(lines, name)) for name in names]
    charts = [(name, points) for name, points in charts if len(points) > 1]
    out.write_text(_sheet(charts), encoding="utf-8")
    return [name for name, _ in charts]


def series(lines: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    """Return (samples, value) of the lines that have a finite figure ``name``."""
    return [(float(line["samples"]), float(line[name])) for line in lines if _is_number(line.get(name))]


def smoothed(values: Sequence[float], *, keep: float = _SMOOTHING) -> list[float]:
    """Return an exponential average that starts unbiased (as Adam's, Kingma and Ba 2015, section 3)."""
    average, out = 0.0, []
    for count, value in enumerate(values, 1):
        average = keep * average + (1 - keep) * value
        out.append(average / (1 - keep**count))
    return out


def _sheet(charts: Sequence[tuple[str, Sequence[tuple[float, float]]]]) -> str:
    width, height = _SIZE
    rows = -(-len(charts) // _COLUMNS)
    body = "".join(
        f'<g transform="translate({i % _COLUMNS * width},{i // _COLUMNS * height})">{_chart(name, points)}</g>'
        for i, (name, points) in enumerate(charts)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_COLUMNS * width} {rows * height}" '
        f'font-family="sans-serif" font-size="11" fill="#555">'
        f'<rect width="100%" height="100%" fill="#fff"/>{body}</svg>\n'
    )


def _chart(name: str, points: Sequence[tuple[float, float]]) -> str:
    width, height = _SIZE
    left, top, right, bottom = 48, 24, width - 12, height - 24
    xs, ys = [x for x, _ in points], [y for _, y in points]
    low, high = min(ys), max(ys)
    span_x, span_y = (max(xs) - min(xs)) or 1.0, (high - low) or 1.0

    def line(values: Sequence[float]) -> str:
        return " ".join(
            f"{left + (x - min(xs)) / span_x * (right - left):.1f},{bottom - (y - low) / span_y * (bottom - top):.1f}"
            for x, y in zip(xs, values, strict=True)
        )

    return (
        f'<text x="{left}" y="16" font-weight="bold">{escape(name)}</text>'
        f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#bbb"/>'
        f'<text x="{left - 4}" y="{top + 4}" text-anchor="end">{high:.3g}</text>'
        f'<text x="{left - 4}" y="{bottom}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{right}" y="{bottom + 16}" text-anchor="end">{max(xs):,.0f} samples</text>'
        f'<polyline points="{line(ys)}" fill="none" stroke="#b9d2f5"/>'
        f'<polyline points="{line(smoothed(ys))}" fill="none" stroke="#1b62c4" stroke-width="1.6"/>'
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
