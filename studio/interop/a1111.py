"""The `parameters` text of AUTOMATIC1111's web UI: written as its readers expect, and read back.

The form: the prompt; a line "Negative prompt: ..." unless empty; one line of "Key: value" pairs joined by
", ". A value with a comma, newline or colon is a JSON string. The last line counts as pairs only when there
are at least three. Source: `modules/processing.py` (create_infotext) and `modules/infotext_utils.py`
(parse_generation_parameters, quote) of stable-diffusion-webui 1.10.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from studio import __version__
from studio.requests import Request
from studio.stylize.presets import StylePreset, apply_presets

SCHEDULERS: dict[str, tuple[str, str]] = {
    "ddim": ("DDIM", ""),
    "euler": ("Euler", ""),
    "euler_a": ("Euler a", ""),
    "dpmpp_2m": ("DPM++ 2M", ""),
    "dpmpp_2m_karras": ("DPM++ 2M", "Karras"),
    "dpmpp_sde": ("DPM++ 2M SDE", ""),
    "unipc": ("UniPC", ""),
    "lcm": ("LCM", ""),
}  # our name to A1111's (sampler, schedule type); a name that is not here is written as it is

_AXES = {
    "seed": "Seed", "steps": "Steps", "guidance_scale": "CFG Scale", "scheduler": "Sampler",
    "search_replace": "Prompt S/R", "variation_seed": "Var. seed", "variation_strength": "Var. strength",
    "model": "Checkpoint name", "styles": "Styles",
}  # fmt: skip  # our fields to the names of its X/Y/Z plot

_PAIR = re.compile(r'\s{0,9}(\w[\w \-/]{1,60}):\s{0,9}("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
_MIN_PAIRS = 3
_MAX_LINE = 50_000  # characters; the longest lines of real files, with many extensions, have some 5,000
_NEGATIVE = "Negative prompt:"


@dataclass(frozen=True, slots=True)
class Infotext:
    """A `parameters` text taken apart: the two prompts, and the pairs with their values unquoted."""

    prompt: str
    negative_prompt: str
    pairs: dict[str, str] = field(default_factory=dict)


def a1111_parameters(request: Request, seed: int | None, facts: Mapping[str, Any]) -> str:
    """Return the `parameters` text of one picture made by `request` with `seed`; "" for a request without steps.

    Args:
        request: Any request; only those that denoise have a text of this form.
        seed: The seed of this very picture.
        facts: The picture's facts; "checksum" (or "model_checksum") gives the model hash, "drawn" the words that
            were drawn, "variation_seed" its own variation seed.

    As there, the prompts are the ones the model was asked with: style presets around them, random words drawn.
    """
    values = request.model_dump()
    if "steps" not in values:
        return ""
    sampler, schedule = SCHEDULERS.get(values["scheduler"], (values["scheduler"], ""))
    checksum = str(facts.get("checksum") or facts.get("model_checksum") or "").removeprefix("sha256:")
    model = str(facts.get("model") or values["model"])
    own_size = [values.get("width"), values.get("height")]
    size = own_size if "grid" in facts else facts.get("size") or own_size  # a grid's picture: the size of its cells
    pairs: dict[str, Any] = {
        "Steps": values["steps"],
        "Sampler": sampler,
        "Schedule type": schedule or None,
        "CFG scale": f"{values['guidance_scale']:g}",
        "Seed": values["seed"] if seed is None else seed,
        "Size": f"{size[0]}x{size[1]}" if all(isinstance(side, int) for side in size) else None,
        "Model hash": checksum[:10] or None,
        "Model": model or None,
        **_variation(values, facts),
        "Denoising strength": f"{values['strength']:g}" if "strength" in values else None,
        **_script(facts),
        "Version": f"Tessera Studio {__version__}",
    }
    line = ", ".join(f"{key}: {quote(str(value))}" for key, value in pairs.items() if value is not None)
    prompt, negative_prompt = _asked(values, facts)
    negative = f"\n{_NEGATIVE} {negative_prompt}" if negative_prompt else ""
    return f"{prompt}{negative}\n{line}".strip()


def _asked(values: Mapping[str, Any], facts: Mapping[str, Any]) -> tuple[str, str]:
    """Return the prompts the model was asked with."""
    drawn = facts.get("drawn")
    own = {**values, **(drawn if isinstance(drawn, Mapping) else {})}
    styles = [StylePreset(**style) for style in values.get("styles", ())]
    return apply_presets(styles, own["prompt"], own["negative_prompt"])


def _variation(values: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    strength = values.get("variation_strength", 0)
    if not strength:
        return {}
    seed = facts.get("variation_seed", values["variation_seed"])
    return {"Variation seed": seed, "Variation seed strength": f"{strength:g}"}


def _script(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what its X/Y/Z plot writes into the picture of a grid."""
    grid = facts.get("grid")
    axes = grid.get("axes") if isinstance(grid, Mapping) else None
    if not axes:
        return {}
    found: dict[str, Any] = {"Script": "X/Y/Z plot"}
    for letter, axis in zip("XYZ", axes, strict=False):
        found[f"{letter} Type"] = _AXES.get(axis["field"], axis["title"])
        found[f"{letter} Values"] = ", ".join(axis["values"])
    return found


def parse_parameters(text: str) -> Infotext:
    """Take a `parameters` text apart, as A1111's own reader does; any text is accepted as a prompt at worst."""
    *lines, last = text.strip().split("\n")
    found = _PAIR.findall(last) if len(last) <= _MAX_LINE else []
    if len(found) < _MIN_PAIRS:
        lines, found = [*lines, last], []
    prompt, negative = list[str](), list[str]()
    target = prompt
    for line in lines:
        if line.strip().startswith(_NEGATIVE):
            target, line = negative, line.strip()[len(_NEGATIVE) :]
        target.append(line.strip())
    return Infotext(
        "\n".join(prompt).strip(), "\n".join(negative).strip(), {key.strip(): unquote(value) for key, value in found}
    )


def quote(value: str) -> str:
    """Return `value` as a JSON string where it holds a comma, newline or colon."""
    return json.dumps(value, ensure_ascii=False) if any(c in value for c in ",\n:") else value


def unquote(value: str) -> str:
    """Undo `quote`; a value that only looks quoted stays as it is."""
    value = value.strip()
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    try:
        decoded = json.loads(value)
    except ValueError:
        return value
    return decoded if isinstance(decoded, str) else value
