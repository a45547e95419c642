"""What a text encoder is given: words with weights, in chunks. Schedules are settled before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from studio.prompt.grammar import parse
from studio.prompt.tree import Alternating, And, Break, Choice, Parts, Scheduled, Text, Weighted, Wildcard


@dataclass(frozen=True, slots=True)
class Words:
    """Neighbouring words that count `weight` times."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Phrase:
    """One prompt at one step: `chunks` are what BREAK parts; there is at least one, and it may be empty."""

    chunks: tuple[tuple[Words, ...], ...]

    @property
    def plain(self) -> str | None:
        """The prompt as stock pipelines take it, or None when it has weights or a BREAK."""
        if len(self.chunks) > 1 or any(words.weight != 1 for words in self.chunks[0]):
            return None
        return "".join(words.text for words in self.chunks[0])

    @property
    def text(self) -> str:
        """All words, without weights and breaks."""
        return " ".join("".join(words.text for words in chunk) for chunk in self.chunks)

    def map(self, change: Callable[[str], str]) -> Phrase:
        """Return the phrase with every run of words changed; spaces around a run stay."""
        return Phrase(tuple(tuple(replace(w, text=_inside(w.text, change)) for w in chunk) for chunk in self.chunks))


EMPTY = Phrase(((),))


def read_phrase(prompt: str) -> Phrase:
    """Return the phrase of a prompt without a run around it: its first step; AND is a word here.

    Raises:
        InvalidRequest: See `grammar.parse`.
    """
    return phrase_at(parse(prompt), step=1, total=1)


def phrase_at(parts: Parts, *, step: int, total: int) -> Phrase:
    """Return what `parts` ask for at `step` of `total`, counted from 1."""
    chunks: list[list[Words]] = [[]]
    _collect(parts, 1.0, chunks, step=step, total=total)
    return Phrase(tuple(_trimmed(chunk) for chunk in chunks))


def _collect(parts: Parts, weight: float, chunks: list[list[Words]], *, step: int, total: int) -> None:
    for part in parts:
        match part:
            case Break():
                chunks.append([])
            case Weighted(inner, factor):
                _collect(inner, weight * factor, chunks, step=step, total=total)
            case Scheduled(before, after, when, is_share):
                last = int(when * total) if is_share else when
                _collect(before if step <= last else after, weight, chunks, step=step, total=total)
            case Alternating(options):
                _collect(options[(step - 1) % len(options)], weight, chunks, step=step, total=total)
            case Text() | And() | Choice() | Wildcard():
                text = "AND" if isinstance(part, And) else part.text if isinstance(part, Text) else part.source
                if text:
                    chunks[-1].append(Words(text, weight))


def _trimmed(words: list[Words]) -> tuple[Words, ...]:
    """Join neighbours of one weight, and take the spaces off both ends."""
    joined: list[Words] = []
    for one in words:
        if joined and joined[-1].weight == one.weight:
            joined[-1] = Words(joined[-1].text + one.text, one.weight)
        else:
            joined.append(one)
    while joined and not (first := joined[0].text.lstrip()):
        joined.pop(0)
    if joined:
        joined[0] = Words(first, joined[0].weight)
    while joined and not (last := joined[-1].text.rstrip()):
        joined.pop()
    if joined:
        joined[-1] = Words(last, joined[-1].weight)
    return tuple(joined)


def _inside(text: str, change: Callable[[str], str]) -> str:
    core = text.strip()
    if not core:
        return text
    begin = text.index(core)
    return text[:begin] + change(core) + text[begin + len(core) :]
