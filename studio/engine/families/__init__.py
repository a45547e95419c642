"""One module per kind of model. A new family is a module with `load`, a row here, and a way to recognise it.

Importing this package loads no torch; the modules do.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

FAMILIES: dict[str, str] = {
    "ldm": "studio.engine.families.ldm",
    "masked_tokens": "studio.engine.families.masked_tokens",
    "stable_diffusion": "studio.engine.families.stable_diffusion",
    "pipeline": "studio.engine.families.pipeline",
}


def loader_of(family: str) -> Any:
    """Return the family's `load(card, placement)`: a generator of Loading events that returns the Denoiser."""
    return import_module(FAMILIES[family]).load
