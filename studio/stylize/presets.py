"""Style presets: names for words. JSON as the field writes it, and import from other studios.

A preset is {"name", "prompt", "negative_prompt"}; `{prompt}` in its prompt stands for the artist's own words.
Several presets stack, one inside the other.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from studio.atomic import write_atomically
from studio.errors import InvalidRequest, UnknownName
from studio.requests import MAX_PROMPT, clean_text
from studio.settings import ROOT

PLACE = "{prompt}"
IMPORTED = "imported.json"
SHIPPED = ROOT / "assets" / "styles"
_MAX_BYTES = 8 * 2**20
_MAX_PRESETS = 5000


class StylePreset(BaseModel):
    """A style by name: words around the artist's own, and words to keep out."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    name: str = Field(min_length=1, max_length=120)
    prompt: str = Field("", max_length=MAX_PROMPT)
    negative_prompt: str = Field("", max_length=MAX_PROMPT)

    def around(self, words: str) -> str:
        """Return the preset's prompt with `words` in their place, or behind them when it has no place."""
        if PLACE not in self.prompt:
            return _joined(words, self.prompt)
        if words:
            return self.prompt.replace(PLACE, words)
        return _tidy(self.prompt.replace(PLACE, ""))


def apply_presets(presets: Iterable[StylePreset], prompt: str, negative_prompt: str = "") -> tuple[str, str]:
    """Return the prompts with every preset's words, the first preset innermost."""
    for preset in presets:
        prompt = preset.around(prompt)
        negative_prompt = _joined(negative_prompt, preset.negative_prompt)
    return prompt, negative_prompt


def load_presets(folders: Sequence[Path] = (SHIPPED,)) -> dict[str, StylePreset]:
    """Return all presets of the .json and .csv files in `folders` by name; later files replace earlier ones.

    Raises:
        InvalidRequest: A file is not a list of presets.
    """
    found: dict[str, StylePreset] = {}
    for folder in folders:
        for path in sorted([*folder.glob("*.json"), *folder.glob("*.csv")]):
            found.update({preset.name: preset for preset in read_presets(path)})
    return found


def find_preset(name: str, presets: dict[str, StylePreset]) -> StylePreset:
    """Return the preset called `name`, in any case; raises UnknownName with the nearest names."""
    for known, preset in presets.items():
        if known.casefold() == name.strip().casefold():
            return preset
    raise UnknownName("style", name, presets, field="style")


def read_presets(path: Path) -> list[StylePreset]:
    """Read a file of presets; see `parse_presets`.

    Raises:
        InvalidRequest: It cannot be read or is not a list of presets.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InvalidRequest(f'"{path.name}" is larger than 8 MB.', "A list of styles is a small text file.")
        return parse_presets(path.read_bytes(), name=path.name)
    except OSError as error:
        raise InvalidRequest(f'"{path.name}" cannot be read: {error.strerror}.', "Choose another file.") from error


def parse_presets(data: bytes, *, name: str) -> list[StylePreset]:
    """Return the presets in a file's bytes: JSON (a list of objects) or CSV with a header, by its content.

    Understands what Fooocus and SDXL style lists (JSON), AUTOMATIC1111 (`styles.csv`) and InvokeAI
    (`positive_prompt`) write. Rows without a name or without any words (headings, separators) are left out.

    Raises:
        InvalidRequest: It is neither, or holds no preset.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f'"{name}" is not text.', "Styles come as JSON or CSV files.") from error
    rows = _json_rows(text, name) if text.lstrip()[:1] in ("[", "{") else _csv_rows(text, name)
    presets = [preset for row in rows[:_MAX_PRESETS] if (preset := _preset(row, name)) is not None]
    if not presets:
        raise InvalidRequest(f'"{name}" holds no styles.', "Each needs a name and a prompt.")
    return presets


def keep_presets(presets: Iterable[StylePreset], folder: Path) -> None:
    """Add `presets` to those imported before, in `folder`; a name that is there already gets the new words.

    Raises:
        InvalidRequest: What was imported before is damaged.
        StudioError: The disk is full or cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / IMPORTED
    before = read_presets(path) if path.exists() else []
    merged = {preset.name: preset for preset in [*before, *presets]}
    write_atomically(path, as_json(merged.values()).encode())


def as_json(presets: Iterable[StylePreset]) -> str:
    """Return the presets in the usual JSON form."""
    return json.dumps([preset.model_dump() for preset in presets], indent=1, ensure_ascii=False) + "\n"


def _json_rows(text: str, name: str) -> list[dict[str, object]]:
    try:
        rows = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InvalidRequest(f'"{name}" is not valid JSON: {error}.', "Export the styles again.") from error
    rows = [rows] if isinstance(rows, dict) else rows
    if not all(isinstance(row, dict) for row in rows):
        raise InvalidRequest(f'"{name}" is not a list of styles.', 'Each is {"name": ..., "prompt": ...}.')
    return rows


def _csv_rows(text: str, name: str) -> list[dict[str, object]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if not {"name", "prompt"} <= set(reader.fieldnames or ()) and "positive_prompt" not in (reader.fieldnames or ()):
        raise InvalidRequest(f'"{name}" has no columns "name" and "prompt".', "Its first line must name them.")
    try:
        return [{key: value for key, value in row.items() if key} for row in reader]
    except csv.Error as error:
        raise InvalidRequest(f'"{name}" is not valid CSV: {error}.', "Export the styles again.") from error


def _preset(row: dict[str, object], file: str) -> StylePreset | None:
    def words(*keys: str) -> str:
        value = next((row[key] for key in keys if row.get(key)), "")
        return clean_text(value)[0] if isinstance(value, str) else ""

    values = {
        "name": words("name"),
        "prompt": words("prompt", "positive_prompt"),
        "negative_prompt": words("negative_prompt"),
    }
    if not values["name"] or not (values["prompt"] or values["negative_prompt"]):
        return None
    try:
        return StylePreset(**values)
    except ValidationError as error:
        raise InvalidRequest(
            f'The style "{values["name"][:60]}" in "{file}" is too long.',
            f"A prompt has at most {MAX_PROMPT} characters.",
        ) from error


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _tidy(text: str) -> str:
    """Take away what an empty place leaves behind: double commas, commas at the ends, double spaces."""
    return ", ".join(part for piece in text.split(",") if (part := " ".join(piece.split())))
