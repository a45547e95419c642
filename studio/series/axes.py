"""The axes of a grid: which field varies, and over which values.

Values are written as in stable-diffusion-webui's X/Y/Z plot: `10, 20, 30`; `1-10`; `1-10 (+2)` in steps of two;
`1-10 [5]` five of them evenly. Words are a comma list, with "..." around what holds a comma. Search and replace
takes the first item as what is searched, and the rest as what replaces it, one after the other.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from studio.errors import InvalidRequest, UnknownName
from studio.fields import field_spec
from studio.requests import Seed, StyleWords, TextToImage, random_seed

SEARCH = "search_replace"
MAX_VALUES = 100
_LEFT_OUT = frozenset({"kind", "version", "batch"})
_NUMBER = r"-?(?:\d+\.?\d*|\.\d+)"
_RANGE = re.compile(rf"\s*({_NUMBER})\s*-\s*({_NUMBER})\s*(?:\(\s*([+-]?{_NUMBER})\s*\)|\[\s*(\d+)\s*\])?\s*")


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a grid: `texts[i]` is how `values[i]` is written in the legend."""

    field: str
    texts: tuple[str, ...]
    values: tuple[Any, ...]

    def apply(self, values: dict[str, Any], place: int) -> dict[str, Any]:
        """Return a request's `values` with this axis at `place`."""
        if self.field != SEARCH:
            return {**values, self.field: self.values[place]}
        searched, replaced = str(self.values[0]), str(self.values[place])
        return {**values, **{name: values[name].replace(searched, replaced) for name in ("prompt", "negative_prompt")}}


def axis_fields() -> tuple[str, ...]:
    """Return the fields that an axis may vary: every single value of a request, styles by name, and words."""
    single = (int, float, str, bool, Seed)
    fields = TextToImage.model_fields
    named = tuple(n for n in fields if n not in _LEFT_OUT and field_spec(TextToImage, n).type in single)
    return (*named, "styles", SEARCH)


def read_axis(field: str, text: str, *, base: TextToImage, styles: Mapping[str, StyleWords]) -> Axis:
    """Return the axis over `field` that `text` describes.

    Args:
        base: The request that the grid varies.
        styles: Known styles by name; several are joined with " + ", "none" is none.

    Raises:
        UnknownName: There is no such field or style.
        InvalidRequest: There are no values, too many, or values of the wrong type.
    """
    if field not in axis_fields():
        raise UnknownName("setting", field, axis_fields(), field=field)
    kind = field_spec(TextToImage, field).type if field not in ("styles", SEARCH) else str
    texts = _numbers(text, whole=kind is not float) if kind in (int, float) else _words(text)
    if not texts:
        raise InvalidRequest("This axis has no values.", "Write them with commas: 10, 20, 30.", field=field)
    if len(texts) > MAX_VALUES:
        raise InvalidRequest(f"This axis has {len(texts)} values, at most {MAX_VALUES} are possible.", field=field)
    if field == SEARCH:
        _check_search(texts, base)
    return Axis(field, *_settled(field, texts, styles))


def _settled(field: str, texts: list[str], styles: Mapping[str, StyleWords]) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Return legend texts and values; a random seed is drawn here, so that all cells share it."""
    if field == "styles":
        return tuple(texts), tuple(_styles(text, styles) for text in texts)
    if field in ("seed", "variation_seed"):
        texts = [str(random_seed()) if text in ("-1", "") else text for text in texts]
    return tuple(texts), tuple(texts)


def _styles(text: str, known: Mapping[str, StyleWords]) -> tuple[StyleWords, ...]:
    if text.strip().casefold() in ("", "none"):
        return ()
    by_name = {name.casefold(): style for name, style in known.items()}
    found = []
    for name in text.split(" + "):
        if name.strip().casefold() not in by_name:
            raise UnknownName("style", name.strip(), known, field="styles")
        found.append(by_name[name.strip().casefold()])
    return tuple(found)


def _check_search(texts: list[str], base: TextToImage) -> None:
    if texts[0] not in base.prompt + base.negative_prompt:
        raise InvalidRequest(
            f'"{texts[0][:60]}" is not in the prompt.',
            "The first word is searched, the others take its place.",
            field=SEARCH,
        )


def _words(text: str) -> list[str]:
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    return [word.strip() for row in rows for word in row if word.strip()]


def _numbers(text: str, *, whole: bool) -> list[str]:
    found: list[str] = []
    for item in _words(text):
        match = _RANGE.fullmatch(item)
        if match is None:
            found.append(item)
            continue
        found += [_written(number, whole) for number in _range(match, item)]
    return found


def _range(match: re.Match[str], item: str) -> list[float]:
    begin, end = float(match[1]), float(match[2])
    if match[4]:
        count = int(match[4])
        if not 1 <= count <= MAX_VALUES:
            raise InvalidRequest(f'"{item}" gives {count} values.', f"Write [1] to [{MAX_VALUES}].")
        return [begin + (end - begin) * i / max(count - 1, 1) for i in range(count)]
    step = abs(float(match[3] or 1)) * (1 if end >= begin else -1)
    if step == 0:
        raise InvalidRequest(f'"{item}" never reaches its end.', "Write a step above 0: 1-10 (+2).")
    count = int((end - begin) / step + 1e-9) + 1
    if count > MAX_VALUES:
        raise InvalidRequest(f'"{item}" gives {count} values.', f"At most {MAX_VALUES} are possible.")
    return [begin + step * i for i in range(count)]


def _written(number: float, whole: bool) -> str:
    return str(round(number)) if whole else f"{round(number, 6):g}"
