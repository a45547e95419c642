"""The ways to fill a masked part. A new one is a function and a line here; importing this loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeAlias

import cv2
import numpy as np

from studio.errors import UnknownName
from studio.events import Event, Step
from studio.inpaint.canvas import Canvas
from studio.inpaint.context import Context
from studio.inpaint.prefill import repair
from studio.requests import Inpaint

Array: TypeAlias = np.ndarray[Any, Any]
ShouldStop: TypeAlias = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Painted:
    """What a method made of the part to work on: pictures (h, w, 3) uint8 of any size, one per seed."""

    pictures: tuple[Array, ...]
    seeds: tuple[int, ...]
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


Run: TypeAlias = Callable[[Canvas, Inpaint, Context, ShouldStop], Generator[Event, None, Painted | None]]
"""A method yields Loading, Step and Decoding (Cancelled when stopped) and returns what it painted, or None."""


@dataclass(frozen=True, slots=True)
class Method:
    """One way to fill the masked part.

    Attributes:
        name: In recipes and on the command line.
        title: For people.
        help: What it is good for.
        function: "module:function" with the signature `Run`, imported when first used.
        needs_model: Whether it runs a diffusion model (prompt, steps and seed count).
    """

    name: str
    title: str
    help: str
    function: str
    needs_model: bool = False

    def load(self) -> Run:
        """Import and return the function."""
        module, function = self.function.split(":")
        return getattr(import_module(module), function)


METHODS: tuple[Method, ...] = (
    Method(
        "diffusion",
        "Paint with words",
        "paints what the prompt says into the mask",
        "studio.inpaint.diffusion:run",
        needs_model=True,
    ),
    Method("telea", "Repair (Telea)", "dust, scratches, small marks; at once", "studio.inpaint.methods:telea"),
    Method(
        "navier_stokes",
        "Repair (Navier-Stokes)",
        "the same, smoother across wide marks",
        "studio.inpaint.methods:navier_stokes",
    ),
)


def find_method(name: str) -> Method:
    """Return the method called `name`; raises UnknownName with the nearest names."""
    for method in METHODS:
        if method.name == name:
            return method
    raise UnknownName("inpainting method", name, (m.name for m in METHODS), field="method")


def telea(
    canvas: Canvas, request: Inpaint, context: Context, should_stop: ShouldStop
) -> Generator[Event, None, Painted]:
    """Method "telea": see `prefill.repair`."""
    return (yield from _repaired(canvas, request, cv2.INPAINT_TELEA))


def navier_stokes(
    canvas: Canvas, request: Inpaint, context: Context, should_stop: ShouldStop
) -> Generator[Event, None, Painted]:
    """Method "navier_stokes": see `prefill.repair`."""
    return (yield from _repaired(canvas, request, cv2.INPAINT_NS))


def _repaired(canvas: Canvas, request: Inpaint, method: int) -> Generator[Event, None, Painted]:
    crop, strength = canvas.crop((canvas.box.width, canvas.box.height))
    picture = repair(crop, strength > 0, method=method)
    yield Step(1, 1)
    notes: tuple[str, ...] = ()
    if (strength > 0).all():
        notes = ("Everything is masked, so there is nothing to repair it from: the picture stayed as it was.",)
    if request.batch > 1:
        notes = (*notes, "Repair makes the same picture for every seed: one was made.")
    return Painted((picture,), (request.seed,), notes=notes)
