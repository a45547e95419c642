"""Weighted words and long prompts: tokens in chunks, and weights on what the text encoder says of them.

Stable Diffusion reads 75 tokens at a time; a longer prompt becomes several chunks, each encoded alone with its own
start and end, laid behind one another for the U-Net's attention. Weights follow stable-diffusion-webui
(`modules/sd_emphasis.py`, "Original"): each token's states times its weight, then all of a chunk scaled so that
their mean is what it was. Where that mean is close to nothing the scale would be noise, so it is left out when
it is beyond a factor of two. Our own text encoder has states around zero: there a word is moved away from what
the empty prompt says at its place, as ComfyUI does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from studio.prompt.phrase import Phrase, Words

ROOM = 75  # tokens between start and end
_COMMA_REACH = 20  # how far back a chunk may be cut at a comma, as in stable-diffusion-webui


@dataclass(frozen=True, slots=True)
class Chunk:
    """Token ids with start, end and padding, (1, tokens), and a weight for each, (1, tokens, 1) float32."""

    ids: torch.Tensor
    weights: torch.Tensor

    @property
    def is_weighted(self) -> bool:
        """Whether any weight is not 1."""
        return bool((self.weights != 1).any())


def tokenize(words: Sequence[Words], tokenizer: Any, prepare: Callable[[str], str]) -> list[tuple[int, float]]:
    """Return (token id, weight) of `words`, without start and end."""
    return [
        (token, run.weight)
        for run in words
        for token in tokenizer(prepare(run.text), add_special_tokens=False, truncation=False, verbose=False).input_ids
    ]


def chunks_of(phrase: Phrase, tokenizer: Any, *, prepare: Callable[[str], str] = str) -> list[Chunk]:
    """Return the chunks of 75 tokens that `phrase` fills; a BREAK begins a new one.

    Args:
        tokenizer: A CLIP tokenizer.
        prepare: Changes words before they are tokenized (textual inversion names of several tokens).
    """
    comma = tokenizer(",", add_special_tokens=False).input_ids[-1]
    return [
        framed(part, tokenizer, room=ROOM)
        for words in phrase.chunks
        for part in _cut(tokenize(words, tokenizer, prepare), comma)
    ]


def framed(tokens: Sequence[tuple[int, float]], tokenizer: Any, *, room: int) -> Chunk:
    """Return `tokens` between start and end, cut to `room` and padded as the tokenizer pads."""
    start, *_, end = tokenizer("").input_ids
    kept = list(tokens)[:room]
    padding = [tokenizer.pad_token_id] * (room - len(kept))
    ids = [start, *(token for token, _ in kept), end, *padding]
    weights = [1.0, *(weight for _, weight in kept), *[1.0] * (1 + len(padding))]
    return Chunk(torch.tensor([ids]), torch.tensor([weights])[..., None])


def keep_mean(states: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return `states` (1, tokens, width) times `weights` (1, tokens, 1), with the mean they had."""
    weighted = states.float() * weights.to(states.device)
    scale = states.float().mean() / weighted.mean()
    if not 0.5 <= scale <= 2:  # NaN included
        scale = torch.ones(())
    return (weighted * scale).to(states.dtype)


def away_from(blank: torch.Tensor, states: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return `states` moved from `blank` (both (1, tokens, width)) by `weights` (1, tokens, 1); 0 gives `blank`."""
    moved = blank.float() + (states.float() - blank.float()) * weights.to(states.device)
    return torch.where(weights.to(states.device) == 1, states, moved.to(states.dtype))


def _cut(tokens: list[tuple[int, float]], comma: int) -> Iterator[list[tuple[int, float]]]:
    """Yield pieces of at most 75 tokens, cut behind the last comma where one is near the end."""
    while len(tokens) > ROOM:
        near = [place for place in range(ROOM - _COMMA_REACH, ROOM) if tokens[place][0] == comma]
        end = near[-1] + 1 if near else ROOM
        yield tokens[:end]
        tokens = tokens[end:]
    yield tokens
