"""Tiny copies of every data source, made on the spot: the same files in the same places, a few things each."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SVG_HEAD = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
BODIES = {
    "apple": '<circle cx="16" cy="18" r="12" fill="#e02020"/><rect x="15" y="2" width="2" height="7" fill="#205020"/>',
    "cat": '<path d="M4 30 L6 4 L13 10 L19 10 L26 4 L28 30 Z" fill="#f0a020"/><circle cx="12" cy="18" r="2"/>',
    "lemon": '<ellipse cx="16" cy="16" rx="14" ry="9" fill="#ffdd22"/>',
    "leaf": '<path d="M2 30 C2 10 12 2 30 2 C30 20 20 30 2 30 Z" fill="#20a030"/>',
}
LABELS = {
    "1F34E": (
        "red apple",
        ["fruit", "red"],
        4,
        {"zh": "红苹果", "es": "manzana roja", "de": "roter Apfel", "fr": "pomme rouge"},
    ),
    "1F431": (
        "cat face",
        ["cat", "pet", "lol"],
        3,
        {"zh": "猫脸", "es": "cara de gato", "de": "Katzengesicht", "fr": "tête de chat"},
    ),
    "1F34B": (
        "lemon",
        ["citrus", "fruit"],
        4,
        {"zh": "柠檬", "es": "limón", "de": "Zitrone", "fr": "citron", "ja": "レモン"},
    ),
    "1F343": ("leaf fluttering in wind", ["leaf"], 3, {"zh": "风中的叶子", "es": "hojas revoloteando al viento"}),
}


def svg(name: str) -> str:
    """Return a drawing of one of the things in `BODIES`."""
    return f"{SVG_HEAD}{BODIES[name]}</svg>"


def disc(colour: tuple[int, int, int], *, side: int = 256) -> NDArray[np.uint8]:
    """Return a disc of one colour on transparency, (side, side, 4)."""
    rgba = np.zeros((side, side, 4), np.uint8)
    cv2.circle(rgba, (side // 2, side // 2), side * 2 // 5, (*colour, 255), -1)
    return rgba


def write_picture(path: Path, rgba: NDArray[np.uint8]) -> Path:
    """Write RGBA pixels in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))
    return path


def write_json(path: Path, data: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    return path


def write_emojibase(folder: Path) -> Path:
    """Write an `emojibase-data` package with four emoji in six languages."""
    for locale in ("en", "zh", "es", "de", "fr", "ja"):
        rows = []
        for code, (label, tags, group, names) in LABELS.items():
            subgroup = 42 if group == 4 else 34
            own = label if locale == "en" else names.get(locale, f"{label} ({locale})")
            row = {"label": own, "hexcode": code, "tags": tags if locale == "en" else [], "group": group}
            rows.append({**row, "subgroup": subgroup})
        if locale == "en":
            skin = {"label": "cat face: dark skin tone", "hexcode": "1F431-1F3FF", "group": 3, "subgroup": 34}
            rows[1]["skins"] = [skin]
        write_json(folder / locale / "data.json", rows)
    codes = {"1F34E": "apple", "1F431": ["cat", "cat2"], "1F34B": "lemon"}
    for name in ("emojibase", "iamcal", "github"):
        write_json(folder / "en" / "shortcodes" / f"{name}.json", codes)
    write_json(folder / "meta" / "groups.json", {"subgroups": {"34": "animal-mammal", "42": "food-fruit"}})
    write_json(folder / "meta" / "unicode-names.json", {"1F34E": "RED APPLE", "1F343": "LEAF FLUTTERING IN WIND"})
    return folder


def write_iconify(folder: Path, *, with_codes: bool = True) -> Path:
    """Write an iconify package; without `chars.json` its icons go by joined Unicode names, as FxEmoji's do."""
    names = {"apple": "redapple", "leaf": "leafflutteringinwind"} if not with_codes else {n: n for n in BODIES}
    icons = {names[name]: {"body": body} for name, body in BODIES.items() if name in names}
    if with_codes:
        icons["ghost"] = {"body": "<g/>"}
        codes = {"1f34e": "apple", "1f431": "kitty", "1f34b": "lemon", "1f431-1f3ff": "cat", "1f47b": "ghost"}
        write_json(folder / "chars.json", codes)
    aliases = {"kitty": {"parent": "cat"}} if with_codes else {}
    write_json(folder / "icons.json", {"icons": icons, "aliases": aliases, "width": 32, "height": 32})
    return folder


def write_webp_emoji(folder: Path) -> Path:
    """Write a package of WebP files named by code points, as Fluent 3D is."""
    write_picture(folder / "assets" / "1f34e.webp", disc((210, 40, 40), side=128))
    (folder / "assets" / "1f34b.webp").write_bytes(b"RIFF damaged")
    return folder


def write_open_clipart(root: Path) -> Path:
    """Write an unpacked `openclipart-svg` with good, foreign, unfree and boring drawings."""
    folder = root / "usr" / "share" / "openclipart" / "svg"
    free = "http://web.resource.org/cc/PublicDomain"
    drawings = {
        "food/fruit/apple_01.svg": ("Apple by Jane Doe", free),
        "food/fruit/pera.svg": ("pera", free),
        "food/fruit/lemon_02.svg": ("lemon", "http://creativecommons.org/licenses/GPL/2.0/"),
        "plants/leafcat.svg": ("LeafCat", free),
        "shapes/stars/star_7.svg": ("star", free),
    }
    for name, (title, licence) in drawings.items():
        about = f"<metadata><dc:title>{title}</dc:title><rdf:li>fruit</rdf:li><rdf:li>hash</rdf:li>"
        about += f'<cc:license rdf:resource="{licence}"/></metadata>'
        spaces = 'xmlns:dc="d" xmlns:cc="c" xmlns:rdf="r" width="10mm" height="10mm"'
        body = BODIES["leaf" if "leaf" in name else "apple"]
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(SVG_HEAD.replace("viewBox", f"{spaces} viewBox") + about + body + "</svg>")
    return root


def write_stamps(root: Path) -> Path:
    """Write an unpacked `tuxpaint-stamps-default`: a photograph (GPL), a public-domain drawing, a skipped symbol."""
    folder = root / "usr" / "share" / "tuxpaint" / "stamps"
    write_picture(folder / "animals" / "cat.png", disc((200, 120, 30)))
    (folder / "animals" / "cat.txt").write_text("A red cat.\nfr.utf8=Un chat.\n", encoding="utf-8")
    drawing = svg("lemon").replace(
        "</svg>", '<metadata><a b="http://web.resource.org/cc/PublicDomain"/></metadata></svg>'
    )
    (folder / "food" / "cartoon").mkdir(parents=True)
    (folder / "food" / "cartoon" / "lemon.svg").write_text(drawing)
    (folder / "food" / "cartoon" / "lemon.txt").write_text("This is a lemon.")
    write_picture(folder / "food" / "cartoon" / "lemon.png", disc((250, 220, 30)))
    write_picture(folder / "symbols" / "plus.png", disc((0, 0, 0)))
    return root
