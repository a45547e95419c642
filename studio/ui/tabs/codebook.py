"""The codebook tab: the page's part is `codebook_page/`, on `codebook_routes`; this ties it to the other tabs."""

from __future__ import annotations

import secrets
from typing import Any

import gradio as gr

from studio.ui.tabs.tab import Page, Tab


def codebook_page() -> gr.HTML:
    """Return the whole tab as one component; its template is constant, no user's text ever becomes part of it.

    Its value is {"open": record id} to open a gallery picture, {"recipe": ...} to bring one back as it was made, and
    {"pictures": [{"id": record id}], "chosen": 0} once one was kept: what "send to" buttons read.
    """
    return gr.HTML(
        value=None,
        html_template="<div data-codebook></div>",
        js_on_load="""
            import(new URL('studio/static/codebook_page/mount.js', document.baseURI).href).then((page) =>
              page.mount(element, {props, watch}));
        """,
        apply_default_css=False,
        container=False,
        elem_id="codebook",
    )


def build(page: Page) -> None:
    """Lay out the tab and take pictures from the other tabs."""
    desk = codebook_page()
    with gr.Row(elem_classes=["cb-sends"]):  # hidden: the page's own menu presses these buttons
        page.sends.buttons(desk, source="codebook")
    page.sends.receive(
        "codebook",
        take=lambda record, request: {"open": record, "turn": secrets.token_hex(4)},
        outputs=[desk],
    )
    page.sends.receive_recipes("edit_tokens", tab="codebook", fill=_recipe, outputs=[desk])


def _recipe(recipe: dict[str, Any]) -> list[dict[str, Any]]:
    kept = {"model": recipe["model"], "start": recipe["tokens"], "source": recipe["source"]}
    return [{"recipe": {**kept, "operations": list(recipe["operations"])}, "turn": secrets.token_hex(4)}]


TAB = Tab(id="codebook", title="tab_codebook", build=build, receives=True)
