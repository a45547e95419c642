"""Read emoji sets from their npm packages and name every picture with emojibase.

Sets keep their pictures under code points; emojibase (MIT) knows the names, keywords and groups of code
points in many languages. FxEmoji has only Unicode names with the blanks left out, matched through those.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from studio.training import captions

LOCALES = ("zh", "es", "de", "fr", "ja")
TONES = {"1f3fb": "light", "1f3fc": "medium-light", "1f3fd": "medium", "1f3fe": "medium-dark", "1f3ff": "dark"}
TONED_THINGS = frozenset({
    "baby", "child", "boy", "girl", "person", "man", "woman", "older person", "old man", "old woman",
    "thumbs up", "waving hand", "raised fist", "clapping hands", "princess", "prince", "mermaid", "fairy",
    "santa claus", "person walking", "person running",
})  # fmt: skip
LEFT_OUT = frozenset({"middle finger", "love hotel"})
_GROUPS = {
    0: "face", 1: "person", 3: "animal", 4: "food", 5: "place", 6: "activity", 7: "object", 8: "symbol", 9: "flag",
}  # fmt: skip
_SUBGROUPS = {
    "heart": "heart", "emotion": "symbol", "face-costume": "character", "plant-flower": "plant", "plant-other": "plant",
    "transport-ground": "vehicle", "transport-water": "vehicle", "transport-air": "vehicle", "time": "symbol",
    "sky-weather": "nature", "clothing": "clothing", "geometric": "shape", "hand-fingers-open": "hand",
    "hand-fingers-partial": "hand", "hand-single-finger": "hand", "hand-fingers-closed": "hand", "hands": "hand",
    "hand-prop": "hand", "body-parts": "hand", "family": "family", "keycap": "text", "alphanum": "text",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A picture before rasterising: what it shows, where from, under which licence."""

    id: str
    source: str
    drawing: str | Path  # SVG markup, or a file
    thing: str
    names: tuple[str, ...]
    keywords: tuple[str, ...] = ()
    style: str
    category: str
    weight: float
    licence: str


@dataclass(frozen=True)
class Emojibase:
    """Names of code points from an unpacked `emojibase-data` package."""

    folder: Path

    @cached_property
    def entries(self) -> dict[str, dict[str, Any]]:
        """English entries, skin tones included, by normalised code points ("1f468-200d-1f373")."""
        return {key: entry for key, entry in self._flat("en")}

    @cached_property
    def shortcodes(self) -> dict[str, list[str]]:
        """Everyday English names ("car", "coffee") by normalised code points."""
        found: dict[str, list[str]] = {}
        for name in ("emojibase", "iamcal", "github"):
            rows = json.loads((self.folder / "en" / "shortcodes" / f"{name}.json").read_text(encoding="utf-8"))
            for code, words in rows.items():
                found.setdefault(normalise_code(code), []).extend([words] if isinstance(words, str) else words)
        return found

    @cached_property
    def subgroups(self) -> dict[int, str]:
        rows = json.loads((self.folder / "meta" / "groups.json").read_text(encoding="utf-8"))
        return {int(number): name for number, name in rows["subgroups"].items()}

    @cached_property
    def joined(self) -> dict[str, str]:
        """Code points by names without blanks: Unicode names, labels and shortcodes ("doveofpeace")."""
        found: dict[str, str] = {}
        unicode_names = json.loads((self.folder / "meta" / "unicode-names.json").read_text(encoding="utf-8"))
        for key, words in self.shortcodes.items():
            for word in words:
                found.setdefault(_join(word), key)
        for key, entry in self.entries.items():
            found[_join(entry["label"])] = key
        for code, name in unicode_names.items():
            found[_join(name)] = normalise_code(code)
        return found

    def plain_entries(self, locale: str) -> dict[str, dict[str, Any]]:
        """Entries of one language without skin tones, by normalised code points."""
        return {key: entry for key, entry in self._flat(locale) if not TONES.keys() & set(key.split("-"))}

    def category_of(self, entry: Mapping[str, Any]) -> str | None:
        """Return the category a picture of this entry is sampled under, or None for a component."""
        subgroup = self.subgroups.get(entry.get("subgroup", -1), "")
        category = _SUBGROUPS.get(subgroup, _GROUPS.get(entry["group"]))
        if category == "person" and re.search(r"\b(kiss|couple|holding hands|family)\b", entry["label"]):
            return "family"
        if subgroup == "time" and not re.search(r"o’clock|thirty", entry["label"]):
            return "object"
        return category

    def _flat(self, locale: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for entry in json.loads((self.folder / locale / "data.json").read_text(encoding="utf-8")):
            yield normalise_code(entry["hexcode"]), entry
            for skin in entry.get("skins", ()):
                yield normalise_code(skin["hexcode"]), {**skin, "tags": entry.get("tags", ())}


@dataclass(frozen=True)
class EmojiSet:
    """One published emoji set and how its pictures are spoken of."""

    package: str
    version: str
    style: str
    licence: str


EMOJI_SETS = (
    EmojiSet("@iconify-json/noto", "1.2.9", "cartoon", "Apache-2.0"),
    EmojiSet("@iconify-json/fluent-emoji", "1.2.7", "glossy", "MIT"),
    EmojiSet("@iconify-json/fluent-emoji-flat", "1.2.6", "flat", "MIT"),
    EmojiSet("@iconify-json/twemoji", "1.2.5", "sticker", "CC-BY-4.0"),
    EmojiSet("@iconify-json/fxemoji", "1.2.2", "poster", "Apache-2.0"),
    EmojiSet("@lobehub/fluent-emoji-3d", "1.1.0", "3d", "MIT"),
)


def read_emoji_set(emoji_set: EmojiSet, folder: Path, emojibase: Emojibase) -> Iterator[Candidate]:
    """Yield the pictures of an unpacked emoji package that emojibase can name.

    Args:
        emoji_set: Which set this is.
        folder: The unpacked npm package, with `icons.json` or `assets/*.webp`.
        emojibase: Names of code points.
    """
    drawings = _webp_drawings(folder) if (folder / "assets").is_dir() else _svg_drawings(folder, emojibase)
    seen: set[str] = set()
    for code, drawing in drawings:
        if code not in seen and (candidate := _named(emoji_set, code, drawing, emojibase)) is not None:
            seen.add(code)
            yield candidate


def normalise_code(code: str) -> str:
    """Write code points one way: lower case, at least four digits each, without variation selectors."""
    parts = [part.zfill(4) for part in code.lower().split("-")]
    return "-".join(part for part in parts if part not in ("fe0f", "fe0e"))


def _webp_drawings(folder: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted((folder / "assets").glob("*.webp")):
        yield normalise_code(file.stem), file


def _svg_drawings(folder: Path, emojibase: Emojibase) -> Iterator[tuple[str, str]]:
    rows = json.loads((folder / "icons.json").read_text(encoding="utf-8"))
    chars_file = folder / "chars.json"
    chars = json.loads(chars_file.read_text(encoding="utf-8")) if chars_file.is_file() else {}
    pairs = [(normalise_code(code), name) for code, name in chars.items()]
    if not pairs:
        pairs = [(emojibase.joined[_join(name)], name) for name in rows["icons"] if _join(name) in emojibase.joined]
    for code, name in pairs:
        name = rows.get("aliases", {}).get(name, {}).get("parent", name)
        if (icon := rows["icons"].get(name)) is not None:
            width, height = icon.get("width", rows["width"]), icon.get("height", rows["height"])
            box = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
            head = (
                f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box}">'
            )
            yield code, f"{head}{icon['body']}</svg>"


def _named(emoji_set: EmojiSet, code: str, drawing: str | Path, emojibase: Emojibase) -> Candidate | None:
    entry = emojibase.entries.get(code)
    if entry is None or "group" not in entry or entry["label"] in LEFT_OUT:
        return None
    category = emojibase.category_of(entry)
    if category is None:
        return None
    tones = [TONES[part] for part in code.split("-") if part in TONES]
    label = re.sub(r"\W*(light|medium|dark|medium-light|medium-dark) skin tone,?", "", entry["label"]).strip(" :,")
    names = captions.spoken_names(label, emojibase.shortcodes.get(code, ()), category=category)
    if tones and (len(tones) > 1 or names[0] not in TONED_THINGS):
        return None
    thing = names[0]
    if tones:
        names = tuple(f"{name} with {tones[0]} skin" for name in names)
    return Candidate(
        id=f"{emoji_set.package.split('/')[-1]}/{code}",
        source=f"{emoji_set.package}@{emoji_set.version}",
        drawing=drawing,
        thing=thing,
        names=names,
        keywords=captions.clean_keywords(entry.get("tags", ()), names),
        style=emoji_set.style,
        category=category,
        weight=captions.CATEGORY_WEIGHTS[category] * (0.25 if tones else 1.0),
        licence=emoji_set.licence,
    )


def _join(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
