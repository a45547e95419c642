"""What a parsed prompt is made of. A part is one of these; a sequence of parts is a tuple."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    """Words as they are, escapes undone."""

    text: str


@dataclass(frozen=True, slots=True)
class Weighted:
    """`(x)`, `(x:1.3)`, `[x]`: `parts` count `factor` times; nested factors multiply."""

    parts: Parts
    factor: float


@dataclass(frozen=True, slots=True)
class Scheduled:
    """`[before:after:when]`: up to `when` the one, then the other.

    `when` is a share of the run in [0, 1] if `is_share`, else the number of the last step with `before`.
    """

    before: Parts
    after: Parts
    when: float
    is_share: bool


@dataclass(frozen=True, slots=True)
class Alternating:
    """`[a|b]`: one after the other, a step each."""

    options: tuple[Parts, ...]


@dataclass(frozen=True, slots=True)
class Break:
    """`BREAK`: what follows begins a new chunk of 75 tokens."""


@dataclass(frozen=True, slots=True)
class And:
    """`AND` outside of all brackets: what follows is a prompt of its own, predicted beside the others."""


@dataclass(frozen=True, slots=True)
class Choice:
    """`{a|b|c}`, `{2$$a|b|c}`: `least` to `most` of `options`, in random order, joined by `joiner`.

    Options are source text, since they are parsed when they are chosen. `start` and `end` say where in the
    prompt's source the braces stand.
    """

    source: str
    start: int
    end: int
    options: tuple[str, ...]
    shares: tuple[float, ...]
    least: int
    most: int
    joiner: str


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`__name__`: a line of the word list called `name`, at `start` to `end` of the source."""

    source: str
    start: int
    end: int
    name: str


Part: TypeAlias = Text | Weighted | Scheduled | Alternating | Break | And | Choice | Wildcard
Parts: TypeAlias = tuple[Part, ...]
