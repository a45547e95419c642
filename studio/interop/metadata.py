"""Settings that other studios left inside pictures, and the same in our words.

The graphs and dialects of ComfyUI, InvokeAI, Fooocus and NovelAI are read by sd-parsers; ours are A1111's text
(quoted values, which sd-parsers splits), EXIF comments without a charset (Fooocus) and ComfyUI files that
carry no editor graph. All of it is hostile until proven otherwise: sizes, depths and counts are limited first.
"""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image
from sd_parsers.data import PromptInfo
from sd_parsers.exceptions import ParserError
from sd_parsers.parsers import ComfyUIParser, FooocusParser, InvokeAIParser, NovelAIParser

from studio.gallery.png import MAGIC, read_texts
from studio.interop.a1111 import parse_parameters
from studio.requests import clean_text

logger = logging.getLogger(__name__)

LIMIT_CHUNK = 2**20
LIMIT_TOTAL = 4 * 2**20
MAX_DEPTH = 20
MAX_NODES, MAX_SAMPLERS = 600, 20
MAX_EXTRAS, MAX_EXTRA_TEXT = 60, 300

_PARSER_ERRORS = (
    ParserError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RecursionError,
    OverflowError,
)
_COMMENT_CHARSETS = {b"UNICODE\0": "utf-16-be", b"ASCII\0\0\0": "ascii", b"\0" * 8: "utf-8"}
_ALIASES = {"cfg": "cfg_scale", "guidance_scale": "cfg_scale", "scale": "cfg_scale", "noise_seed": "seed"}
_NUMBERS = ("steps", "cfg_scale", "seed", "width", "height", "strength", "denoise")


@dataclass(frozen=True, slots=True)
class Foreign:
    """What another studio's picture says of its making.

    Attributes:
        software: "AUTOMATIC1111", "ComfyUI", "InvokeAI", "Fooocus" or "NovelAI".
        prompt, negative_prompt: Cleaned, as written there.
        sampler: The sampler's name there; `schedule` its noise schedule ("Karras"), or "".
        model: The checkpoint's name there; `model_hash` the start of a checksum, or "".
        numbers: Of "steps", "cfg_scale", "seed", "width", "height", "strength", "variation_seed" and
            "variation_strength" those that were found.
        extras: Every other setting as text, at most 60.
    """

    software: str
    prompt: str = ""
    negative_prompt: str = ""
    sampler: str = ""
    schedule: str = ""
    model: str = ""
    model_hash: str = ""
    numbers: dict[str, float] = field(default_factory=dict)
    extras: dict[str, str] = field(default_factory=dict)


def read(source: bytes | Path) -> Foreign | None:
    """Return what a PNG, JPEG or WebP file of another studio says, or None when it says nothing that is known."""
    texts = texts_of(source)
    for reader in (_invokeai, _novelai, _comfyui, _fooocus, _a1111):
        try:
            if (found := reader(texts)) is not None:
                return found
        except _PARSER_ERRORS as error:
            logger.info("settings of a picture could not be read by %s: %s", reader.__name__, error)
    return None


def texts_of(source: bytes | Path) -> dict[str, str]:
    """Return the texts inside a PNG (by keyword), or a JPEG's or WebP's EXIF comment as "parameters"; bounded."""
    data = source if isinstance(source, bytes) else source.read_bytes()
    if data.startswith(MAGIC):
        return read_texts(io.BytesIO(data), limit_chunk=LIMIT_CHUNK, limit_total=LIMIT_TOTAL)
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "WEBP")) as opened:
            comment = opened.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, EOFError, Image.DecompressionBombError):
        return {}
    text = _comment(comment)
    return {"parameters": text} if text and len(text) <= LIMIT_CHUNK else {}


def _comment(value: Any) -> str:
    """An EXIF UserComment: eight bytes that name the charset, then the text; Fooocus leaves the eight bytes out."""
    if isinstance(value, str):
        return value
    if not isinstance(value, bytes):
        return ""
    charset = _COMMENT_CHARSETS.get(value[:8])
    return value[8:].decode(charset, "replace") if charset else value.decode("utf-8", "replace")


def _a1111(texts: Mapping[str, str]) -> Foreign | None:
    if "parameters" not in texts:
        return None
    info = parse_parameters(texts["parameters"])
    pairs = dict(info.pairs)
    if not pairs:
        return None
    numbers: dict[str, float] = {}
    if size := re.fullmatch(r"(\d{1,5})x(\d{1,5})", pairs.pop("Size", "")):
        numbers = {"width": int(size[1]), "height": int(size[2])}
    sampler, schedule = pairs.pop("Sampler", ""), pairs.pop("Schedule type", "")
    renamed = {
        "Steps": "steps",
        "CFG scale": "cfg_scale",
        "Seed": "seed",
        "Denoising strength": "strength",
        "Variation seed": "variation_seed",
        "Variation seed strength": "variation_strength",
    }
    for there, here in renamed.items():
        if (number := _number(pairs.get(there))) is not None:
            numbers[here] = number
            del pairs[there]
    return Foreign(
        "AUTOMATIC1111",
        prompt=_cleaned(info.prompt),
        negative_prompt=_cleaned(info.negative_prompt),
        sampler=_cleaned(sampler),
        schedule=_cleaned(schedule),
        model=_cleaned(pairs.pop("Model", "")),
        model_hash=_cleaned(pairs.pop("Model hash", "")),
        numbers=numbers,
        extras=_extras(pairs),
    )


def _invokeai(texts: Mapping[str, str]) -> Foreign | None:
    known = {key: texts[key] for key in ("invokeai_metadata", "sd-metadata", "Dream") if key in texts}
    for key in ("invokeai_metadata", "sd-metadata"):
        if key in known:
            _check_json(known[key])
    if "Dream" in known:
        known["Dream"] = " ".join(known["Dream"].split())  # runs of blanks would cost the parser their square
    return _from_parser("InvokeAI", InvokeAIParser().parse, known) if known else None


def _novelai(texts: Mapping[str, str]) -> Foreign | None:
    if not {"Comment", "Description", "Source"} <= texts.keys():
        return None
    _check_json(texts["Comment"])
    return _from_parser("NovelAI", NovelAIParser().parse, dict(texts))


def _fooocus(texts: Mapping[str, str]) -> Foreign | None:
    if not texts.get("parameters", "").lstrip().startswith("{"):
        return None
    values = _check_json(texts["parameters"])
    defaults = {"base_model": "", "base_model_hash": "", "sampler": "", "negative_prompt": ""}
    whole = json.dumps({**defaults, **values})
    return _from_parser("Fooocus", FooocusParser().parse, {"parameters": whole})


def _comfyui(texts: Mapping[str, str]) -> Foreign | None:
    if "prompt" not in texts:
        return None
    nodes = _check_json(texts["prompt"])
    if len(nodes) > MAX_NODES:
        raise ValueError(f"{len(nodes)} nodes")
    inputs = {str(key): node.get("inputs") for key, node in nodes.items() if isinstance(node, dict)}
    samplers = sum(isinstance(given, dict) and {"steps", "cfg"} <= given.keys() for given in inputs.values())
    if samplers > MAX_SAMPLERS:
        raise ValueError(f"{samplers} samplers")
    links = [
        [0, value[0], 0, target, 0, "CLIP" if name == "clip" else "*"]
        for target, given in inputs.items()
        if isinstance(given, dict)
        for name, value in given.items()
        if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int)
    ]
    found = _from_parser("ComfyUI", ComfyUIParser().parse, {"prompt": nodes, "workflow": {"links": links}})
    sizes = [given for given in inputs.values() if isinstance(given, dict) and {"width", "height"} <= given.keys()]
    if found is not None and sizes:
        for side in ("width", "height"):
            if (number := _number(sizes[0][side])) is not None:
                found.numbers.setdefault(side, number)
        for node in [name for name in found.extras if name.startswith("Empty") and "Latent" in name]:
            del found.extras[node]  # it says the size, which was taken over
    return found


def _from_parser(
    software: str, parse: Callable[[dict[str, Any]], PromptInfo], parameters: dict[str, Any]
) -> Foreign | None:
    info = parse(parameters)
    if not info.samplers:
        return None
    sampler = info.samplers[-1]  # of several passes the last one made the picture
    values: dict[str, Any] = {}
    for source in (info.metadata, *(one.parameters for one in info.samplers)):
        for key, value in source.items():
            values[_ALIASES.get(str(key), str(key))] = value
    if size := re.fullmatch(r"\(?(\d{1,5})\D{1,3}(\d{1,5})\)?", str(values.pop("resolution", ""))):
        values |= {"width": int(size[1]), "height": int(size[2])}
    numbers: dict[str, float] = {}
    for name in _NUMBERS:
        if (number := _number(values.get(name))) is not None:
            numbers["strength" if name == "denoise" else name] = number
            del values[name]
    model = sampler.model
    return Foreign(
        software,
        prompt=_cleaned("\n".join(map(str, info.prompts))),
        negative_prompt=_cleaned("\n".join(map(str, info.negative_prompts))),
        sampler=_cleaned(sampler.name),
        schedule=_cleaned(values.pop("scheduler", "")),
        model=_cleaned(model.name if model else ""),
        model_hash=_cleaned(model.hash if model else ""),
        numbers=numbers,
        extras=_extras(values),
    )


def _check_json(text: str) -> dict[str, Any]:
    """Return `text` as a JSON object; ValueError when it is none, or nested deeper than MAX_DEPTH."""
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    level: list[Any] = [values]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for one in level
            for item in (one.values() if isinstance(one, dict) else one)
            if isinstance(item, dict | list)
        ]
        if not level:
            return values
    raise ValueError("nested too deeply")


def _number(value: Any) -> float | None:
    """`value` as a number, whole where it is; None for anything else, and for what no setting can be."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = int(value) if isinstance(value, int) or str(value).strip().isdigit() else float(value)
    except (ValueError, OverflowError):
        return None
    return number if -(2**64) <= number <= 2**64 else None


def _cleaned(text: Any) -> str:
    return clean_text(str(text))[0] if text else ""


def _extras(values: Mapping[Any, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in list(values.items())[:MAX_EXTRAS]:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        found[clean_text(str(key))[0][:60]] = clean_text(text)[0][:MAX_EXTRA_TEXT]
    return found
