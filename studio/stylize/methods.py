"""The methods there are. A new one is a file with a function and a line here; importing this loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Literal

from studio.errors import UnknownName
from studio.requests import Stylize
from studio.stylize.task import Run

Need = Literal["reference", "words"]
ALL = "all"
DENOISING = ("diffusion", "reference")  # run the denoising loop: have a film, take control pictures
_TOKENS = "studio.stylize.tokens"
_FINE = 768  # pixels: smaller pictures are enlarged, so that tokens are small beside what they show


@dataclass(frozen=True, slots=True)
class Method:
    """One way to give a picture a style.

    Attributes:
        name: In recipes and on the command line.
        title: For people.
        help: What it does to a picture, in a few words.
        function: "module:function" with the signature `task.Run`, imported when first used.
        needs: Where the style comes from: a "reference" picture, or "words".
        size: Longer side it works at unless asked otherwise, enlarging where need be; 0: the content's own, never
            enlarged; None: the model's.
        has_chance: Whether another seed gives another picture.
        takes_palette: Whether a palette of codes will do in place of a reference picture.
        keeps_structure: Whether it keeps the content's shapes itself, so that `finish` must not draw them in again.
    """

    name: str
    title: str
    help: str
    function: str
    needs: Need = "reference"
    size: int | None = 0
    has_chance: bool = False
    takes_palette: bool = False
    keeps_structure: bool = False

    def can_use(self, request: Stylize) -> bool:
        """Whether `request` has the style this method takes: pictures, a palette or words."""
        if self.needs == "words":
            return bool(request.prompt)
        return bool(request.references or (self.takes_palette and request.palette))

    def load(self) -> Run:
        """Import and return the function."""
        module, function = self.function.split(":")
        return getattr(import_module(module), function)


METHODS: tuple[Method, ...] = (
    Method("colour", "Colour", "its colours, gently", "studio.stylize.colour:run_statistics"),
    Method("colour_transport", "Colour, fully", "its whole range of colours", "studio.stylize.colour:run_transport"),
    Method(
        "strokes",
        "Strokes",
        "painted with pieces of it",
        "studio.stylize.patches:run",
        size=512,
        keeps_structure=True,
    ),
    Method("adain", "Texture, light", "its contrasts and grain", "studio.stylize.features:run_adain", size=_FINE),
    Method(
        "wct", "Texture, strong", "its grain and how colours go together", "studio.stylize.features:run_wct", size=_FINE
    ),
    Method("tokens", "Mosaic", "redrawn with its tokens", f"{_TOKENS}:run_transport", size=_FINE, takes_palette=True),
    Method(
        "tokens_nearest",
        "Mosaic, nearest",
        "each token its nearest",
        f"{_TOKENS}:run_nearest",
        size=_FINE,
        takes_palette=True,
    ),
    Method(
        "tokens_histogram",
        "Mosaic, by light",
        "dark to dark",
        f"{_TOKENS}:run_histogram",
        size=_FINE,
        takes_palette=True,
    ),
    Method(
        "diffusion",
        "Repaint with words",
        "painted anew in the style you name",
        "studio.stylize.diffusion:run",
        needs="words",
        size=None,
        has_chance=True,
        keeps_structure=True,
    ),
    Method(
        "reference",
        "Repaint like a picture",
        "painted anew after the style picture (needs an IP-Adapter)",
        "studio.stylize.reference:run",
        size=None,
        has_chance=True,
        keeps_structure=True,
    ),
)


def find_method(name: str) -> Method:
    """Return the method called `name`; raises UnknownName with the nearest names."""
    for method in METHODS:
        if method.name == name:
            return method
    raise UnknownName("style-transfer method", name, (*(m.name for m in METHODS), ALL), field="methods")


def suggested(*, pictures: bool, palette: bool = False) -> tuple[str, ...]:
    """Return the methods that suit what there is of a style: pictures, a palette, or else words."""
    if pictures:
        return ("strokes",)
    return ("tokens",) if palette else ("diffusion",)
