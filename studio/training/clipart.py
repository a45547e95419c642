"""Read Debian's clip art packages: Open Clip Art (public domain) and the Tux Paint stamps.

Open Clip Art keeps title, keywords and licence inside each SVG; the boring families (stars by the
thousand, flow charts, icon themes, flags) are left out. Tux Paint stamps are GPL-2 unless the drawing says
that it is public domain, so the two parts are told apart by licence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from studio.training import captions
from studio.training.colours import COLOURS
from studio.training.emoji import Candidate, Emojibase

PUBLIC_DOMAIN = "public domain"
GPL = "GPL-2.0"
_BORING = re.compile(
    r"^(shapes/(stars|flowchart|callouts|arrows|jigsaw)|computer/(icons|buttons|games)|special|logos|signs_and_symbols/"
    r"(flags|led|map_symbols|clocks)|transportation/(aiga-symbols|roadsigns)|recreation/games/cards|geography$|"
    r"decorations|people/stickmen|unsorted)"
)
_STAMP_SKIPPED = re.compile(r"^(symbols|town/(roadsigns|flags)|seasonal/hanukkah)|grave-|_desc|_mirror")
_CATEGORIES = {
    "animals": "animal", "food": "food", "plants": "plant", "transportation": "vehicle", "vehicles": "vehicle",
    "buildings": "place", "town": "place", "people": "person", "clothes": "clothing", "naturalforces": "nature",
    "space": "nature", "shapes": "shape", "signs_and_symbols": "symbol", "symbols": "symbol",
}  # fmt: skip
_RESIDUE = re.compile(
    r"\b(by|from|created|drawn|designed|author)\b.*|\b(clip ?art|svg|icon|vector|image|picture|drawing|simple|"
    r"architetto|francesco rollandin|rollandin|johnny automatic|jean victor balin|gerald g|jonathon|"
    r"andy|dan gerhards|ver|version|small|big|another|generic|cartoon|remix|nicu|bw|outline|silhouette|art|"
    r"colou?red|colou?r|left|right|new|old style|no)\b",
)
_FOREIGN = frozenset({
    "pera", "mela", "fragola", "limone", "ciliegia", "arancia", "uva", "banane", "casa", "albero", "fiore",
    "pesce", "gatto", "cane", "uccello", "stella", "sole", "luna", "mare", "barca", "treno", "macchina", "di",
    "con", "della", "il", "lo", "la", "le", "e", "da", "nel", "per", "una", "uno",
})  # fmt: skip
_NO_THING = re.compile(
    r"\b(themes?|set|symbols?|map|signs?|logo|buttons?|rating|text|border|frame|pattern|crystal|hash|states|icons?|"
    r"silhouettes?|diagram|flag|font|letters?|alphabet|numbers?|chart|page|unsorted|untitled|tux)\b"
)
_MOST_ALIKE = 4
_TITLE = re.compile(r"<dc:title>([^<]*)</dc:title>")
_KEYWORD = re.compile(r"<rdf:li>([^<]*)</rdf:li>")
_LICENCE = re.compile(r"<cc:license\s+rdf:resource=\"([^\"]*)\"")


def read_open_clipart(root: Path, emojibase: Emojibase) -> Iterator[Candidate]:
    """Yield the named, public-domain drawings of an unpacked `openclipart-svg` package."""
    folder = root / "usr" / "share" / "openclipart" / "svg"
    files = [f for f in sorted(folder.rglob("*.svg")) if not _BORING.match(f.relative_to(folder).as_posix())]
    texts = {file: file.read_text(encoding="utf-8", errors="replace") for file in files}
    keywords = {file: [k.strip().lower() for k in _KEYWORD.findall(text)] for file, text in texts.items()}
    counts = Counter(word for words in keywords.values() for word in set(words))
    titles = Counter(match[1] for text in texts.values() if (match := _TITLE.search(text)))
    english = english_words(emojibase)
    known = english | {word for word, n in counts.items() if n >= 4}
    for file, text in texts.items():
        licence = _LICENCE.search(text)
        if licence is None or "publicdomain" not in licence[1].lower():
            continue
        title = _TITLE.search(text)
        own_title = title[1] if title and titles[title[1]] <= _MOST_ALIKE else ""  # else the name of a series
        name = clean_title(own_title, known) or clean_title(file.stem, known)
        if name:
            where = file.relative_to(folder)
            about = captions.clean_keywords((k for k in keywords[file] if k in english), [name])
            yield _candidate("openclipart", where, file, name, about, "clipart", PUBLIC_DOMAIN)


def read_stamps(root: Path, emojibase: Emojibase) -> Iterator[Candidate]:
    """Yield the stamps of an unpacked `tuxpaint-stamps-default` package, captions from the text beside them.

    Drawings (SVG, and those in `cartoon` folders) are clip art, the other bitmaps photographs. The licence is
    "public domain" where the SVG itself says so, otherwise the package's GPL-2.0.
    """
    folder = root / "usr" / "share" / "tuxpaint" / "stamps"
    known = english_words(emojibase)
    for file in sorted([*folder.rglob("*.svg"), *folder.rglob("*.png")]):
        where = file.relative_to(folder)
        if _STAMP_SKIPPED.search(where.as_posix()):
            continue
        if file.suffix == ".png" and file.with_suffix(".svg").is_file():
            continue
        drawn = file.suffix == ".svg" or "cartoon" in where.parts
        is_free = file.suffix == ".svg" and _is_public_domain(file)
        name = _stamp_name(file, known)
        if name:
            licence = PUBLIC_DOMAIN if is_free else GPL
            style = "clipart" if drawn else "photo"
            yield _candidate("tuxpaint-stamps", where, file, name, (), style, licence)


def english_words(emojibase: Emojibase) -> frozenset[str]:
    """Collect the words that emojibase's English names and keywords use."""
    found: set[str] = set()
    for entry in emojibase.entries.values():
        for text in (entry["label"], *entry.get("tags", ())):
            found.update(re.findall(r"[a-z]{3,}", text.lower()))
    return frozenset(found) | {"of", "in", "on", "and", "with", "a"}


def clean_title(title: str, known: frozenset[str] | set[str]) -> str | None:
    """Turn a title or file name into a plain noun phrase, or None when it is no English name.

    Joined words are taken apart ("brownhat"), authors, numbers and filler dropped; a title with any word
    that is not known English is refused.
    """
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", title).lower().replace("’", "'").replace("&apos;", "'")
    text = re.sub(r"[^a-z' ]+", " ", text).replace("'s", "")
    text = re.sub(r"\s+", " ", _RESIDUE.sub(" ", text)).strip()
    text = re.sub(r"^(a|an|the) ", "", text)
    text = re.sub(rf"^({'|'.join(COLOURS)}) and ", "", text)
    if _NO_THING.search(text):
        return None
    words: list[str] = []
    for word in text.split():
        parts = _parts(word, known)
        if not parts or word in _FOREIGN:
            return None
        words.extend(parts)
    name = " ".join(word for word in words if word not in COLOURS or words == [word])
    is_phrase = 0 < len(name.split()) <= 4 and len(name) > 2 and not re.search(r"^and | (of|and|with|in|on|a)$", name)
    return name if is_phrase else None


def _parts(word: str, known: frozenset[str] | set[str]) -> list[str] | None:
    singular = re.sub(r"(?<=[a-z]{2})(es|s)$", "", word)
    if word in known or singular in known or word.rstrip("s") in known:
        return [word]
    for cut in range(3, len(word) - 2):
        if word[:cut] in known and word[cut:] in known:
            return [word[:cut], word[cut:]]
    return None


def _stamp_name(file: Path, known: frozenset[str]) -> str | None:
    text_file = file.with_suffix(".txt")
    if not text_file.is_file():
        return None
    line = text_file.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    line = re.sub(r"(?i)^(?:(?:this|these|it|that) (?:is|are)|it's|it’s) ", "", line.strip())
    first = re.split(r"[.,!?;:(]| (?:is|are|was|has|that|used|for|made|which)\b", line)[0].strip()
    match = re.match(r"(?i)^(?:an?|the|some|one) (.+)$", first)
    name = (match[1] if match else first).lower().replace("’", "'")
    if not re.fullmatch(r"[a-z' -]{3,28}", name) or len(name.split()) > 4:
        return clean_title(file.stem, known)
    return captions.without_colour(re.sub(r"^pair of (?:\w+ )?(?=\w+s$)", "", name))


def _is_public_domain(file: Path) -> bool:
    text = file.read_text(encoding="utf-8", errors="replace").lower()
    return re.search(r"cc/publicdomain|licenses/publicdomain|publicdomain/zero", text) is not None


def _candidate(
    source: str, where: Path, file: Path, name: str, keywords: tuple[str, ...], style: str, licence: str
) -> Candidate:
    category = _CATEGORIES.get(where.parts[0], "object")
    weight = captions.CATEGORY_WEIGHTS[category] * captions.CATEGORY_WEIGHTS["clipart"]
    return Candidate(
        id=f"{source}/{where.as_posix()}", source=source, drawing=file, thing=name, names=(name,),
        keywords=keywords, style=style, category=category, weight=weight, licence=licence,
    )  # fmt: skip
