"""English captions: what a thing is called, and how a picture of it is described.

Names come from emoji labels, file names and titles, which are full of noise; what artists type is plain:
"a red apple", "two cats on a blue background, 3d style". Everything here is text in, text out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from studio.training.colours import COLOURS
from studio.training.vocabulary import (
    ALREADY_PLURAL,
    EVERYDAY,
    IRREGULAR_PLURALS,
    NOT_SPOKEN,
    SINGULAR_IN_S,
    SLANG,
    UNCOUNTABLE,
)

CATEGORY_WEIGHTS = {
    "animal": 1.4, "plant": 1.3, "food": 1.4, "place": 1.0, "vehicle": 1.3, "nature": 1.2, "activity": 1.0,
    "object": 1.0, "clothing": 1.0, "character": 1.2, "heart": 0.8, "shape": 0.5, "face": 0.7, "person": 0.4,
    "hand": 0.4, "family": 0.08, "symbol": 0.12, "text": 0.02, "flag": 0.06, "clipart": 0.6,
}  # fmt: skip
STYLE_PHRASES = {
    "3d": ("3d style", "3d render"), "flat": ("flat style", "flat design"), "glossy": ("glossy style",),
    "cartoon": ("cartoon style", "cartoon"), "sticker": ("sticker style", "sticker"),
    "poster": ("poster style",), "clipart": ("clipart style", "clipart"), "photo": ("photo", "photo style"),
}  # fmt: skip
_PROPER = re.compile(r"^(mount |statue of liberty|tokyo tower|santa claus|mrs\. claus|japan$|tux$)")
_DETERMINED = re.compile(r"^(?:an?|the|my|our|two|three|four|some|many) ", re.IGNORECASE)
_UNIQUE = frozenset({"sun", "milky way", "statue of liberty", "eiffel tower"})
_SPLIT_HEAD = re.compile(r" (?=(?:with|of|in|on|from|and|without|behind|wearing|eating|holding|over|at) )")
_VOWEL_SOUND = re.compile(r"^(?:[aeio]|u(?!ni|s[ea]|r[iu]|k|ti)|hour|honest|heir|x-ray|mri|suv\b)")
_NUMBERS = {2: "two", 3: "three", 4: "four"}


def spoken_names(label: str, shortcodes: Iterable[str] = (), *, category: str) -> tuple[str, ...]:
    """Return what a thing is called, the canonical name first, without colour words and label grammar.

    "dog face" is a dog, "flag: France" a flag of france, "red apple" an apple (its colour is read from the
    pixels). Everyday names from shortcodes follow ("automobile": "car").
    """
    name = _plain_label(label, category)
    extra = [_plain_label(code.replace("_", " "), category) for code in shortcodes] if _named_freely(category) else []
    good = [x for x in extra if re.fullmatch(r"[a-z][a-z' -]{2,23}", x) and len(x.split()) <= 3 and x not in NOT_SPOKEN]
    return tuple(dict.fromkeys([name, *good]))


def clean_keywords(tags: Iterable[str], names: Sequence[str]) -> tuple[str, ...]:
    """Keep up to eight keywords that add something to the names: words, no colours, no slang."""
    taken = {word for name in names for word in name.split()}
    kept = [tag.lower().replace("’", "'") for tag in tags]
    kept = [tag for tag in kept if re.fullmatch(r"[a-z][a-z' -]{2,15}", tag)]
    return tuple(dict.fromkeys(tag for tag in kept if tag not in taken and tag not in COLOURS and tag not in SLANG))[:8]


def with_article(noun: str, *, adjectives: Sequence[str] = ()) -> str:
    """Put the right article before a noun phrase: "an orange", "a red apple", "scissors", "the sun".

    What has a determiner already, or is a whole sentence, stays as it is.
    """
    phrase = " ".join([*adjectives, noun])
    if _DETERMINED.match(noun) or (len(noun.split()) > 9 and not adjectives):
        return phrase
    if _PROPER.match(noun) and not adjectives:
        return phrase
    if noun in _UNIQUE and not adjectives:
        return f"the {phrase}"
    if is_plural(noun) or head(noun) in UNCOUNTABLE:
        return phrase
    return f"{'an' if _VOWEL_SOUND.match(phrase) else 'a'} {phrase}"


def several(noun: str, count: int, *, adjectives: Sequence[str] = ()) -> str:
    """Count things: "three red stars", "two bottles of wine". Counts from 2 to 4."""
    return " ".join([_NUMBERS[count], *adjectives, plural(noun)])


def can_be_counted(noun: str) -> bool:
    """Tell whether "three ..." can be said of it."""
    singular = not is_plural(noun) and head(noun) not in UNCOUNTABLE and noun not in _UNIQUE
    return singular and not _PROPER.match(noun) and not re.search(r"\b(two|three|pair)\b|ing$", noun)


def plural(noun: str) -> str:
    """Return the plural of a noun phrase; only its head changes ("cups of coffee")."""
    first, *rest = _SPLIT_HEAD.split(noun, maxsplit=1)
    *before, word = first.split(" ")
    return " ".join([*before, _plural_word(word), *rest])


def head(noun: str) -> str:
    """Return the head of a noun phrase: "cup of coffee" is a cup, "christmas tree" a tree."""
    return _SPLIT_HEAD.split(noun, maxsplit=1)[0].split(" ")[-1]


def is_plural(noun: str) -> bool:
    """Tell whether a noun phrase is a plural already ("grapes", "glasses")."""
    word = head(noun)
    return word in ALREADY_PLURAL or (word.endswith("s") and not word.endswith(SINGULAR_IN_S))


def in_style(subject: str, style: str, rng: np.random.Generator) -> str:
    """Add the style word in one of the ways people write it."""
    phrases = STYLE_PHRASES.get(style, (f"{style} style",) if style else ())
    if not phrases:
        return subject
    phrase = phrases[int(rng.integers(len(phrases)))] if rng.random() < 0.3 else phrases[0]
    chance = rng.random()
    if chance < 0.7:
        return f"{subject}, {phrase}"
    if chance < 0.85:
        return f"{phrase}, {subject}"
    return f"{subject} in {phrase}" if phrase.endswith("style") else f"{subject}, {phrase}"


def canonical(noun: str, style: str, *, adjectives: Sequence[str] = ()) -> str:
    """Describe a picture in the fixed form used for evaluation: "an apple, flat style"."""
    phrase = STYLE_PHRASES.get(style, (f"{style} style" if style else "",))[0]
    return ", ".join(part for part in (with_article(noun, adjectives=adjectives), phrase) if part)


def without_colour(name: str) -> str:
    """Drop a leading colour word ("red apple"), which the pixels say better; "orange" alone is a fruit."""
    first, _, rest = name.removeprefix("light ").removeprefix("dark ").partition(" ")
    return rest if first in COLOURS and rest else name


def _named_freely(category: str) -> bool:
    return category in {"animal", "plant", "food", "place", "vehicle", "activity", "object", "clothing", "nature"}


def _plain_label(label: str, category: str) -> str:
    name = label.lower().replace("’", "'").replace("“", "").replace("”", "").replace(",", "")
    name = re.sub(r"^flag: ", "flag of ", name)
    name = re.sub(r"^(kiss|couple with heart|family): .*", r"\1", name).replace(": facing", " facing")
    name = re.sub(r"^(\w+): (.*)", r"\1 with \2", name)
    if category in ("animal", "nature") and not name.endswith("with face"):
        name = re.sub(r" face$", "", name)
    name = re.sub(r"(?<=[a-z])\d+$", "", without_colour(name)).strip()
    return EVERYDAY.get(name, name)


def _plural_word(word: str) -> str:
    if word in IRREGULAR_PLURALS:
        return IRREGULAR_PLURALS[word]
    if re.search(r"(s|x|z|ch|sh)$", word):
        return word + "es"
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + "s"
