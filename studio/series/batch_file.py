r"""A batch from a file: one wish a line, or a table of them.

- Text: one prompt a line; empty lines and lines that begin with `#` are left out. A line that begins with `--` names
  fields, as in stable-diffusion-webui's "prompts from file": `--prompt "a red apple" --steps 30 --seed 7`.
- CSV: the first line names fields (`prompt,steps,seed`); an empty cell keeps the setting.
- JSON: a list of objects with fields, or one object a line (JSONL).
"""

from __future__ import annotations

import csv
import io
import json
import shlex
from typing import Any

from studio.errors import InvalidRequest
from studio.requests import TextToImage

MAX_LINES = 1000
MAX_BYTES = 2**21
_NAMES = {"cfg_scale": "guidance_scale", "sampler_name": "scheduler", "sampler": "scheduler"}  # other studios'


def read_batch(data: bytes, *, name: str) -> list[dict[str, Any]]:
    """Return what each line of a batch file sets, by field.

    Args:
        data: The file's bytes.
        name: The file's name, for messages; `.csv` and `.json` or `.jsonl` choose the form, anything else is text.

    Raises:
        InvalidRequest: It is not text, too large, has too many lines or none, or a line cannot be read (which one).
    """
    if len(data) > MAX_BYTES:
        raise InvalidRequest(f'"{name}" is larger than 2 MB.', "Split it into several files.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f'"{name}" is not UTF-8 text.', "Save it as UTF-8.") from error
    suffix = name.rpartition(".")[2].lower()
    if suffix == "csv":
        lines = _csv(text, name)
    elif suffix in ("json", "jsonl"):
        lines = _json(text, name)
    else:
        lines = _text(text)
    if not lines:
        raise InvalidRequest(f'"{name}" holds no prompts.', "Write one prompt a line.")
    if len(lines) > MAX_LINES:
        raise InvalidRequest(f'"{name}" has {len(lines):,} lines; {MAX_LINES:,} are possible.', "Split it.")
    return [{_NAMES.get(key, key): value for key, value in line.items()} for line in lines]


def _text(text: str) -> list[dict[str, Any]]:
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if line and not line.startswith("#"):
            found.append(_flags(line, number) if line.startswith("--") else {"prompt": line})
    return found


def _flags(line: str, number: int) -> dict[str, Any]:
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise InvalidRequest(f"Line {number}: {error}.", 'Put "..." around a prompt.') from error
    values: dict[str, Any] = {}
    for place in range(0, len(words), 2):
        name = words[place].removeprefix("--").replace("-", "_")
        if not words[place].startswith("--") or place + 1 >= len(words):
            raise InvalidRequest(f'Line {number}: "{words[place]}" has no value.', 'Write --prompt "..." --steps 30.')
        values[name] = words[place + 1]
    return values


def _csv(text: str, name: str) -> list[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    known = {*TextToImage.model_fields, *_NAMES}
    unknown = [field for field in reader.fieldnames or () if field not in known]
    if not reader.fieldnames or unknown:
        what = f'no field "{unknown[0]}"' if unknown else "no fields"
        raise InvalidRequest(f'"{name}" names {what}.', "Its first line names fields: prompt,steps,seed.")
    try:
        return [{key: value for key, value in row.items() if key and value} for row in reader if any(row.values())]
    except csv.Error as error:
        raise InvalidRequest(f'"{name}" is not valid CSV: {error}.') from error


def _json(text: str, name: str) -> list[dict[str, Any]]:
    try:
        rows = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        try:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        except (json.JSONDecodeError, RecursionError) as error:
            raise InvalidRequest(f'"{name}" is not valid JSON: {error}.') from error
    rows = rows if isinstance(rows, list) else [rows]
    rows = [{"prompt": row} if isinstance(row, str) else row for row in rows]
    if not all(isinstance(row, dict) for row in rows):
        raise InvalidRequest(f'"{name}" is not a list of requests.', 'Each is {"prompt": ..., "steps": ...}.')
    return rows
