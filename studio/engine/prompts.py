"""A bounded cache of prompt embeddings: a repeated prompt costs no text-encoder run."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch


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

    def followed_by(self, other: Embedding) -> Embedding:
        """Return the rows of both."""
        pairs = {f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        rows: dict[str, Any] = {name: None if a is None else torch.cat([a, b]) for name, (a, b) in pairs.items()}
        return Embedding(**rows)


def _repeat(value: torch.Tensor | None, count: int) -> Any:
    return None if value is None else value.repeat(count, *(1 for _ in value.shape[1:]))


class PromptCache:
    """Embeddings by text, least recently used first to go.

    Args:
        encode: Runs the text encoder on one text.
        size: Embeddings kept; one of SDXL's is 0.6 MB.
    """

    def __init__(self, encode: Callable[[str], Embedding], *, size: int = 64) -> None:
        self._encode, self._size = encode, size
        self._kept: OrderedDict[str, Embedding] = OrderedDict()
        self.encoder_runs = 0

    def __call__(self, text: str) -> Embedding:
        """Return the embedding of `text`, (1, ...)."""
        if text in self._kept:
            self._kept.move_to_end(text)
            return self._kept[text]
        self.encoder_runs += 1
        embedding = self._kept[text] = self._encode(text)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return embedding
