"""LoRAs named in a prompt: `<lora:name:0.8>`, as AUTOMATIC1111 writes them, taken out before the words are read.

The form: `<lora:NAME>`, `<lora:NAME:WEIGHT>`; of `<lora:NAME:TEXT_WEIGHT:DENOISER_WEIGHT>` the last number counts.
Knows no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from studio.errors import InvalidRequest
from studio.requests import MAX_LORA_WEIGHT, MAX_LORAS, LoraUse

_TOKEN = re.compile(r"<lora:([^<>:]*)((?::[^<>:]*)*)>", re.IGNORECASE)


def cut_loras(prompt: str) -> tuple[str, tuple[LoraUse, ...]]:
    """Return `prompt` without its LoRA tokens, and what they ask for.

    Raises:
        InvalidRequest: A token has no name, or a weight that is not a number in range.
    """
    if "<" not in prompt:
        return prompt, ()
    uses = tuple(_use(match) for match in _TOKEN.finditer(prompt))
    if not uses:
        return prompt, ()
    left = re.sub(r"[ \t]*,(?:[ \t]*,)+", ",", _TOKEN.sub("", prompt))  # "cat, <lora:x>, dog" leaves one comma
    return re.sub(r"[ \t]{2,}", " ", left).strip(" \t,"), uses


def together(uses: Iterable[LoraUse]) -> tuple[LoraUse, ...]:
    """Return each LoRA once, with its weights added up and those that cancel out left out.

    Raises:
        InvalidRequest: More than MAX_LORAS remain.
    """
    weights: dict[str, float] = {}
    for use in uses:
        weights[use.name] = weights.get(use.name, 0.0) + use.weight
    kept = {name: weight for name, weight in weights.items() if weight}
    if len(kept) > MAX_LORAS:
        raise InvalidRequest(f"{len(kept)} LoRAs are asked for; at most {MAX_LORAS} work together.", "Leave some out.")
    limit = MAX_LORA_WEIGHT
    return tuple(LoraUse(name=n, weight=min(limit, max(-limit, weight))) for n, weight in kept.items())


def _use(match: re.Match[str]) -> LoraUse:
    name, numbers = match.group(1).strip(), [part.strip() for part in match.group(2).split(":")[1:]]
    if not name or len(name) > 200:
        raise InvalidRequest(f'"{match.group(0)[:80]}" names no LoRA.', "Write <lora:name:0.8>.", field="prompt")
    try:
        weight = float(numbers[-1]) if numbers and numbers[-1] else 1.0
    except ValueError:
        weight = float("nan")
    if not -MAX_LORA_WEIGHT <= weight <= MAX_LORA_WEIGHT:
        raise InvalidRequest(
            f'The weight of "{match.group(0)[:80]}" must be a number between {-MAX_LORA_WEIGHT} and {MAX_LORA_WEIGHT}.',
            f"Write <lora:{name}:0.8>.",
            field="prompt",
        )
    return LoraUse(name=name, weight=weight)
