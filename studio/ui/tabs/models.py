"""The Models tab, for the studio's owner: its page is `models_page`, on files alone."""

from __future__ import annotations

from studio.ui import components
from studio.ui.tabs.tab import Page, Tab


def build(page: Page) -> None:
    """Lay out the tab: one component."""
    components.piece(
        "models",
        None,
        scripts=["models_page/mount_models.js"],
        markup="<div data-models></div>",
        elem_id="models",
    )


TAB = Tab(id="models", title="tab_models", build=build)
