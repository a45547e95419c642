"""The gallery tab: everything made, newest first. Its page is `gallery_page`; here it is tied to the other tabs."""

from __future__ import annotations

from studio.gallery.gallery import RETENTION_DAYS
from studio.ui import components
from studio.ui.tabs.tab import Page, Tab

_MARKUP = "<div data-gallery></div>"


def build(page: Page) -> None:
    """Lay out the tab: one component, whose events send pictures and settings to the other tabs."""
    shelf = components.piece(
        "gallery",
        {
            "sends": list(page.sends.receivers),
            "owns": not page.studio.for_guests,
            "retention_days": RETENTION_DAYS,
        },
        scripts=["gallery_page/mount_gallery.js"],
        markup=_MARKUP,
        events=["send", "reuse", "film"],
        elem_id="gallery",
    )
    page.sends.listen(send=shelf.send, reuse=shelf.reuse, film=shelf.film)


TAB = Tab(id="gallery", title="tab_gallery", build=build)
