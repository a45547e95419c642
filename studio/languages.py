"""Prompts in Chinese, Japanese, Spanish, French and German, put into the English our models were taught.

Word by word through a dictionary, the longest match first: enough for "一只红色的猫" or "un chat rouge sur fond
bleu", no translation of prose. What was understood is reported, so the page can show it under the prompt.
The dictionary is `assets/languages.json`, made by `studio data build languages` from emojibase-data (MIT).
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from studio.errors import StudioError
from studio.settings import ROOT

SHIPPED = ROOT / "assets" / "languages.json"
FORMAT_VERSION = 1
LANGUAGES = {"zh": "Chinese", "ja": "Japanese", "es": "Spanish", "fr": "French", "de": "German"}
UNIT, BACKGROUND_FIRST = "|", "~"
_LONGEST_PHRASE = 7  # words; no key of a spaced language is longer
_ADJECTIVES = frozenset({
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey", "golden",
    "colourful", "small", "tiny", "big", "cute", "happy", "sad", "old", "new",
})  # fmt: skip
_FUNCTION_WORDS = frozenset({
    "a", "an", "the", "of", "on", "in", "at", "with", "and", "or", "by", "to", "from", "one", "two", "three", "four",
    "some", "without", "wearing", "style", "on a", "of the", "in the", "next to", "above", "below",
})  # fmt: skip
_COUNTS = frozenset({"two", "three", "four"})
_AFTER_NOUN = frozenset({"es", "fr"})
_KANA = re.compile(r"[\u3040-\u30ff]")
_HAN = re.compile(r"[\u3400-\u9fff]")
_CLAUSE_FIRST = re.compile(
    r"(戴着|带着|穿着|拿着)([\u3400-\u9fff]+?)的([\u3400-\u9fff]+)"
)  # 戴着帽子的狗: dog wearing a hat
_WORD = re.compile(r"\w+(?:[-\u2010']\w+)*'?|[^\w\s]")
_UNSPACED_RUN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]+|[^\u3040-\u30ff\u3400-\u9fff]+")


@dataclass(frozen=True)
class Translation:
    """What a prompt means in English.

    `understood` lists (source, English) in the order of the prompt; `unknown` the words left as they are;
    `language` is a key of `LANGUAGES`, or "en" when the prompt is passed on untouched.
    """

    text: str
    understood: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ()
    language: str = "en"


@dataclass(frozen=True)
class _Unit:
    source: str
    english: str  # "" is understood and not said
    is_known: bool


class Dictionary:
    """Words of several languages and the English vocabulary they lead to."""

    def __init__(self, words: dict[str, dict[str, str]], english: frozenset[str]) -> None:
        self._words = words
        self._english = english

    @classmethod
    def load(cls, path: Path = SHIPPED) -> Dictionary:
        """Read a dictionary file.

        Raises:
            StudioError: The file is missing, damaged or of another version.
        """
        hint = f"Restore it from the repository, or make it: studio data build languages --out {path}"
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            version, words, english = data["version"], data["words"], frozenset(data["english"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StudioError(f"The dictionary {path.name} cannot be read: {error}", hint) from error
        if version != FORMAT_VERSION or not isinstance(words, dict):
            raise StudioError(f"The dictionary {path.name} has version {version}, not {FORMAT_VERSION}.", hint)
        return cls(words, english)

    def translate(self, prompt: str) -> Translation:
        """Translate a prompt; an English one, and one nothing is known of, comes back as it was."""
        prompt = unicodedata.normalize("NFKC", prompt).replace("\u2019", "'").strip()
        prompt = prompt.replace("、", ", ").replace("。", ". ")
        language = self.language_of(prompt)
        if language == "en":
            return Translation(prompt)
        if language == "zh":
            prompt = _CLAUSE_FIRST.sub(r"\3\1\2", prompt)
        units = self._match_runs(prompt, language) if language in ("zh", "ja") else self._match_words(prompt, language)
        if not any(unit.is_known and unit.source != unit.english for unit in units):
            return Translation(prompt)
        understood = tuple((u.source, _said(u.english)) for u in units if u.is_known and _said(u.english))
        unknown = tuple(u.source.strip(" ,.") for u in units if not u.is_known and re.search(r"\w", u.source))
        return Translation(_sentence(units, language), understood, unknown, language)

    def language_of(self, prompt: str) -> str:
        """Tell the language of a prompt by its script, else by which language knows most of its words."""
        if _KANA.search(prompt):
            return "ja"
        if _HAN.search(prompt):
            return "zh"
        tokens = [token.lower() for token in _WORD.findall(prompt) if re.match(r"\w", token)]
        scores = {"en": float(sum(token in self._english for token in tokens))}
        for language in LANGUAGES:
            if language in self._words and language not in ("zh", "ja"):
                units = self._match_words(" ".join(tokens), language)
                known = [unit for unit in units if unit.is_known]
                if any(unit.english not in _FUNCTION_WORDS for unit in known):  # "die hard" is no German
                    scores[language] = sum(len(unit.source.split()) for unit in known) - 0.5
        return max(scores, key=lambda language: scores[language])

    def _match_runs(self, prompt: str, language: str) -> list[_Unit]:
        """Longest match in text without blanks; runs of other scripts pass as they are."""
        words = self._words.get(language, {})
        units: list[_Unit] = []
        for run in _UNSPACED_RUN.findall(prompt):
            if not (_HAN.search(run) or _KANA.search(run)):
                units.append(_Unit(run.strip(), run.strip(), is_known=False))
                continue
            at = 0
            while at < len(run):
                end = next((e for e in range(min(len(run), at + 12), at, -1) if run[at:e] in words), None)
                if end is None:
                    units.append(_Unit(run[at], run[at], is_known=False))
                    at += 1
                else:
                    units.append(_Unit(run[at:end], words[run[at:end]], is_known=True))
                    at = end
        return _joined_unknown(units)

    def _match_words(self, prompt: str, language: str) -> list[_Unit]:
        """Longest match in text with blanks; plurals are tried when a word is not there as it is."""
        words = self._words.get(language, {})
        tokens = _split_elisions(_WORD.findall(prompt))
        units: list[_Unit] = []
        at = 0
        while at < len(tokens):
            for end in range(min(len(tokens), at + _LONGEST_PHRASE), at, -1):
                source = " ".join(tokens[at:end])
                english = _look_up(source.lower(), words, language)
                if english is not None:
                    units.append(_Unit(source, english, is_known=True))
                    at = end
                    break
            else:
                units.append(_Unit(tokens[at], tokens[at], is_known=False))
                at += 1
        return units

    @cached_property
    def size(self) -> dict[str, int]:
        """Number of entries for each language."""
        return {language: len(words) for language, words in self._words.items()}


def to_english(prompt: str) -> Translation:
    """Translate a prompt with the dictionary shipped in `assets/languages.json`."""
    return _shipped().translate(prompt)


@cache
def _shipped() -> Dictionary:
    return Dictionary.load()


def _look_up(source: str, words: dict[str, str], language: str) -> str | None:
    if source in words:
        return words[source]
    endings = {"es": ("es", "s"), "fr": ("s", "x"), "de": ("en", "n", "er", "e", "s")}[language]
    for ending in endings:
        stem = source.removesuffix(ending)
        if stem != source and len(stem) > 2 and stem in words:
            return words[stem] if words[stem] in _ADJECTIVES | _FUNCTION_WORDS else _plural(words[stem])
    return None


def _split_elisions(tokens: list[str]) -> list[str]:
    """Part "l'arbre" and "d'eau" into two words; "aujourd'hui" and other names stay whole."""
    found: list[str] = []
    for token in tokens:
        match = re.fullmatch(r"([lLdD]')(\w.*)", token)
        found.extend(match.groups() if match else [token])
    return found


def _sentence(units: list[_Unit], language: str) -> str:
    """Put the English units in English order and join them."""
    words: list[str] = []
    front: list[str] = []  # a background that was said first
    nouns: set[int] = set()
    for unit in units:
        for part in filter(None, unit.english.split(UNIT)):
            if part == BACKGROUND_FIRST:
                front, words, nouns = words, [], set()
            elif language in _AFTER_NOUN and part in _ADJECTIVES and words and len(words) - 1 in nouns:
                nouns.discard(len(words) - 1)
                words.insert(len(words) - 1, part)
                nouns.add(len(words) - 1)
            else:
                counted = bool(words) and words[-1] in _COUNTS and unit.is_known and part not in _ADJECTIVES
                words.append(_plural(part) if counted else part)
                if unit.is_known and part not in _ADJECTIVES | _FUNCTION_WORDS:
                    nouns.add(len(words) - 1)
    words = [*words, ",", *front] if front and words else [*front, *words]
    text = re.sub(r"\s*([,.;:!?])\s*", r"\1 ", " ".join(words))
    text = re.sub(r"\bon (\w+) background", r"on a \1 background", text)
    return re.sub(r"\ba (?=[aeio])", "an ", re.sub(r"\b(an?) (?:an?|the) ", r"\1 ", text)).strip(" ,")


def _plural(noun: str) -> str:
    """Return a simple English plural; a phrase is left alone, and so is a noun that has the ending already."""
    if " " in noun or noun.endswith("s") or not noun.isalpha():
        return noun
    if re.search(r"(x|z|ch|sh)$", noun):
        return noun + "es"
    return noun[:-1] + "ies" if re.search(r"[^aeiou]y$", noun) else noun + "s"


def _said(english: str) -> str:
    return " ".join(part for part in english.split(UNIT) if part and part != BACKGROUND_FIRST)


def _joined_unknown(units: list[_Unit]) -> list[_Unit]:
    joined: list[_Unit] = []
    for unit in units:
        if joined and not unit.is_known and not joined[-1].is_known and _HAN.match(unit.source):
            whole = joined[-1].source + unit.source
            joined[-1] = _Unit(whole, whole, is_known=False)
        else:
            joined.append(unit)
    return joined
