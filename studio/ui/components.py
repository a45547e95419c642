"""The page's own pieces: header, stage, chips, notice. Each is a `gr.HTML` whose value is data.

Their templates are fixed markup without placeholders, and scripts put words in with `textContent`: nothing a
user or a model wrote is ever parsed as HTML or as a template (Gradio's templates would run it).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import gradio as gr

from studio.errors import StudioError
from studio.ui import static_files
from studio.ui.error_texts import told
from studio.ui.stream import IDLE

TEXTS_ROUTE = "/studio/texts.js"


def piece(draw: str, value: Any, *, scripts: Sequence[str] = (), markup: str = "<div></div>", **look: Any) -> gr.HTML:
    """Return a piece drawn by the script function `tessera.<draw>(element, props, trigger, watch)`.

    Args:
        draw: The function's name.
        value: JSON-able data.
        scripts: Script files it needs beside page.js.
        markup: Fixed HTML the script starts from.
        look: Further arguments of gr.HTML; `events` names the events that the script may trigger.
    """
    events = look.pop("events", ())
    head = f'<script src="{TEXTS_ROUTE}"></script>' + static_files.script_tags("page/page.js", *scripts)
    listed = f"/* events: {', '.join(repr(name) for name in events)} */ " if events else ""
    return gr.HTML(
        value,
        html_template=markup,
        js_on_load=f"{listed}tessera.{draw}(element, props, trigger, watch);",
        head=head,
        apply_default_css=False,
        **look,
    )


def header() -> gr.HTML:
    """Return the bar at the top: logo, name, what the engine is doing, light or dark."""
    markup = f"""
<header class="studio-header">
  <span class="studio-logo">{static_files.read("page/logo.svg")}</span>
  <h1>Tessera <span>Studio</span></h1>
  <span class="studio-status" role="status" aria-live="polite"></span>
  <button class="studio-theme" type="button"></button>
</header>
<div class="studio-notice" role="status" hidden></div>"""
    return piece("header", None, markup=markup, elem_classes=["studio-top"])


def stage(elem_id: str, *, idle: str = "idle_title") -> gr.HTML:
    """Return a stage: what a job is doing, its live preview, its steps, its pictures (see `studio.ui.stream`).

    Args:
        elem_id: Names it in the page.
        idle: Key of what it says before the first job; `<idle>_hint`, without "_title", is the key of the line below.
    """
    return piece(
        "stage",
        {**IDLE, "idle": idle},
        scripts=["page/compare.js", "page/stage.js"],
        markup=static_files.read("page/stage.html"),
        elem_id=elem_id,
        elem_classes=["stage-block"],
        events=["choose"],
    )


def style_chips(words: Iterable[str], **look: Any) -> gr.HTML:
    """Return a row of words to click: the browser puts one into the prompt, or takes it out again."""
    return piece("wordChips", {"title": "style_words", "words": list(words)}, **look)


def example_chips(prompts: Iterable[str], **look: Any) -> gr.HTML:
    """Return a row of whole prompts to click: the browser puts one in place of the prompt."""
    return piece("exampleChips", {"title": "examples", "words": list(prompts)}, **look)


def notice() -> gr.HTML:
    """Return a place for one message: what is wrong with the input, and what to do."""
    return piece("notice", None, elem_classes=["notice-block"])


def notice_value(error: StudioError | None) -> dict[str, Any] | None:
    """Return a notice's value for `error`, or for nothing to say."""
    return None if error is None else told(error.message, error.hint)
