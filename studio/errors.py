"""Everything that can go wrong in words an artist can act on.

One tree under `StudioError`; third-party exceptions are translated at the edge of the layer that meets
them, with `from`. A message says what happened, with the values; the hint says what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class StudioError(Exception):
    """A failure with a remedy.

    Args:
        message: What happened, with the values, as one or two plain sentences.
        hint: What to do about it; may be empty when the message already says so.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes whatever a subclass's own arguments are."""
        return _revived, (type(self), self.args), self.__dict__


class InvalidRequest(StudioError):
    """A request with a value that is out of bounds, missing or not understood."""

    def __init__(self, message: str, hint: str = "", *, field: str = "") -> None:
        super().__init__(message, hint)
        self.field = field


class UnknownName(InvalidRequest):
    """A model, scheduler, method or preset that does not exist; the nearest names are suggested."""

    def __init__(self, what: str, name: str, known: Iterable[str], *, field: str = "") -> None:
        names = sorted(known)
        near = get_close_matches(name, names, n=3, cutoff=0.4)
        if near:
            hint = f"Did you mean {_either(near)}?"
        elif names:
            hint = f"There is {_either(names[:12])}."
        else:
            hint = f"There is no {what} yet."
        super().__init__(f'There is no {what} "{name[:80]}".', hint, field=field)


class ModelError(StudioError):
    """A checkpoint that is missing, damaged, of another architecture, or not safe to open."""


class OutOfMemory(StudioError):
    """The device has too little memory; the hint names the largest setting that fits.

    Attributes:
        spoils_thread: A library goes on failing on the thread it happened to, even when there is memory again.
    """

    spoils_thread = False


class InvalidResult(StudioError):
    """The model produced NaN or infinity: nothing is saved."""


class InvalidPicture(StudioError):
    """A file that is not a picture, or one that is damaged, too large or of an unsupported kind."""


class GalleryError(StudioError):
    """The gallery could not be read or written: full disk, missing permission, damaged index."""


class QueueFull(StudioError):
    """The queue, or one session's share of it, is full."""


class SettingsError(StudioError):
    """A settings file, environment variable or command-line value that cannot be used."""


def _revived(kind: type[StudioError], args: tuple[Any, ...]) -> StudioError:
    error = kind.__new__(kind)
    error.args = args
    return error


def _either(names: list[str]) -> str:
    quoted = [f'"{name}"' for name in names]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + f" or {quoted[-1]}"
