"""Shared set-up: one torch thread per test process, and nothing written outside the test's own folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.promises import (  # noqa: F401
    FULL,
    figure,
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_terminal_summary,
)

settings.register_profile("studio", deadline=None)  # a busy machine is no failure
settings.load_profile("studio")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave the long tests to `.ci/thorough`, so that the others take less than a quarter of an hour."""
    if item.get_closest_marker("thorough") and os.environ.get("STUDIO_TESTS") != "all" and not FULL:
        pytest.skip("one of the long tests: STUDIO_TESTS=all python launch.py test")


@pytest.fixture(autouse=True)
def own_data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point the studio at an empty data directory, so that no test sees or changes the user's own."""
    folder = tmp_path / "data"
    monkeypatch.setenv("STUDIO_DATA_DIR", str(folder))
    return folder
