"""What a method gets and what it gives back; no torch."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from studio.events import Event, Film
from studio.inpaint.context import Context
from studio.requests import Stylize

ShouldStop: TypeAlias = Callable[[], bool]
Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """One content picture for one method.

    Attributes:
        request: The settings; prompts, strength and structure are read from it.
        content: RGB, the size to work at.
        references: RGB, none larger than the working size.
        weights: One per reference, not all zero.
        seeds: One per picture wanted; methods without chance make one picture whatever their number.
        original: RGB, the content of the whole chain at the size of `content`, for what keeps its shapes.
        refines: Whether another method of the chain made `content`, whose style is to be kept.
    """

    request: Stylize
    content: Image.Image
    references: tuple[Image.Image, ...]
    weights: tuple[float, ...]
    seeds: tuple[int, ...]
    original: Image.Image
    refines: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """A method's pictures (RGB, any size), what makes them repeatable, sentences for the artist, and its films."""

    pictures: tuple[Image.Image, ...]
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    films: tuple[Film, ...] = ()


Stage: TypeAlias = Generator[Event, None, Outcome | None]
Run: TypeAlias = Callable[[Task, Context, ShouldStop], Stage]
"""A method yields Loading, Step and Decoding, and returns its outcome, or None when it was stopped."""
