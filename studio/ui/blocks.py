"""The page put together: the header, and one `gr.Tab` for each of `TABS`."""

from __future__ import annotations

import gradio as gr

from studio.ui import components
from studio.ui.api import add_api
from studio.ui.drafts import Drafting
from studio.ui.sends import Sends
from studio.ui.session import Sessions
from studio.ui.sharing_page import pieces as sharing
from studio.ui.studio import Studio
from studio.ui.tabs import codebook, create, enhance, gallery, inpaint, models, own_pictures, style, train
from studio.ui.tabs.tab import Page, Tab
from studio.ui.texts import text
from studio.ui.updates import WholeUpdates

TITLE = "Tessera Studio"
TABS: tuple[Tab, ...] = (
    create.TAB,
    style.TAB,
    inpaint.TAB,
    enhance.TAB,
    codebook.TAB,
    gallery.TAB,
    models.TAB,
    train.TAB,
)
FOR_GUESTS: tuple[Tab, ...] = (*(it for it in TABS if it.id in ("create", "style", "inpaint")), own_pictures.TAB)
"""The guests' tabs: no codebook desk, no models, no training, no settings, nothing that deletes."""
_NEED_EXTRAS = frozenset({"codebook", "models", "train"})  # shown where `Studio.extras` has what they work with
_FILES_KEPT_SECONDS = 3600


def build_page(studio: Studio, sessions: Sessions | None = None) -> gr.Blocks:
    """Return the page of `studio`; nothing is loaded or started.

    Args:
        sessions: Tells browsers apart; by default with the key in the data directory.
    """
    sessions = sessions or Sessions.in_folder(studio.settings.data_dir)
    offered = FOR_GUESTS if studio.for_guests else TABS
    tabs = [tab for tab in offered if tab.id not in _NEED_EXTRAS or tab.id in studio.extras]
    sends = Sends([tab.id for tab in tabs if tab.receives])
    with WholeUpdates(
        title=TITLE, analytics_enabled=False, delete_cache=(600, _FILES_KEPT_SECONDS), fill_width=True
    ) as blocks:
        page = Page(studio, sessions, blocks, sends, Drafting(studio.drafts))
        add_api(page)  # first, so that no handler takes its name
        components.header()
        if studio.for_guests:
            sharing.guest_notice()
        elif "share" in studio.extras:
            sharing.share_bar()
        with gr.Tabs(elem_id="tabs") as bar:
            for tab in tabs:
                with gr.Tab(text(tab.title), id=tab.id, elem_id=f"tab-{tab.id}") as page.tabs[tab.id]:
                    tab.build(page)
        sends.connect(bar, recipe_of=page.recipe)
        page.drafts.connect(blocks, sessions)
    _show_no_progress(blocks)
    return blocks


def _show_no_progress(blocks: gr.Blocks) -> None:
    """Take all components out of Gradio's own progress display, which the page hides.

    With every event the browser looks up each component that any event ever wrote to, one by one in the whole tree:
    40 % of the time to open the page, and a pause at every click.
    """
    for event in blocks.fns.values():
        event.show_progress_on = ()
