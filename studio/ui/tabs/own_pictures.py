"""The guests' tab of their own pictures: look and save. Deleting, collections and other people's are not there."""

from __future__ import annotations

from studio.ui.sharing_page.pieces import own_pictures
from studio.ui.tabs.tab import Page, Tab


def build(page: Page) -> None:
    """Lay out the tab; `own.js` asks the gallery's reading routes for the pictures of who looks."""
    own_pictures()


TAB = Tab(id="own", title="tab_own_pictures", build=build)
