"""Use without end leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.promises import FULL, count
from tests.reliability.soak import soak


def test_hours_of_use_leave_nothing_behind(tmp_path: Path, figure: Callable[..., None]) -> None:
    """R11: more than 8 minutes in the full run, where memory is judged; 24 hours: python -m tests.reliability.soak."""
    verdict = soak(tmp_path, count(4, 500))
    figure(**verdict)
    assert verdict["wrong"] == 0
    assert verdict["files_more"] <= 8
    assert verdict["threads_more"] <= 4
    assert verdict["temporary_files"] == 0
    if FULL:
        assert verdict["page_mb_per_1000_jobs"] < 4
        assert verdict["engine_mb_per_1000_jobs"] < 4
