"""One studio page with a fake engine for all tests of the page, and a real browser to look at it.

Every test comes as a visitor of its own, so the tests share the server and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from served import browser
from studio_page import Opened, Visit, opened_studio

from studio.ui.studio import Status


@pytest.fixture(scope="session")
def served_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """A studio whose engine is a fake one, served for the whole session."""
    with opened_studio(tmp_path_factory.mktemp("studio")) as studio:
        yield studio


@pytest.fixture
def opened(served_studio: Opened) -> Iterator[Opened]:
    """The studio, with an engine as new and nothing queued."""
    served_studio.engine.settle(served_studio.runner)
    served_studio.status[0] = Status()
    yield served_studio
    served_studio.engine.settle(served_studio.runner)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests; patient, since a busy machine is no failure."""
    expect.set_options(timeout=60_000)
    with browser() as running:
        yield running


@pytest.fixture
def visit(chromium: Browser, opened: Opened) -> Iterator[Visit]:
    """Return a function that opens the studio as a new visitor, or as another tab of the visitor `of`."""
    contexts: list[BrowserContext] = []

    def open_page(*, of: Page | None = None, width: int = 1280, **look: object) -> Page:
        if of is None:
            contexts.append(chromium.new_context(viewport={"width": width, "height": 860}, **look))  # type: ignore[arg-type]
        page = (of.context if of else contexts[-1]).new_page()
        page.set_default_timeout(60_000)
        page.goto(opened.address)
        page.wait_for_selector("#create-stage .stage[data-state]")
        return page

    yield open_page
    for context in contexts:
        context.close()
