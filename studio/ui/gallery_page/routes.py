"""All routes of the gallery page: what everybody has, and what only a studio's owner has."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter

from studio.ui.gallery_page.access import Access
from studio.ui.gallery_page.changes import changing_routes
from studio.ui.gallery_page.exporting import exporting_routes
from studio.ui.gallery_page.importing import importing_routes
from studio.ui.gallery_page.reading import reading_routes
from studio.ui.gallery_page.replay import replaying_routes
from studio.ui.session import Sessions
from studio.ui.studio import Studio

GUEST_EXPORT = 200  # pictures in one export of a guest


def gallery_routes(studio: Studio, sessions: Sessions) -> Iterator[APIRouter]:
    """Yield the gallery's routes as this studio's visitors may use them: guests import and delete nothing for good."""
    access = Access(studio, sessions)
    yield reading_routes(access)
    yield changing_routes(access, deletes=not studio.for_guests)
    yield exporting_routes(access, most=GUEST_EXPORT if studio.for_guests else None)
    yield replaying_routes(access)
    if not studio.for_guests:
        yield importing_routes(access, folder=studio.settings.cache_dir / "imports")
