"""Shared set-up: one torch thread per test process, and nothing written outside the test's own folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.promises import (  # noqa: F401
    figure,
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_terminal_summary,
)

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")


def pytest_xdist_auto_num_workers() -> int:
    """Return three test processes for every two cores: a third of their time the tests of the page only wait."""
    return max(1, (os.cpu_count() or 1) * 3 // 2)


@pytest.fixture(autouse=True)
def own_data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point the studio at an empty data directory, so that no test sees or changes the user's own."""
    folder = tmp_path / "data"
    monkeypatch.setenv("STUDIO_DATA_DIR", str(folder))
    return folder
