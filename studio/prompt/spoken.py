"""The words a request really asks with: style presets around them, random parts drawn, per picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from studio.prompt.wildcards import WordLists, is_random, resolve
from studio.requests import Sampled
from studio.stylize.presets import StylePreset, apply_presets


@dataclass(frozen=True, slots=True)
class Spoken:
    """The two prompts of one picture as the model is asked, and the artist's own words once they were drawn.

    `own` and `own_negative` are empty where nothing was random.
    """

    prompt: str
    negative_prompt: str
    own: str = ""
    own_negative: str = ""

    @property
    def facts(self) -> dict[str, Any]:
        """What a picture's record keeps of the draw: with these words it can be made again without word lists."""
        drawn = {"prompt": self.own, "negative_prompt": self.own_negative}
        return {"drawn": drawn} if self.own or self.own_negative else {}


def spoken(request: Sampled, *, seed: int, lists: WordLists) -> Spoken:
    """Return the prompts of the picture of `request` that is made with `seed`.

    Raises:
        InvalidRequest: A word list is missing or empty; see `wildcards.resolve`.
    """
    own = resolve(request.prompt, seed=seed, lists=lists)
    own_negative = resolve(request.negative_prompt, seed=seed, lists=lists, stream="negative_prompt")
    styles = [
        StylePreset(
            name=style.name,
            prompt=resolve(style.prompt, seed=seed, lists=lists, stream=f"style {place}"),
            negative_prompt=resolve(style.negative_prompt, seed=seed, lists=lists, stream=f"style {place} negative"),
        )
        for place, style in enumerate(request.styles)
    ]
    prompt, negative = apply_presets(styles, own, own_negative)
    random = is_random(request.prompt) or is_random(request.negative_prompt)
    return Spoken(prompt, negative, own if random else "", own_negative if random else "")
