"""From what a prompt asks at each step to what the loop needs: conditionings, encoded once each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from studio.engine.denoise import Conditioning, Script
from studio.prompt.timeline import Moment, timeline


@dataclass(frozen=True, slots=True)
class Reading:
    """Scripts for the pictures of a run, and what the artist should know about the words."""

    scripts: tuple[Script, ...]
    notes: tuple[str, ...]


def read_prompts(
    model: Any,
    prompts: Sequence[tuple[str, str]],
    *,
    steps: int,
    guidance_scale: float,
    size: tuple[int, int],
) -> Reading:
    """Return the script of each picture.

    Args:
        model: The loop's Denoiser, with `read_prompt`.
        prompts: (prompt, negative prompt) of each picture, random parts drawn; equal ones are encoded once.
        steps: That are really run.
        size: Width and height of the pictures, in pixels.

    Raises:
        InvalidRequest: A weight is out of range, or brackets are nested too deep.
    """
    encoder = _Encoder(model, guidance_scale=guidance_scale, size=size)
    scripts: dict[tuple[str, str], Script] = {}
    for pair in prompts:
        if pair not in scripts:
            moments = timeline(*pair, steps=steps)
            scripts[pair] = Script(tuple(m.begin for m in moments), tuple(encoder(m) for m in moments))
    return Reading(tuple(scripts[pair] for pair in prompts), tuple(encoder.notes))


class _Encoder:
    """Encodes moments; a moment that comes again (alternating words) is the same object, which the loop relies on."""

    def __init__(self, model: Any, *, guidance_scale: float, size: tuple[int, int]) -> None:
        self._model, self._scale, self._size = model, guidance_scale, size
        self._known: dict[Any, Conditioning] = {}
        self.notes: dict[str, None] = {}

    def __call__(self, moment: Moment) -> Conditioning:
        key = (moment.prompts, moment.negative)
        if key not in self._known:
            self._known[key] = self._compose(moment)
        return self._known[key]

    def _compose(self, moment: Moment) -> Conditioning:
        negative = self._model.read_prompt(moment.negative).phrase
        parts = []
        for phrase, _ in moment.prompts:
            read = self._model.read_prompt(phrase)
            self.notes.update(dict.fromkeys(read.notes))
            parts.append(self._condition(read.phrase, negative))
        if len(parts) == 1:
            return parts[0]
        return _level(parts, [weight for _, weight in moment.prompts], lambda: self._condition("", ""))

    def _condition(self, prompt: Any, negative: Any) -> Conditioning:
        width, height = self._size
        return self._model.condition(prompt, negative, guidance_scale=self._scale, width=width, height=height)


def _level(parts: list[Conditioning], weights: list[float], blank: Callable[[], Conditioning]) -> Conditioning:
    """Return several prompts as one conditioning, the shorter ones filled up with empty chunks."""
    tokens = max(part.positive.text.shape[1] for part in parts)
    if any(part.positive.text.shape[1] != tokens for part in parts):
        filling = blank().positive.text
        parts = [
            replace(
                part,
                positive=part.positive.padded(tokens, filling),
                negative=part.negative and part.negative.padded(tokens, filling),
            )
            for part in parts
        ]
    also = tuple((part.positive, weight) for part, weight in zip(parts[1:], weights[1:], strict=True))
    return replace(parts[0], weight=weights[0], also=also)
