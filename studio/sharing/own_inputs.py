"""The pictures that guests bring along, each for who brought it: a content hash alone opens nothing here.

A hash stands in every recipe that used the picture, so somebody who was given a recipe would know it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from PIL import Image

from studio.errors import InvalidPicture
from studio.requests import Request
from studio.sharing.apart import Belongings

_MOST_INPUTS = 100_000


class Inputs(Protocol):
    """Where inputs are kept under the hash of their pixels (`studio.pictures.PictureStore`)."""

    def put(self, image: Image.Image, /) -> str: ...

    def get(self, ref: str, /) -> Image.Image: ...

    def __contains__(self, ref: object, /) -> bool: ...


class OwnInputs:
    """`inputs` as one guest after the other sees them.

    Args:
        inputs: Everybody's.
        whose: Returns the guest who is being answered.
    """

    def __init__(self, inputs: Inputs, whose: Callable[[], str]) -> None:
        self._inputs, self._whose = inputs, whose
        self._brought = Belongings(_MOST_INPUTS)

    def put(self, image: Image.Image) -> str:
        """Store a picture, as the guest's, and return its hash."""
        ref = self._inputs.put(image)
        self._brought.claim(*self._name(ref, self._whose()))
        return ref

    def get(self, ref: str) -> Image.Image:
        """Return the guest's picture; raises InvalidPicture for everybody else's, as for one that is not there."""
        if ref not in self:
            raise InvalidPicture("The picture this needs is not here any more.", "Choose it again.")
        return self._inputs.get(ref)

    def __contains__(self, ref: object) -> bool:
        return isinstance(ref, str) and self.has(ref, self._whose()) and ref in self._inputs

    def has(self, ref: str, guest: str) -> bool:
        """Tell whether `guest` brought the picture."""
        return self._brought.has(*self._name(ref, guest))

    def check(self, request: Request, guest: str) -> None:
        """Raise InvalidPicture unless every picture that `request` names is `guest`'s."""
        for ref in picture_refs(request):
            if not self.has(ref, guest):
                raise InvalidPicture("The picture this needs is not here any more.", "Choose it again.")

    @staticmethod
    def _name(ref: str, guest: str) -> tuple[str, str]:
        return f"{guest}/{ref}", guest


def picture_refs(request: Request) -> list[str]:
    """Return the content hashes of the pictures that a request names, and the runs that it forks."""
    found: list[str] = []
    told: Any = request.model_dump()
    while isinstance(told, dict):
        values = (told.get(name) for name in ("source", "mask", "content", "references", "control"))
        found += [ref for value in values if value for ref in ((value,) if isinstance(value, str) else value)]
        found += [str(use.get("picture")) for use in told.get("more_controls") or () if isinstance(use, dict)]
        told = told.get("parent")
    return found
