"""What a tab is, and what it is given to build itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from studio.ui.drafts import Drafting
from studio.ui.sends import Sends
from studio.ui.session import Sessions
from studio.ui.studio import Studio

# How every event of the page is wired: jobs have their own queue, so Gradio's must never hold one back; no
# spinner over the picture; not part of the programming interface (which is `studio.ui.api`).
QUICK: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True, slots=True)
class Page:
    """The page under construction: tabs read `studio`, and find each other through `sends`.

    A tab whose inputs are to outlive a reload names them to `drafts`, as `desk.run` does. `tabs` holds each tab's own
    gr.Tab by id, the one under construction included.
    """

    studio: Studio
    sessions: Sessions
    blocks: gr.Blocks
    sends: Sends
    drafts: Drafting = field(default_factory=lambda: Drafting(None))
    tabs: dict[str, gr.Tab] = field(default_factory=dict)

    def owner(self, request: gr.Request) -> str:
        """Return the session that asks: the owner of the jobs it submits."""
        return self.sessions.of(request)

    def sees(self, request: gr.Request) -> str | None:
        """Return whose pictures the session that asks may see; None: everybody's."""
        return self.studio.sees(self.sessions.of(request))

    def entry(self, record: str, request: gr.Request) -> Any:
        """Return a gallery entry; a missing and a foreign one give the same GalleryError."""
        return self.studio.gallery.get(record, owner=self.sees(request))

    def recipe(self, record: str, request: gr.Request) -> dict[str, Any]:
        """Return the request that makes this very picture, as JSON; raises GalleryError or InvalidRequest."""
        return dict(self.entry(record, request).recipe.single.model_dump(mode="json"))


@dataclass(frozen=True, slots=True)
class Tab:
    """One tab: `build` lays it out inside an open `gr.Tab` and wires its events.

    Attributes:
        id: Names the tab in links, in `Sends` and in `Studio.extras`.
        title: Key of its title in `studio.ui.texts`.
        build: Called once, with the page.
        receives: Whether pictures can be sent here; such a tab calls `page.sends.receive`.
    """

    id: str
    title: str
    build: Callable[[Page], None]
    receives: bool = False
