"""Style words in a prompt: a chip adds its word at the end, and takes it out again."""

from __future__ import annotations


def toggle_word(prompt: str, word: str) -> str:
    """Return `prompt` with `word` as one of its comma-separated parts, or without it when it is there already."""
    parts = [part.strip() for part in prompt.split(",")]
    if word.casefold() in (part.casefold() for part in parts):
        return ", ".join(part for part in parts if part.casefold() != word.casefold())
    return ", ".join([*(part for part in parts if part), word])
