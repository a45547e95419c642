"""Galleries for the tests, each in its own folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.gallery import Gallery


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gallery"


@pytest.fixture
def gallery(folder: Path) -> Iterator[Gallery]:
    with Gallery(folder, reserve_bytes=0) as opened:
        yield opened


@pytest.fixture
def reopen(folder: Path) -> Iterator[Callable[..., Gallery]]:
    """Open the gallery's folder (anew); closed at the test's end."""
    opened: list[Gallery] = []

    def open_again(**options: Any) -> Gallery:
        opened.append(Gallery(folder, **{"reserve_bytes": 0, **options}))
        return opened[-1]

    yield open_again
    for one in opened:
        one.close()
