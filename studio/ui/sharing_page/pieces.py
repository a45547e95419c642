"""The pieces of sharing on the page; their scripts fetch what they show."""

from __future__ import annotations

import gradio as gr

from studio.ui.components import piece

_SCRIPTS = ("sharing_page/look.js",)


def share_bar() -> gr.HTML:
    """Return the owner's share button, bar and panel; the button goes into the header."""
    return piece(
        "share", None, scripts=[*_SCRIPTS, "sharing_page/share.js"], elem_id="share", elem_classes=["share-block"]
    )


def guest_notice() -> gr.HTML:
    """Return the line that tells guests who sees their pictures."""
    return piece("guestNotice", None, scripts=[*_SCRIPTS, "sharing_page/own.js"], elem_classes=["guest-notice-block"])


def own_pictures() -> gr.HTML:
    """Return a guest's own pictures, newest first, to look at and save."""
    return piece("own", None, scripts=[*_SCRIPTS, "sharing_page/own.js"], elem_id="own-pictures")
