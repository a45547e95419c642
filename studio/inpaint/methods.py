"""The ways to fill a masked part: a new one is a function and a line here. The page imports this: it loads nothing."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from studio.errors import UnknownName
from studio.events import Event, Film
from studio.requests import Inpaint

if TYPE_CHECKING:
    import numpy as np

    from studio.inpaint.canvas import Canvas
    from studio.inpaint.context import Context

ShouldStop: TypeAlias = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Painted:
    """What a method made of the part to work on: pictures (h, w, 3) uint8 of any size, one per seed; their films."""

    pictures: tuple[np.ndarray[Any, Any], ...]
    seeds: tuple[int, ...]
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    films: tuple[Film, ...] = ()


Run: TypeAlias = "Callable[[Canvas, Inpaint, Context, ShouldStop], Generator[Event, None, Painted | None]]"
"""A method yields Loading, Step and Decoding (Cancelled when stopped) and returns what it painted, or None."""


@dataclass(frozen=True, slots=True)
class Method:
    """One way to fill the masked part.

    Attributes:
        name: In recipes and on the command line.
        title: For people.
        help: What it is good for.
        function: "module:function" with the signature `Run`, imported when first used.
        needs_model: Whether it runs a model (prompt, steps and seed count).
        suits: Fields of Inpaint whose general default does not suit it, with values that do (see assets/docs).
    """

    name: str
    title: str
    help: str
    function: str
    needs_model: bool = False
    suits: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Run:
        """Import and return the function."""
        module, function = self.function.split(":")
        return getattr(import_module(module), function)


# What is filled from its very edge needs no wider hole and no seam hidden: both only take away what is known.
_EXACTLY: Mapping[str, Any] = MappingProxyType({"grow": 0, "feather": 0})

METHODS: tuple[Method, ...] = (
    Method(
        "diffusion",
        "Paint with words",
        "paints what the prompt says into the mask",
        "studio.inpaint.diffusion:run",
        needs_model=True,
    ),
    Method(
        "tokens",
        "Draw tokens anew",
        "a VQGAN's prior draws the masked tokens; several candidates, fast",
        "studio.inpaint.tokens:run",
        needs_model=True,
    ),
    Method(
        "telea",
        "Repair",
        "dust, scratches, small marks; at once",
        "studio.inpaint.classical:telea",
        suits=_EXACTLY,
    ),
    Method(
        "navier_stokes",
        "Repair, smooth",
        "the same, smoother across wide marks",
        "studio.inpaint.classical:navier_stokes",
        suits=_EXACTLY,
    ),
)


def find_method(name: str) -> Method:
    """Return the method called `name`; raises UnknownName with the nearest names."""
    for method in METHODS:
        if method.name == name:
            return method
    raise UnknownName("inpainting method", name, (m.name for m in METHODS), field="method")
