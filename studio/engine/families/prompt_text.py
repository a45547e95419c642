"""What a model will make of the words: their language, and how many of them it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from studio.languages import to_english


@dataclass(frozen=True, slots=True)
class ReadPrompt:
    """The text the encoder gets, and plain sentences for the artist about it."""

    text: str
    notes: tuple[str, ...] = ()


def truncation_notes(tokenizer: Any, text: str, tokens: int) -> tuple[str, ...]:
    """Return a note when `text` has more tokens than the model reads (two of them mark start and end)."""
    length = len(tokenizer(text, truncation=False, verbose=False).input_ids)
    if length <= tokens:
        return ()
    return (f"Only the first {tokens - 2} of {length - 2} tokens of the prompt steer this model.",)


def english(prompt: str) -> ReadPrompt:
    """Return `prompt` in English, the language our captions are in, with a note when it was translated."""
    translation = to_english(prompt)
    if translation.text == prompt:
        return ReadPrompt(prompt)
    notes = [f"Understood as: {translation.text}"]
    if translation.unknown:
        notes.append(f"Not understood: {', '.join(translation.unknown)}")
    return ReadPrompt(translation.text, tuple(notes))
