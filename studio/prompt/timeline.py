"""What a run asks of the model, step by step: where schedules switch, and what AND composes."""

from __future__ import annotations

from dataclasses import dataclass

from studio.prompt.grammar import parse, prompts_of
from studio.prompt.phrase import Phrase, phrase_at


@dataclass(frozen=True, slots=True)
class Moment:
    """From step `begin` (counted from 0) on: the prompts with their weights, and the negative prompt."""

    begin: int
    prompts: tuple[tuple[Phrase, float], ...]
    negative: Phrase


def timeline(prompt: str, negative_prompt: str, *, steps: int) -> tuple[Moment, ...]:
    """Return the moments at which something changes in a run of `steps`; the first begins at 0.

    A share of the run is taken of the steps that are really run, so that image-to-image at half strength switches
    in the middle of what is seen. AND composes prompts only; in a negative prompt it is a word.

    Raises:
        InvalidRequest: A weight is out of range, or brackets are nested too deep.
    """
    prompts = prompts_of(parse(prompt))
    negative = parse(negative_prompt)
    moments: list[Moment] = []
    for step in range(1, steps + 1):
        asked = tuple((phrase_at(parts, step=step, total=steps), weight) for parts, weight in prompts)
        here = Moment(step - 1, asked, phrase_at(negative, step=step, total=steps))
        if not moments or (moments[-1].prompts, moments[-1].negative) != (here.prompts, here.negative):
            moments.append(here)
    return tuple(moments)
