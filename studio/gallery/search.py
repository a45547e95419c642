"""What people type into the search box, turned into a query that SQLite's full-text search always accepts.

Scripts that are written without spaces (Chinese, Japanese, Korean, Thai, ...) and symbols such as emoji are
indexed letter by letter and searched as phrases. That finds every part of a text, also one of two letters,
which the trigram tokenizer (three at least) cannot: most Chinese words have two.
"""

from __future__ import annotations

import re
import unicodedata

from studio.requests import clean_text

MAX_WORDS = 32

_UNSPACED = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Tibetan, Burmese, Khmer
    "\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\uac00-\ud7af"  # Hangul, kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_UNSPACED_LETTER = re.compile(f"[{_UNSPACED}]")


def indexed(text: str) -> str:
    """Return `text` as it is put into the full-text index: words, and unspaced letters and symbols alone."""
    normal = unicodedata.normalize("NFKC", clean_text(text)[0])
    return "".join(f" {c} " if _stands_alone(c) else c if _is_indexed(c) else " " for c in normal)


def match_expression(text: str) -> str:
    """Return an FTS5 expression that finds texts with all words of `text`, each possibly unfinished; "" for none."""
    phrases = []
    for word in clean_text(text)[0].split()[:MAX_WORDS]:
        for letters in _runs([one for one in indexed(word).split() if any(map(_is_letter, one))]):
            phrase = " ".join(letters)
            finished = _stands_alone(letters[-1][-1])
            phrases.append(f'"{phrase}"' if finished else f'"{phrase}" *')
    return " AND ".join(phrases)


def _runs(words: list[str]) -> list[list[str]]:
    """Join unspaced letters that follow each other into one run; every other word is a run of its own."""
    runs: list[list[str]] = []
    for word in words:
        if runs and _stands_alone(word[0]) and _stands_alone(runs[-1][-1][0]):
            runs[-1].append(word)
        else:
            runs.append([word])
    return runs


def _stands_alone(letter: str) -> bool:
    return _UNSPACED_LETTER.match(letter) is not None or unicodedata.category(letter) == "So"


def _is_indexed(letter: str) -> bool:
    """Mirrors the tokenizer's categories: all others separate words; marks belong to the letter before them."""
    return _is_letter(letter) or unicodedata.category(letter).startswith("M")


def _is_letter(letter: str) -> bool:
    category = unicodedata.category(letter)
    return category[0] in "LN" or category in ("Co", "So")
