"""The random parts of a prompt: `{a|b}`, `{2$$a|b|c}` and `__name__`, drawn by a seed.

A word list is a text file, one entry a line; `#` begins a comment line, `3::word` makes a line three times as
likely, entries may hold random parts themselves. The same seed and the same lists give the same words on every
machine: only `Random.random()` is drawn from, the one method Python keeps stable.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.errors import InvalidRequest, UnknownName
from studio.prompt.grammar import parse
from studio.prompt.tree import Alternating, Choice, Parts, Scheduled, Weighted, Wildcard
from studio.requests import MAX_PROMPT
from studio.settings import ROOT

SHIPPED = ROOT / "assets" / "wildcards"
MAX_DEPTH = 20
_MAX_FILE = 2**20
_LINE = re.compile(r"(?:(\d+\.?\d*|\.\d+)::)?(.*)")


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a word list, and how likely it is beside the others."""

    text: str
    share: float = 1.0


class WordLists:
    """The word lists in `folders`; a list in a later folder replaces one of the same name."""

    def __init__(self, folders: Sequence[Path] = (SHIPPED,)) -> None:
        self._folders = tuple(folders)

    def names(self) -> list[str]:
        """Return the names of all lists; one in a subfolder is called "folder/name"."""
        found = {
            path.relative_to(folder).with_suffix("").as_posix()
            for folder in self._folders
            for path in folder.rglob("*.txt")
        }
        return sorted(found)

    def entries(self, name: str) -> tuple[Entry, ...]:
        """Return the entries of the list called `name`.

        Raises:
            UnknownName: There is none; the nearest names are suggested.
            InvalidRequest: It is empty, or no text.
        """
        paths = [path for folder in self._folders if (path := folder / f"{name}.txt").is_file()]
        if not paths:
            raise UnknownName("word list", name, self.names(), field="prompt")
        entries = tuple(_entries(paths[-1], name))
        if not any(entry.share for entry in entries):
            raise InvalidRequest(f'The word list "{name}" is empty.', "Write one entry a line.", field="prompt")
        return entries


def is_random(prompt: str) -> bool:
    """Return whether `prompt` has random parts."""
    return next(_random_parts(parse(prompt)), None) is not None


def resolve(prompt: str, *, seed: int, lists: WordLists, stream: str = "prompt") -> str:
    """Return `prompt` with its random parts drawn; everything else stays as it was written.

    Args:
        seed: Of the picture that is made with it.
        lists: Where `__name__` is looked up.
        stream: Gives each text of a request draws of its own.

    Raises:
        UnknownName: A list does not exist.
        InvalidRequest: A list is empty, lists hold each other, or the result is too long.
    """
    return _resolve(prompt, random.Random(f"{seed}:{stream}"), lists, depth=0)


def _resolve(prompt: str, dice: random.Random, lists: WordLists, *, depth: int) -> str:
    if depth > MAX_DEPTH:
        raise InvalidRequest(
            f"Random parts are nested more than {MAX_DEPTH} deep.", "Does a word list hold itself?", field="prompt"
        )
    pieces: list[str] = []
    end = 0
    for part in _random_parts(parse(prompt)):
        chosen = (_resolve(text, dice, lists, depth=depth + 1) for text in _draw(part, dice, lists))
        pieces += [prompt[end : part.start], _joiner(part).join(chosen)]
        end = part.end
        if sum(map(len, pieces)) > MAX_PROMPT:
            raise InvalidRequest(
                f"The prompt becomes longer than {MAX_PROMPT:,} characters.", "Choose fewer words.", field="prompt"
            )
    return "".join([*pieces, prompt[end:]])


def _random_parts(parts: Parts) -> Iterator[Choice | Wildcard]:
    """Yield the outermost random parts in the order of the text."""
    for part in parts:
        match part:
            case Choice() | Wildcard():
                yield part
            case Weighted(inner, _):
                yield from _random_parts(inner)
            case Scheduled(before, after):
                yield from _random_parts(before)
                yield from _random_parts(after)
            case Alternating(options):
                for option in options:
                    yield from _random_parts(option)


def _draw(part: Choice | Wildcard, dice: random.Random, lists: WordLists) -> list[str]:
    if isinstance(part, Wildcard):
        return _pick(lists.entries(part.name), 1, dice)
    entries = tuple(Entry(text, share) for text, share in zip(part.options, part.shares, strict=True))
    if len(entries) == 1:  # {2$$__name__}: several entries of one list
        alone = parse(entries[0].text)
        if len(alone) == 1 and isinstance(alone[0], Wildcard):
            entries = lists.entries(alone[0].name)
    count = part.least + int(dice.random() * (part.most - part.least + 1)) if part.most > part.least else part.least
    return _pick(entries, count, dice)


def _pick(entries: Sequence[Entry], count: int, dice: random.Random) -> list[str]:
    """Return `count` different entries, or all that are likely at all, in the order they were drawn."""
    left = [entry for entry in entries if entry.share > 0]
    picked: list[str] = []
    while left and len(picked) < count:
        mark = dice.random() * sum(entry.share for entry in left)
        place = 0
        while place < len(left) - 1 and mark >= left[place].share:
            mark -= left[place].share
            place += 1
        picked.append(left.pop(place).text)
    return picked


def _joiner(part: Choice | Wildcard) -> str:
    return part.joiner if isinstance(part, Choice) else ""


def _entries(path: Path, name: str) -> Iterator[Entry]:
    try:
        if path.stat().st_size > _MAX_FILE:
            raise InvalidRequest(f'The word list "{name}" is larger than 1 MB.', "Split it.", field="prompt")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(
            f'The word list "{name}" cannot be read: {error}.', "Save it as UTF-8 text.", field="prompt"
        ) from error
    for line in lines:
        text = line.strip()
        if text and not text.startswith("#"):
            match = _LINE.fullmatch(text)
            assert match is not None
            yield Entry(match[2].strip(), float(match[1]) if match[1] else 1.0)
