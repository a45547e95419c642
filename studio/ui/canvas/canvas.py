"""The mask canvas as a Gradio component: `mask_canvas` makes it, `CanvasState` is what a handler reads from it.

The page's half is in the `.js` files beside this one, its pictures travel over `routes.canvas_routes`. The component's
HTML is constant: no text of a user ever becomes part of a template, which Gradio would execute.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.errors import InvalidRequest

_REF = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")


@dataclass(frozen=True, slots=True)
class CanvasState:
    """What lies on a mask canvas.

    Args:
        source: Content hash of the picture, or None before one is opened.
        mask: Content hash of the mask (grey PNG of the picture's size, 255 is painted), or None if nothing is.
        width: Picture width in pixels.
        height: Picture height in pixels.
        coverage: Painted share of the picture in 0..1.
    """

    source: str | None = None
    mask: str | None = None
    width: int = 0
    height: int = 0
    coverage: float = 0.0


def mask_canvas(name: str, *, height: str = "", examples: Sequence[str] = (), **options: Any) -> gr.HTML:
    """Return a mask canvas.

    Args:
        name: What its work is kept under in the browser; lower-case letters, digits and hyphens.
        height: CSS height of the drawing area; empty for one that suits the window.
        examples: Names of shipped pictures that an empty canvas offers, beside the gallery (see `well_routes`).
        options: Passed to gr.HTML (elem_id, visible, scale ...).

    The value goes both ways as a dict with the fields of CanvasState: return `show(source, mask)` from a handler
    to open a picture, read a handler's argument with `read_canvas`. The "change" event fires after each stroke.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"A canvas name is lower-case letters, digits and hyphens, not {name!r}.")
    if not all(_NAME.fullmatch(example) for example in examples):
        raise ValueError(f"An example's name becomes part of the page, so it cannot be one of {examples!r}.")
    style = f' style="--sc-height:{height}"' if height else ""
    offers = f' data-examples="{" ".join(examples)}"' if examples else ""
    return gr.HTML(
        value=None,
        html_template=f'<div data-canvas="{name}"{style}{offers}></div>',
        js_on_load=f"""
            import(new URL('studio/static/canvas/host.js', document.baseURI).href).then((host) =>
              host.mountMask(element, {{name: '{name}', props, watch, changed: () => trigger('change')}}));
        """,
        apply_default_css=False,
        container=False,
        **options,
    )


def flush_js(name: str) -> str:
    """Return the `js=` of an event whose first input is the canvas: it waits until all strokes are in."""
    return f"async (value, ...rest) => [await window.studioCanvases.get('{name}').flush(), ...rest]"


def show(source: str, mask: str | None = None) -> dict[str, Any]:
    """Return the component value that opens picture `source`, with `mask` if given; both content hashes."""
    return {"source": source, "mask": mask}


def read_canvas(value: Any) -> CanvasState:
    """Return what the page says lies on the canvas.

    Raises:
        InvalidRequest: The value is not one of ours; only a page that was tampered with sends such a thing.
    """
    if value is None or value == "":
        return CanvasState()
    if not isinstance(value, dict):
        raise InvalidRequest(f"The canvas sent {type(value).__name__}, not its state.", "Reload the page.")
    refs = [value.get(key) for key in ("source", "mask")]
    if any(ref is not None and not (isinstance(ref, str) and _REF.fullmatch(ref)) for ref in refs):
        raise InvalidRequest("The canvas sent a picture id that is not one.", "Reload the page.")
    try:
        width, height = int(value.get("width") or 0), int(value.get("height") or 0)
        coverage = float(value.get("coverage") or 0)
    except (TypeError, ValueError) as error:
        raise InvalidRequest("The canvas sent a size that is not a number.", "Reload the page.") from error
    if min(width, height) < 0 or not 0 <= coverage <= 1:
        raise InvalidRequest(f"The canvas sent a size of {width} × {height}.", "Reload the page.")
    return CanvasState(source=refs[0], mask=refs[1], width=width, height=height, coverage=coverage)
