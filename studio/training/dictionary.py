"""Build the dictionary that puts prompts of five languages into English (`assets/languages.json`).

Names of things are emojibase's own labels, code point by code point. Keywords are not aligned between
languages, so a keyword is matched with the English word that marks the same emoji: the pair with the highest
Jaccard overlap, kept when it is clear. Prompt words written by hand (`assets/prompt_words`) come last and win.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from studio.languages import FORMAT_VERSION, SHIPPED
from studio.training import captions
from studio.training.colours import COLOURS
from studio.training.emoji import LOCALES, Emojibase

HAND_WRITTEN = SHIPPED.parent / "prompt_words"
MIN_OVERLAP = 0.75
_LOOSELY_MARKED = frozenset({0, 1, 9})  # faces, people, flags: keywords of moods and chat
_ENGLISH_WORD = re.compile(r"[a-z][a-z' -]+")
_SHADE = re.compile(r"(?:light |dark )?([a-z]+) ")
_SKIPPED_GROUPS = frozenset({2, 8})  # components and symbols
_ENGLISH = frozenset({
    "a", "an", "the", "of", "on", "at", "in", "with", "and", "or", "by", "to", "from", "next", "left", "right", "top",
    "bottom", "middle", "center", "centre", "corner", "above", "below", "background", "style", "small", "tiny", "big",
    "large", "cute", "happy", "sad", "old", "new", "one", "two", "three", "four", "some", "many", "picture", "photo",
    "drawing", "painting", "render", "3d", "flat", "cartoon", "sticker", "clipart", "poster", "glossy", "design",
})  # fmt: skip


def build_dictionary(emojibase_folder: str | Path, out: str | Path = SHIPPED) -> dict[str, int]:
    """Write the dictionary and return the number of words for each language.

    Args:
        emojibase_folder: The unpacked `emojibase-data` package.
        out: The JSON file to write.
    """
    emojibase = Emojibase(Path(emojibase_folder))
    words = {locale: _locale_words(emojibase, locale) for locale in LOCALES}
    english = {word for table in words.values() for text in table.values() for word in re.findall(r"[a-z0-9-]+", text)}
    data = {
        "format": "tessera-languages",
        "version": FORMAT_VERSION,
        "licence": "MIT; names of things from emojibase-data (MIT, Miles Johnson), which takes them from Unicode CLDR",
        "english": sorted(english | _ENGLISH | set(COLOURS)),
        "words": {locale: dict(sorted(table.items())) for locale, table in words.items()},
    }
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Path(out).write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    return {locale: len(table) for locale, table in words.items()}


def _locale_words(emojibase: Emojibase, locale: str) -> dict[str, str]:
    english = {key: entry for key, entry in emojibase.plain_entries("en").items() if _is_thing(entry)}
    foreign = emojibase.plain_entries(locale)
    names = {key: _english_name(entry, emojibase) for key, entry in english.items()}
    found = _from_keywords(english, foreign)
    for key, name in names.items():
        if key in foreign:
            found[_folded(foreign[key]["label"])] = name
    by_hand = dict(_hand_written(locale))
    found |= by_hand
    return {
        word: meaning for word, meaning in found.items() if not re.fullmatch(r"\W?|[a-z]{1,2}", word) or word in by_hand
    }


def _hand_written(locale: str) -> Iterator[tuple[str, str]]:
    for pair in (HAND_WRITTEN / f"{locale}.txt").read_text(encoding="utf-8").split():
        word, _, meaning = pair.partition("=")
        yield _folded(word.replace("_", " ")), meaning.replace("_", " ").strip()


def _from_keywords(english: dict[str, dict[str, Any]], foreign: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Match keywords that mark at least two emoji with the English word that marks the same ones."""
    marked_english: dict[str, set[str]] = defaultdict(set)
    marked_foreign: dict[str, set[str]] = defaultdict(set)
    for key, entry in english.items():
        if entry["group"] in _LOOSELY_MARKED:
            continue
        for tag in filter(_ENGLISH_WORD.fullmatch, entry.get("tags", ())):
            marked_english[tag].add(key)
        for tag in foreign.get(key, {}).get("tags", ()):
            marked_foreign[_folded(tag)].add(key)
    by_key: dict[str, set[str]] = defaultdict(set)
    for tag, keys in marked_english.items():
        for key in keys:
            by_key[key].add(tag)
    found = {}
    for word, keys in marked_foreign.items():
        overlap = {
            tag: len(keys & marked_english[tag]) / len(keys | marked_english[tag])
            for key in keys
            for tag in by_key[key]
        }
        best = max(overlap.values(), default=0.0)
        labels = " ".join(english[key]["label"] for key in keys)
        rivals = [tag for tag in overlap if overlap[tag] == best]
        named = [tag for tag in rivals if re.search(rf"\b{re.escape(tag)}\b", labels)] or rivals
        if len(keys) >= 2 and best >= MIN_OVERLAP and len(named) == 1:
            found[word] = named[0]
    return found


def _english_name(entry: dict[str, Any], emojibase: Emojibase) -> str:
    name = captions.spoken_names(entry["label"], category=emojibase.category_of(entry) or "object")[0]
    shade = _SHADE.match(entry["label"].lower())
    return f"{shade[0]}{name}" if shade and shade[1] in COLOURS and name not in COLOURS else name


def _is_thing(entry: dict[str, Any]) -> bool:
    return entry.get("group") is not None and entry["group"] not in _SKIPPED_GROUPS


def _folded(text: str) -> str:
    """Write a word as prompts are written before look-up: NFKC, lower case, plain quotes, no label grammar."""
    text = unicodedata.normalize("NFKC", text).lower().replace("\u2019", "'")
    return re.sub(r"\s+", " ", re.sub(r"[\u201c\u201d\"«»:,]", " ", text)).strip()
