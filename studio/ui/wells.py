"""Picture wells: where an artist puts one picture or several, from a file, the clipboard, the examples, the gallery.

A well's value is {"pictures": [{"ref", "width", "height", "weight"}], "palette": {...} or None}; `page/wells.js` draws
it and fills it through `studio.ui.well_routes`. Pictures are named by content hash, never by path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from PIL import Image

from studio.errors import InvalidPicture, InvalidRequest
from studio.ui import components

_REF = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9-]+")
EQUAL = 50.0  # the weight every picture has until it is changed


@dataclass(frozen=True, slots=True)
class Well:
    """What lies in a well.

    Attributes:
        refs: Content hashes of the pictures.
        weights: One per picture, 0 to 100.
        palette: A palette's content, or nothing.
    """

    refs: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    palette: dict[str, Any] = field(default_factory=dict)


def picture_well(
    title: str, *, examples: Sequence[str] = (), holds: int = 1, weighs: bool = True, **look: Any
) -> gr.HTML:
    """Return a well.

    Args:
        title: Key of its title; `<title>_empty` is the key of what it says while it is empty.
        examples: Names of shipped pictures to offer (see `well_routes.example_files`).
        holds: How many pictures it takes; where it takes several, a palette can be put there.
        weighs: Whether each of several pictures has a weight.
        look: Passed to gr.HTML (elem_id ...).
    """
    assert all(_NAME.fullmatch(name) for name in examples), "an example's name becomes part of the page"
    offered = " ".join(examples)
    data = f'data-title="{title}" data-holds="{holds}" data-weighs="{weighs}" data-examples="{offered}"'
    return components.piece(
        "well",
        empty_well(),
        scripts=["page/wells.js"],
        markup=f'<section class="well" {data}></section>',
        events=["change"],
        **look,
    )


def empty_well() -> dict[str, Any]:
    """Return the value of a well with nothing in it."""
    return {"pictures": [], "palette": None}


def well_value(pictures: Sequence[tuple[str, Image.Image]], weights: Sequence[float] = ()) -> dict[str, Any]:
    """Return a well's value that shows `pictures`, pairs of content hash and picture."""
    shown = weights or [EQUAL] * len(pictures)
    return {
        "pictures": [
            {"ref": ref, "width": picture.width, "height": picture.height, "weight": weight}
            for (ref, picture), weight in zip(pictures, shown, strict=True)
        ],
        "palette": None,
    }


def stored_well(
    refs: Sequence[str], read_picture: Callable[[str], Image.Image], weights: Sequence[float] = ()
) -> dict[str, Any]:
    """Return a well's value that shows the pictures with content hashes `refs`; empty when one of them is gone."""
    try:
        return well_value([(ref, read_picture(ref)) for ref in refs], weights)
    except InvalidPicture:
        return empty_well()


def read_well(value: Any) -> Well:
    """Return what the page says lies in a well.

    Raises:
        InvalidRequest: The value is not one of ours; only a page that was tampered with sends such a thing.
    """
    if not value:
        return Well()
    try:
        pictures = [(str(it["ref"]), float(it.get("weight", EQUAL))) for it in value.get("pictures") or ()]
        palette = dict(value.get("palette") or {})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidRequest("The page sent pictures in a form that is not ours.", "Reload the page.") from error
    if not all(_REF.fullmatch(ref) for ref, _ in pictures):
        raise InvalidRequest("The page sent a picture id that is not one.", "Reload the page.")
    return Well(tuple(ref for ref, _ in pictures), tuple(weight for _, weight in pictures), palette)
