"""The "From gallery" button: a small dialog in which the artist chooses a picture for the tab it stands in.

From a script of the page: `const it = await (await import("../gallery_page/picker.js")).pickPicture()`, which gives
{id, url, thumbnail, width, height, alt} or null.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from studio.errors import StudioError
from studio.ui.components import piece
from studio.ui.tabs.tab import QUICK

_BUTTON = '<button class="gp-button gp-pick" type="button"></button>'


def gallery_picker(
    *, take: Callable[..., Any], outputs: Sequence[Any], title: str = "from_gallery", **look: Any
) -> gr.HTML:
    """Return a button that lets the artist choose a picture from the gallery.

    Args:
        take: Called as `take(record_id, request)` (`request` is the gr.Request), like that of `Sends.receive`; returns
            values for `outputs`. It looks the picture up by `page.entry` or with the session's owner: the id comes
            from the browser. A StudioError it raises is shown.
        outputs: The components to update.
        title: Key of the button's text.
        look: Further arguments of gr.HTML (elem_id, scale, visible ...).
    """
    made = piece("picker", title, scripts=["gallery_page/mount_picker.js"], markup=_BUTTON, events=["pick"], **look)

    def pick(request: gr.Request, event: gr.EventData) -> Any:
        try:
            return take(str(event._data.get("id", "")), request)
        except StudioError as error:
            gr.Warning(html.escape(str(error)))
            return gr.skip() if len(outputs) == 1 else [gr.skip()] * len(outputs)

    made.pick(pick, None, list(outputs), **QUICK)
    return made
