"""Another studio's settings in our words, with a sentence for everything that has no counterpart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from studio.fields import field_spec
from studio.interop.a1111 import SCHEDULERS
from studio.interop.metadata import Foreign
from studio.requests import MAX_PROMPT, MAX_SEED, TextToImage

_NAMES = {
    **{f"{sampler} {schedule}".strip().lower(): name for name, (sampler, schedule) in SCHEDULERS.items()},
    **{name: name for name in SCHEDULERS},
    "dpm++ 2m sde karras": "dpmpp_sde",
    "dpmpp_2m_sde": "dpmpp_sde",
    "dpmpp_2m_sde_karras": "dpmpp_sde",
    "euler_ancestral": "euler_a",
    "dpmpp_2m_k": "dpmpp_2m_karras",
    "uni_pc": "unipc",
    "k_lms": "euler",
}  # other studios' sampler names, lower case, to ours
_UNUSED = re.compile(r"<(lyco|hypernet):([^<>:]{1,200})(?::[^<>]{0,40})?>")  # LoRAs stay: we read them alike


def to_request(foreign: Foreign, *, models: Mapping[str, str] | None = None) -> tuple[dict[str, Any], list[str]]:
    """Return the values of a TextToImage request, and what could not be mapped, one sentence each.

    Args:
        foreign: What the picture says.
        models: The models here, id to checksum (hex, may be ""); theirs is only matched, never loaded.

    Returns:
        Values for `requests.parse`, all within bounds (a field that is not there keeps its default; without a
        prompt the values are for a form, not for a run), and the sentences.
    """
    unmapped: list[str] = []
    values: dict[str, Any] = {"kind": "text_to_image"}
    values["prompt"] = _prompt(foreign.prompt, "Prompt", unmapped)
    values["negative_prompt"] = _prompt(foreign.negative_prompt, "Negative prompt", unmapped)
    if not values["prompt"]:
        unmapped.append("It carries no prompt.")
    for theirs, ours in {"steps": "steps", "cfg_scale": "guidance_scale", "width": "width", "height": "height"}.items():
        if theirs in foreign.numbers:
            values[ours] = _within(ours, foreign.numbers[theirs], unmapped)
    values |= (
        _variation(foreign, unmapped)
        | _seed(foreign, unmapped)
        | _scheduler(foreign, unmapped)
        | _model(foreign, models or {}, unmapped)
    )
    if foreign.numbers.get("strength", 1) != 1:
        unmapped.append(f"Denoising strength {foreign.numbers['strength']:g}: it was made from another picture.")
    unmapped += [f"{name}: {text}" for name, text in foreign.extras.items() if name and name.lower() != "version"]
    return values, unmapped


def _prompt(text: str, title: str, unmapped: list[str]) -> str:
    for kind, name in _UNUSED.findall(text):
        unmapped.append(f"{kind.capitalize()} {name}: not used here.")
    text = re.sub(r"[ \t]+", " ", _UNUSED.sub("", text)).strip()
    if len(text) > MAX_PROMPT:
        unmapped.append(f"{title}: only the first {MAX_PROMPT:,} of {len(text):,} characters were taken.")
    return text[:MAX_PROMPT].strip()


def _within(name: str, value: float, unmapped: list[str]) -> float:
    """The nearest allowed value."""
    spec = field_spec(TextToImage, name)
    assert spec.minimum is not None and spec.maximum is not None
    nearest = min(max(value, spec.minimum), spec.maximum)
    if spec.type is int:
        step = int(spec.step or 1)
        nearest = int(round(nearest / step) * step)
    if nearest != value:
        unmapped.append(f"{spec.title} {value:g} became {nearest:g}: it must be {spec.range_text()}.")
    return nearest


def _seed(foreign: Foreign, unmapped: list[str]) -> dict[str, Any]:
    seed = foreign.numbers.get("seed")
    if seed is None:
        return {}
    if seed != int(seed) or not 0 <= seed <= MAX_SEED:
        unmapped.append(f"Seed {seed:.0f} is not between 0 and {MAX_SEED}: a new one is drawn.")
        return {}
    return {"seed": int(seed)}


def _variation(foreign: Foreign, unmapped: list[str]) -> dict[str, Any]:
    """Theirs goes from noise to noise column by column, ours picture by picture: near, not the same."""
    seed, strength = (foreign.numbers.get(f"variation_{name}", 0) for name in ("seed", "strength"))
    if not strength:
        return {}
    if seed != int(seed) or not (0 <= seed <= MAX_SEED and 0 <= strength <= 1):
        unmapped.append(f"Variation seed {seed:.0f} at {strength:g}: out of range, left out.")
        return {}
    return {"variation_seed": int(seed), "variation_strength": strength}


def _scheduler(foreign: Foreign, unmapped: list[str]) -> dict[str, Any]:
    if not foreign.sampler:
        return {}
    name = foreign.sampler.lower().removeprefix("k_").removesuffix("_gpu")
    schedule = foreign.schedule.lower()
    for joined in (f"{name} {schedule}", f"{name}_{schedule}", name):
        if joined in _NAMES:
            ours = _NAMES[joined]
            if joined == name and schedule not in ("", "normal", "automatic", "native", "simple", "uniform"):
                unmapped.append(f"Noise schedule {foreign.schedule}: {SCHEDULERS[ours][0]} runs with its own.")
            return {"scheduler": ours}
    default = field_spec(TextToImage, "scheduler").default
    unmapped.append(f"Sampler {foreign.sampler} is not here: {SCHEDULERS[default][0]} is used.")
    return {"scheduler": default}


def _model(foreign: Foreign, models: Mapping[str, str], unmapped: list[str]) -> dict[str, Any]:
    """A model here with the same file name or checksum."""
    if not foreign.model and not foreign.model_hash:
        return {}
    theirs = _stem(foreign.model)
    for name, checksum in models.items():
        digest = checksum.removeprefix("sha256:").lower()
        same_hash = len(foreign.model_hash) >= 8 and digest.startswith(foreign.model_hash.lower())
        if (theirs and _stem(name) == theirs) or same_hash:
            return {"model": name}
    unmapped.append(f"Model {foreign.model or foreign.model_hash} is not here: the chosen model is used.")
    return {}


def _stem(name: str) -> str:
    last = PurePosixPath(name.replace("\\", "/")).name.lower()
    for ending in (".safetensors", ".ckpt", ".pt"):
        last = last.removesuffix(ending)
    return last
