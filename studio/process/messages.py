"""What the page's process and the engine's say to each other over their pipe. Everything here is picklable.

A ticket numbers a request or a call; all that is said of it carries the number. No torch.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from studio.events import Event
from studio.requests import Request


@dataclass(frozen=True, slots=True)
class Run:
    """Page to engine: run `request`; answered by Happened up to an ending, or by Raised, then Done."""

    ticket: int
    request: Request


@dataclass(frozen=True, slots=True)
class Stop:
    """Page to engine: stop that run before its next step."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Call:
    """Page to engine: call the painting desk; answered by Answered or Raised."""

    ticket: int
    name: str
    positional: tuple[Any, ...] = ()
    named: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Begin:
    """Page to a spare engine: be the engine now."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Spare engine to page: its libraries are loaded."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Engine to page: what it is doing while nobody waits for it; empty: nothing."""

    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Engine to page: a lasting word for the artist (which device, and why)."""

    text: str


@dataclass(frozen=True, slots=True)
class Ready:
    """Engine to page: requests are taken from now on."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Engine to page: it cannot start, and trying again would not help."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Logged:
    """Engine to page: a line for the log."""

    record: logging.LogRecord


@dataclass(frozen=True, slots=True)
class Happened:
    """Engine to page: an event of a run."""

    ticket: int
    event: Event


@dataclass(frozen=True, slots=True)
class Done:
    """Engine to page: a run has said all it had to say."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Answered:
    """Engine to page: what a call returned."""

    ticket: int
    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """Engine to page: what a run or a call raised."""

    ticket: int
    error: Exception


Order: TypeAlias = Run | Stop | Call
Reply: TypeAlias = Happened | Done | Answered | Raised
