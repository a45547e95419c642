"""What lies between two ends of a walk: prompts on the straight line between their embeddings, LoRAs by their weights.

Prompts that change during the run, or are composed of several, are mixed step by step and part by part; a part that
only one end has fades in or out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch

from studio.engine.denoise import Conditioning, Script
from studio.engine.prompts import Embedding
from studio.requests import LoraUse


def script_between(first: Script, second: Script, share: float) -> Script:
    """Return the script `share` in [0, 1] of the way from `first` to `second`; the ends are the ends themselves."""
    if share in (0, 1):
        return second if share else first
    begins = tuple(sorted({*first.begins, *second.begins}))
    pairs = [(first.at(begin), second.at(begin)) for begin in begins]
    known: dict[tuple[int, int], Conditioning] = {}  # the loop knows a moment that comes again by its identity
    for one, other in pairs:
        if (id(one), id(other)) not in known:
            known[id(one), id(other)] = conditioning_between(one, other, share)
    return Script(begins, tuple(known[id(one), id(other)] for one, other in pairs))


def conditioning_between(first: Conditioning, second: Conditioning, share: float) -> Conditioning:
    """Return the conditioning `share` in (0, 1) of the way from `first` to `second`."""
    tokens = max(first.positive.text.shape[1], second.positive.text.shape[1])
    pairs = zip(_parts(first, second), _parts(second, first), strict=True)
    parts = [
        (_mixed(_as_long(one, tokens), _as_long(other, tokens), share), weight + share * (to_weight - weight))
        for (one, weight), (other, to_weight) in pairs
    ]
    negative = None
    if first.negative is not None and second.negative is not None:
        negative = _mixed(_as_long(first.negative, tokens), _as_long(second.negative, tokens), share)
    (positive, weight), *also = parts
    return Conditioning(positive, negative, first.guidance_scale, weight, tuple(also))


def loras_between(first: Sequence[LoraUse], second: Sequence[LoraUse], share: float) -> tuple[LoraUse, ...]:
    """Return the LoRAs `share` of the way: a weight goes evenly to the other end's, which is 0 where it is not used."""
    if share in (0, 1):
        return tuple(second if share else first)
    weights = [{use.name: use.weight for use in uses} for uses in (first, second)]
    names = dict.fromkeys((*weights[0], *weights[1]))
    mixed = {name: (1 - share) * weights[0].get(name, 0.0) + share * weights[1].get(name, 0.0) for name in names}
    return tuple(LoraUse(name=name, weight=weight) for name, weight in mixed.items())


def _parts(one: Conditioning, other: Conditioning) -> list[tuple[Embedding, float]]:
    """Return the prompts of `one` with their weights, and those that only `other` has with a weight of 0."""
    return [
        (one.positive, one.weight),
        *one.also,
        *((embedding, 0.0) for embedding, _ in other.also[len(one.also) :]),
    ]


def _mixed(first: Embedding, second: Embedding, share: float) -> Embedding:
    values: dict[str, Any] = {}
    for one in fields(Embedding):
        a, b = getattr(first, one.name), getattr(second, one.name)
        values[one.name] = None if a is None else torch.lerp(a, b, share)
    return Embedding(**values)


def _as_long(embedding: Embedding, tokens: int) -> Embedding:
    """Return the prompt with its text (1, n, width) repeated to `tokens`: long prompts come in whole chunks."""
    text = embedding.text
    if text.shape[1] >= tokens:
        return embedding
    return replace(embedding, text=text.repeat(1, -(-tokens // text.shape[1]), 1)[:, :tokens])
