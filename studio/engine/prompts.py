"""A bounded cache of prompt embeddings: a repeated prompt costs no text-encoder run."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from studio.prompt.phrase import Phrase, read_phrase


@dataclass(frozen=True, slots=True)
class Embedding:
    """What the model sees of one prompt.

    Attributes:
        text: (n, tokens, width), one vector per token.
        pooled: (n, width), one vector per prompt (SDXL), or None.
        sizes: (n, 6), original size, crop and target size in pixels (SDXL), or None.
        guidance: (n, width), the guidance scale as an input (models distilled for few steps), or None.
        picture: (n, pictures, width), what an image-prompt adapter sees (IP-Adapter), or None.
    """

    text: torch.Tensor
    pooled: torch.Tensor | None = None
    sizes: torch.Tensor | None = None
    guidance: torch.Tensor | None = None
    picture: torch.Tensor | None = None

    def rows(self, count: int) -> Embedding:
        """Return `count` copies of this prompt's row."""
        return Embedding(**{f.name: _repeat(getattr(self, f.name), count) for f in fields(self)})

    def followed_by(self, *others: Embedding) -> Embedding:
        """Return the rows of all."""
        columns = {f.name: [getattr(one, f.name) for one in (self, *others)] for f in fields(self)}
        rows: dict[str, Any] = {name: None if c[0] is None else torch.cat(c) for name, c in columns.items()}
        return Embedding(**rows)

    def padded(self, tokens: int, filling: torch.Tensor) -> Embedding:
        """Return the prompt with `filling` (1, chunk, width) behind it until it has `tokens` tokens."""
        missing = (tokens - self.text.shape[1]) // filling.shape[1]
        if missing <= 0:
            return self
        return replace(self, text=torch.cat([self.text, *[filling] * missing], dim=1))  # (n, tokens, width)


def _repeat(value: torch.Tensor | None, count: int) -> Any:
    return None if value is None else value.repeat(count, *(1 for _ in value.shape[1:]))


class PromptCache:
    """Embeddings by phrase, least recently used first to go.

    Args:
        encode: Runs the text encoder on one phrase.
        size: Embeddings kept; one of SDXL's is 0.6 MB.
    """

    def __init__(self, encode: Callable[[Phrase], Embedding], *, size: int = 64) -> None:
        self._encode, self._size = encode, size
        self._kept: OrderedDict[Phrase, Embedding] = OrderedDict()
        self.encoder_runs = 0

    def __call__(self, prompt: str | Phrase) -> Embedding:
        """Return the embedding of `prompt`, (1, ...)."""
        phrase = read_phrase(prompt) if isinstance(prompt, str) else prompt
        if phrase in self._kept:
            self._kept.move_to_end(phrase)
            return self._kept[phrase]
        self.encoder_runs += 1
        embedding = self._kept[phrase] = self._encode(phrase)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return embedding

    def clear(self) -> None:
        """Forget all: the text encoder has changed."""
        self._kept.clear()
