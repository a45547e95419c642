"""What a model will make of the words: their language, and how many of them it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from studio.languages import to_english
from studio.prompt.phrase import Phrase


@dataclass(frozen=True, slots=True)
class ReadPrompt:
    """What the encoder gets, and plain sentences for the artist about it."""

    phrase: Phrase
    notes: tuple[str, ...] = ()


def truncation_notes(tokenizer: Any, phrase: Phrase, tokens: int) -> tuple[str, ...]:
    """Return a note when `phrase` has more tokens than the model reads (two of them mark start and end)."""
    length = len(tokenizer(phrase.text, truncation=False, verbose=False).input_ids)
    if length <= tokens:
        return ()
    return (f"Only the first {tokens - 2} of {length - 2} tokens of the prompt steer this model.",)


def english(phrase: Phrase) -> ReadPrompt:
    """Return `phrase` in English, the language our captions are in, with a note when it was translated.

    Words of different weight are translated one by one.
    """
    unknown: list[str] = []

    def translated(words: str) -> str:
        translation = to_english(words)
        unknown.extend(translation.unknown)
        return translation.text

    read = phrase.map(translated)
    if read == phrase:
        return ReadPrompt(phrase)
    notes = [f"Understood as: {read.text}"]
    if unknown:
        notes.append(f"Not understood: {', '.join(unknown)}")
    return ReadPrompt(read, tuple(notes))
