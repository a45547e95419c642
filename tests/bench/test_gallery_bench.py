"""The gallery's benchmark on a few hundred rows: every figure with its interval, and the noise beside it."""

from __future__ import annotations

import pytest

from studio.bench import as_text, gallery
from studio.gallery import Gallery


def test_reads_are_interleaved_and_every_figure_has_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real = Gallery.page

    def page(self: Gallery, *args: object, **options: object) -> object:
        calls.append("page" if args else "search")
        return real(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(gallery, "ROWS", 300)
    monkeypatch.setattr(Gallery, "page", page)
    result = gallery.run(4)
    assert len(calls) == 5 * 5  # five arms, and a round that is thrown away
    assert all(sorted(calls[at : at + 5]) == ["page"] * 3 + ["search"] * 2 for at in range(0, 25, 5))
    for name in ("page", "filtered page", "search", "save"):
        row = result[name]
        low, high = row["interval_ms"]
        assert row["rounds"] == 4 and 0 < low <= row["p50_ms"] <= high and row["p50_ms"] <= row["p95_ms"]
    assert (result["page"]["goal_ms"], result["search"]["goal_ms"]) == (20, 50)
    for name in ("page", "search"):
        low, high = result[f"{name} / {name} (noise)"]["interval"]
        assert 0 < low <= result[f"{name} / {name} (noise)"]["ratio"] <= high
    assert "interval ms [" in as_text("gallery", result) and not [name for name in result if "again" in name]
