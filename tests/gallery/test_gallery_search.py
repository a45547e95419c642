"""Search finds what people mean, in any script, and no text whatsoever breaks it or anything else (promise R13)."""

from __future__ import annotations

import csv
import io
import json
import random
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gallery_making import noise, save
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from studio.errors import GalleryError, InvalidRequest
from studio.gallery import Entry, Filters, Gallery, Recipe, schema
from studio.gallery.export import export_zip, rendered
from studio.gallery.importing import own_recipe
from studio.gallery.search import indexed, match_expression
from studio.gallery.site import export_site
from studio.requests import TextToImage, clean_text, parse
from tests.promises import count

PROMPTS = (
    "a red apple on a wooden table, 3d style",
    "雪山上的红苹果",
    "りんごと山",
    "빨간 사과와 산",
    "café crème, naïve art",
    "🍎 beside 🐈‍⬛",
    "e-mail icon, flat_design (v2.1)",
    "แอปเปิ้ลสีแดง",
)

NAUGHTY = (
    *('"', "'", "''", "*", "%", "_", "-", "--", "- -", ";", ":", "(", ")", "((", "NEAR(", "NEAR/2", "foo AND", "OR"),
    *("AND NOT", "a OR", "NOT b", "^", "^a", "{prompt}: x", "prompt: x", "rowid:1", "a*b", '"a', 'a"b"', '""""', "\\"),
    *("'; DROP TABLE entries; --", "1' OR '1'='1", "%_%", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>"),
    *("${7*7}", "{{7*7}}", "`id`", "$(id)", "../../etc/passwd", "..\\..\\windows\\win.ini", "CON", "NUL.txt", "aux."),
    *(
        "a.",
        "a ",
        " a",
        ".",
        "..",
        "…/x",
        "=cmd|' /C calc'!A0",
        "+1+1",
        "@SUM(1)",
        "-2+3",
        "\t=1",
        "％00",
        "%00",
        "%s%n",
    ),
    *(
        "a\x00b",
        "\x00",
        "\x1b[31mred",
        "\r\nSet-Cookie: x",
        "\ud800",
        "a\udfffb",
        "\ufeffx",
        "\u202egnp.exe",
        "\u2066x\u2069",
    ),
    *("ﷺ" * 18, "Ω≈ç√∫˜µ≤≥÷", "田中さんにあげて下さい", "𠜎𠜱𠝹𠱓", "مُنَاقَشَةُ سُبُلِ", "נֹאדַל", "ⓉⒺⓈⓉ", "Ⅷ", "½", "①"),
    *("e\u0301", "é", "ﬁ", "K", "İ", "ß", "ſ", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇺🇸", "❤️", "1️⃣"),
    *(
        "x" * 300,
        "word " * 390,
        "苹" * 1999,
        "\u00a0",
        "\u200b",
        "\u200d",
        "\u3000",
        "\u2028",
        "\u0085",
        "null",
        "None",
    ),
    *(
        "True",
        "NaN",
        "inf",
        "-1",
        "0x10",
        "1e309",
        "9" * 400,
        "[]",
        "{}",
        '{"version": 1}',
        "a\nb",
        "Negative prompt: x",
    ),
    *("Steps: 1, Sampler: x, Seed: 2", "<lora:x:1>", "]]>", "<!--", "&amp;", "&#x41;", "<?xml version='1.0'?>", "%PDF"),
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    with Gallery(tmp_path_factory.mktemp("filled") / "gallery", reserve_bytes=0) as gallery:
        for number, prompt in enumerate(PROMPTS):
            save(gallery, number, prompt=prompt)
        yield gallery


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("apple", [0]),
        ("APP", [0]),
        ("apple red", [0]),
        ("apple blue", []),
        ("3d sty", [0]),
        ("苹果", [1]),
        ("红苹", [1]),
        ("山", [2, 1]),
        ("果山", []),
        ("苹果 雪", [1]),
        ("りんご", [2]),
        ("사과", [3]),
        ("cafe creme", [4]),
        ("CAFÉ", [4]),
        ("🍎", [5]),
        ("🐈", [5]),
        ("e-mail", [6]),
        ("flat_design v2.1", [6]),
        ("แอปเปิ้ล", [7]),
        ("สีแดง", [7]),
        ("guidance_scale 4.0 seed 5", [5]),
        ("dpmpp_2m 16x16", [7, 6, 5, 4, 3, 2, 1, 0]),
        ("tiny", [7, 6, 5, 4, 3, 2, 1, 0]),
    ],
)
def test_search_finds_words_parts_of_unspaced_scripts_emoji_and_settings(
    filled: Gallery, text: str, found: list[int]
) -> None:
    page = filled.page(filters=Filters(text=text))
    assert [entry.seed for entry in page.entries] == found
    assert filled.count(Filters(text=text)) == len(found)


def test_no_search_text_is_an_error(filled: Gallery) -> None:
    for text in NAUGHTY:
        found = filled.page(filters=Filters(text=text)).entries
        assert filled.count(Filters(text=text)) == len(found)


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_search_text_finds_at_most_what_there_is(filled: Gallery, text: str) -> None:
    assert len(filled.page(filters=Filters(text=text, collection=text[:3])).entries) <= len(PROMPTS)


@given(st.text(min_size=1, max_size=60))
@settings(max_examples=300, deadline=None)
def test_what_was_indexed_is_found_by_itself(text: str) -> None:
    db = sqlite3.connect(":memory:")
    (words,) = [one for one in schema.statements(schema.MIGRATIONS[0]) if "VIRTUAL TABLE words" in one]
    db.execute(words)
    db.execute("INSERT INTO words (prompt) VALUES (?)", (indexed(text),))
    if expression := match_expression(text):
        assert db.execute("SELECT count(*) FROM words WHERE words MATCH ?", (expression,)).fetchone() == (1,)
    db.close()


def test_query_that_takes_too_long_is_stopped(filled: Gallery) -> None:
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    filled.index._query_seconds = 0.05
    with pytest.raises(GalleryError, match=r"The search took too long and was stopped\."), filled.index.reading() as db:
        db.execute(endless).fetchone()
    filled.index._query_seconds = 1.0
    assert filled.count() == len(PROMPTS)


def request_with(text: str) -> TextToImage | None:
    """A request with `text` as prompt; None for a text of which nothing is left, or too much."""
    try:
        request = parse({"kind": "text_to_image", "prompt": text, "negative_prompt": text, "seed": 3})
    except InvalidRequest:
        return None
    assert isinstance(request, TextToImage)
    return request


def naughty(number: int) -> list[str]:
    """Return `number` hostile texts: the list, then pairs of it joined."""
    dice = random.Random(13)
    joined = (dice.choice(NAUGHTY) + dice.choice(("", " ", ", ")) + dice.choice(NAUGHTY) for _ in range(number))
    return [*NAUGHTY, *joined][:number]


def test_any_prompt_goes_through_every_sink_unchanged(
    gallery: Gallery, tmp_path: Path, figure: Callable[..., None]
) -> None:
    """Promise R13. Row, PNG, JPEG, WebP, table, web page, collection, note: exact, or as `clean_text` documents."""
    kept, texts = [], naughty(count(len(NAUGHTY), 2000))
    for text in texts:
        request = request_with(text)
        if request is None:
            assert not clean_text(text)[0] or len(clean_text(text)[0]) > 2000
            continue
        entry = gallery.save(noise(1), request=request, seed=3, facts={"model": text}, job_id="", owner=text)
        assert entry.path.name == f"{entry.id}.png"
        assert gallery.get(entry.id, owner=text).request == request
        for format in ("png", "jpeg", "webp"):
            origin = own_recipe(rendered(entry, format=format))
            assert origin is not None and origin.recipe.request == request
        with Image.open(entry.path) as opened:
            assert opened.text["parameters"].startswith(request.prompt)
        kept.append(entry)
    for text, entry in list(zip(texts, kept, strict=False))[::3]:
        gallery.note(entry.id, text)
        gallery.collect([entry.id], "x" + text[:100])
        again = gallery.get(entry.id)
        assert again.note == clean_text(text)[0]
        assert again.collections == (" ".join(clean_text("x" + text[:100])[0].split()),)
        assert again in gallery.page(filters=Filters(collection=again.collections[0])).entries
    assert_exports_are_safe(kept, tmp_path)
    names = [path.name for path in gallery.folder.rglob("*")]
    assert all(name.isascii() and len(name) < 60 for name in names)
    figure(texts=len(texts), sinks=8, changed=0)


def assert_exports_are_safe(entries: list[Entry], folder: Path) -> None:
    export_zip(entries, folder / "out.zip")
    export_site(entries, folder / "site.zip", title="".join(NAUGHTY))
    with zipfile.ZipFile(folder / "out.zip") as archive:
        names = [f"{n:04d}_{entry.id[-8:]}.png" for n, entry in enumerate(entries, start=1)]
        assert archive.namelist() == [*names, "pictures.csv"]
        rows = list(csv.reader(io.StringIO(archive.read("pictures.csv").decode("utf-8-sig"), newline="")))[1:]
    for row, entry in zip(rows, entries, strict=True):
        assert row[7] in (entry.prompt, f"'{entry.prompt}")
        assert not row[7].startswith(("=", "+", "-", "@"))
    with zipfile.ZipFile(folder / "site.zip") as archive:
        page = archive.read("index.html").decode()
    assert "<script" not in page and "<img src=x" not in page and "&lt;script&gt;alert(1)" in page


STRINGS = st.text(st.characters(exclude_categories=()), max_size=120)


@given(prompt=STRINGS, negative=STRINGS, model=STRINGS, note=STRINGS)
@settings(
    max_examples=count(25, 2000),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_strings_round_trip(gallery: Gallery, prompt: str, negative: str, model: str, note: str) -> None:
    """Promise R13: request -> PNG -> request, and request -> row -> request."""
    values = {"prompt": f"a{prompt}", "negative_prompt": negative, "model": f"m{model}"}
    try:
        request = parse({"kind": "text_to_image", "seed": 1, **values})
    except InvalidRequest:  # a lone surrogate in a model's name
        return
    facts = {"note": note, model: 1.5}
    entry = gallery.save(noise(1), request=request, seed=1, facts=facts, job_id=note[:16], owner=model)
    origin = own_recipe(entry.path.read_bytes())
    assert origin is not None and origin.recipe == entry.recipe
    assert gallery.get(entry.id).request == request
    assert Recipe.from_json(entry.recipe.to_json()) == entry.recipe


@pytest.mark.parametrize("text", ["", "null", "[]", "{", '{"version": 2}', '{"version": "1"}', '{"version": true}'])
def test_recipe_that_cannot_be_read_says_so(text: str) -> None:
    with pytest.raises(InvalidRequest, match="Settings could not be read"):
        Recipe.from_json(text)


def test_recipe_with_halves_of_characters_is_kept_and_listed(gallery: Gallery) -> None:
    """Promise R9: JSON can name half a character, which no database takes."""
    text = (
        '{"version": 1, "job": "\\ud800", "owner": "\\uDFFF", "facts": {"model": "\\ud800", "\\ud800": 1}, '
        '"settings": {"kind": "\\ud800", "prompt": "a\\udfff \\ud83c\\udf4e"}, "parents": [["source", "\\ud800"]]}'
    )
    entry = gallery.adopt(noise(1), Recipe.from_json(text))
    assert (entry.job, entry.prompt) == ("?", "a? 🍎")
    assert gallery.page(filters=Filters(text="🍎")).entries == (gallery.get(entry.id),)
    assert [it for it in gallery.doctor().problems if it.kind != "missing thumbnail"] == []


def test_recipe_of_wrong_types_or_depth_does_no_harm() -> None:
    recipe = Recipe.from_json(json.dumps({"version": 1, "settings": [1], "seed": -5, "parents": [["a"], 7], "id": 3}))
    assert (recipe.settings, recipe.seed, recipe.parents, recipe.id) == ({}, None, (), "")
    with pytest.raises(InvalidRequest):
        Recipe.from_json('{"version": 1, "facts": ' + "[" * 40 + "]" * 40 + "}")
    with pytest.raises(InvalidRequest):
        Recipe.from_json("[" * 200_000)
