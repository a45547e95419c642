"""Use without end leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.promises import FULL, count
from tests.reliability.soak import Watched, soak


@pytest.mark.thorough
def test_hours_of_use_leave_nothing_behind(tmp_path: Path, figure: Callable[..., None]) -> None:
    """R11: more than 8 minutes in the full run, where memory is judged; 24 hours: python -m tests.reliability.soak."""
    verdict = soak(tmp_path, count(4, 500))
    figure(**verdict)
    assert verdict["wrong"] == 0
    assert verdict["temporary_files"] == 0
    if FULL:
        assert verdict["files_more"] <= 2
        assert verdict["threads_more"] <= 2
        assert verdict["page_mb_per_1000_jobs"] < 1
        assert verdict["engine_mb_per_1000_jobs"] < 1


def test_a_leak_is_told_from_a_cache_that_fills_and_from_noise() -> None:
    """R11: what the verdict can see: 2 MB per 1,000 jobs among samples that jump by 8; a full cache is none."""
    watched = Watched()
    for sample in range(300):
        noise = (sample * 7919 % 17) / 2
        watched.jobs.append(sample * 10)
        watched.page_mb.append(500 + min(sample, 100) + noise)  # a cache that is full after 1,000 jobs
        watched.engine_mb.append(500 + sample * 0.02 + noise)
        watched.files.append(28 + (sample % 50 == 0) * 9)  # one is open now and then
        watched.threads.append(9 + sample // 100)
    verdict = watched.verdict()
    assert abs(verdict["page_mb_per_1000_jobs"]) < 0.2
    assert 1.8 < verdict["engine_mb_per_1000_jobs"] < 2.2
    assert (verdict["files_more"], verdict["threads_more"]) == (0, 1)
