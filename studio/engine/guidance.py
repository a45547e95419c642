"""Guidance: one call of the model for everything a step asks, and how the answers become one.

Classifier-free guidance, eq. 6 (Ho & Salimans 2022); several prompts by composable diffusion, eq. 11 (Liu 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import torch

from studio.engine.prompts import Embedding
from studio.errors import InvalidRequest
from studio.requests import Sampled

if TYPE_CHECKING:
    from studio.engine.denoise import Conditioning

Predict: TypeAlias = Callable[[torch.Tensor, torch.Tensor, Embedding], torch.Tensor]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What some rows ask for: their prompts one kind after the other, the negative ones first where there are any."""

    guided: Embedding | None
    plain: Embedding
    weights: tuple[float, ...]
    scale: float


@dataclass(frozen=True, slots=True)
class Question:
    """One call of the model: `latents` (n, c, h, w), the step's timestep, and n rows of `embedding`.

    `mix` makes of its output, float32, that of the rows which the question is about: guidance, mixed prompts.
    """

    latents: torch.Tensor
    timestep: torch.Tensor
    embedding: Embedding
    mix: Callable[[torch.Tensor], torch.Tensor]


class Guidance:
    """What the model is asked for rows that may ask for different things; remembers how they are laid out."""

    def __init__(self) -> None:
        self._prepared: dict[tuple[int, ...], _Asked] = {}

    def questions(
        self, rows: torch.Tensor, timestep: torch.Tensor, asked: Sequence[Conditioning], *, is_on: bool
    ) -> tuple[Question, ...]:
        """Return the calls for `rows` (n, c, h, w): one, or several where the rows have no common form.

        Args:
            asked: What each row asks for.
            is_on: False leaves guidance out: then the negative prompts cost nothing.
        """
        if len({_form(one) for one in asked}) > 1:  # prompts of different length, or composed of different many
            parts = [self.questions(rows[i : i + 1], timestep, [one], is_on=is_on) for i, one in enumerate(asked)]
            return tuple(one for part in parts for one in part)
        key = tuple(map(id, asked))
        if key not in self._prepared:
            self._prepared[key] = _prepare(asked)
        ready = self._prepared[key]
        count = len(ready.weights)
        if ready.guided is None or not is_on:
            return (Question(_repeated(rows, count), timestep, ready.plain, partial(_unguided, ready)),)
        return (Question(_repeated(rows, 1 + count), timestep, ready.guided, partial(_guided, ready)),)


def mixed(questions: Sequence[Question], outputs: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the output of all rows, float32, from the model's output for each of `questions`."""
    parts = [one.mix(output.float()) for one, output in zip(questions, outputs, strict=True)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def interval_of(request: Sampled) -> tuple[float, float]:
    """Return the share of the run, from and until in [0, 1], in which guidance acts.

    Guidance does harm in the first, noisiest steps and little in the last (Kynkäänniemi et al. 2024, "Applying
    Guidance in a Limited Interval"); a step without it predicts the prompt's rows alone.

    Raises InvalidRequest when it would end before it begins.
    """
    if request.guidance_start >= request.guidance_end:
        raise InvalidRequest(
            f"Guidance from {request.guidance_start:g} until {request.guidance_end:g} is no part of the run.",
            "Let it begin before it ends; a guidance scale of 1 leaves it out.",
            field="guidance_start",
        )
    return request.guidance_start, request.guidance_end


def _guided(ready: _Asked, outputs: torch.Tensor) -> torch.Tensor:
    """Return guidance from the negative prompt's and each prompt's output, one after the other in `outputs`."""
    negative, *positives = outputs.chunk(1 + len(ready.weights))
    if ready.weights == (1.0,):
        return negative + ready.scale * (positives[0] - negative)
    result = negative
    for weight, positive in zip(ready.weights, positives, strict=True):
        result = result + weight * ready.scale * (positive - negative)
    return result


def _unguided(ready: _Asked, outputs: torch.Tensor) -> torch.Tensor:
    """Return the prompt's output, or the mean of several by their weights."""
    count = len(ready.weights)
    if count == 1:
        return outputs
    parts = outputs.chunk(count)
    total = sum(ready.weights) or 1.0
    mean = torch.zeros_like(parts[0])
    for weight, output in zip(ready.weights, parts, strict=True):
        mean = mean + weight / total * output
    return mean


def _repeated(rows: torch.Tensor, count: int) -> torch.Tensor:
    return rows if count == 1 else torch.cat([rows] * count)


def _prepare(asked: Sequence[Conditioning]) -> _Asked:
    """Lay out the embeddings of rows of one form as one call takes them."""
    first = asked[0]
    kinds = [_rows([one.positive for one in asked])]
    kinds += [_rows([one.also[i][0] for one in asked]) for i in range(len(first.also))]
    plain = kinds[0].followed_by(*kinds[1:])
    negatives = [one.negative for one in asked if one.negative is not None]
    guided = _rows(negatives).followed_by(plain) if negatives else None
    weights = (first.weight, *(weight for _, weight in first.also))
    return _Asked(guided, plain, weights, first.guidance_scale)


def _rows(embeddings: list[Embedding]) -> Embedding:
    first = embeddings[0]
    if all(one is first for one in embeddings):
        return first.rows(len(embeddings))
    return first.followed_by(*embeddings[1:])


def _form(one: Conditioning) -> tuple[object, ...]:
    """What rows must have in common to be predicted in one call."""
    also = tuple((embedding.text.shape, weight) for embedding, weight in one.also)
    return one.positive.text.shape, one.negative is None, one.guidance_scale, one.weight, also
