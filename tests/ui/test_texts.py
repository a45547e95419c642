"""Every word in both languages, and no script asking for a word that is not there."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

from studio.inpaint.methods import METHODS as INPAINT_METHODS
from studio.stylize.methods import METHODS as STYLE_METHODS
from studio.training.plans import EFFORTS, KINDS
from studio.ui import control_fold
from studio.ui.blocks import TABS
from studio.ui.gallery_page.words import WORDS as GALLERY_WORDS
from studio.ui.inpaint_form import SIDES
from studio.ui.static_files import FOLDER
from studio.ui.tabs import inpaint
from studio.ui.tabs.create.series import AXES
from studio.ui.texts import script, tables, text


def test_both_languages_have_every_key_and_no_empty_text() -> None:
    english, chinese = tables()["en"], tables()["zh"]
    assert english.keys() == chinese.keys()
    assert len(english) > 60
    assert not [key for key in english if not english[key].strip() or not chinese[key].strip()]


def test_both_languages_fill_in_the_same_values() -> None:
    english, chinese = tables()["en"], tables()["zh"]
    for key in english:
        names = [{name for _, name, _, _ in string.Formatter().parse(it[key]) if name} for it in (english, chinese)]
        assert names[0] == names[1], key


def test_an_unknown_key_is_found_out_when_the_page_is_built() -> None:
    with pytest.raises(KeyError):
        text("no_such_text")


TEMPLATE = re.compile(r"say\(`([^`]*\$\{(?:[^{}`])*\}[^`]*)`")
SAYS = re.compile(r"// says: (.+)")
WITH_WORDS_OF_THEIR_OWN = ("canvas", "codebook_page")


def scripts() -> dict[Path, str]:
    """Return the scripts that take their words from the tables under test."""
    found = {it: it.read_text(encoding="utf-8") for it in FOLDER.rglob("*.js")}
    return {it: source for it, source in found.items() if it.parent.name not in WITH_WORDS_OF_THEIR_OWN}


def built_by_scripts(source: str) -> set[str]:
    """Return the keys that a script declares to build, in a line "// says: ..." above the place."""
    return {key for line in SAYS.findall(source) for key in line.split()}


def built_by_the_page() -> set[str]:
    """Return the keys that Python builds, from the very names it builds them of."""
    fills = {f"fill_{it.name}" for it in INPAINT_METHODS}
    areas = {"inpaint_area_masked", "inpaint_area_whole"}
    return {
        *fills,
        *(f"{key}_help" for key in fills),
        *areas,
        *(f"inpaint_{side}" for side in SIDES),
        *(f"prefill_{name}" for name in inpaint._PREFILLS),
        *(f"method_{it.name}" for it in STYLE_METHODS),
        *(f"{title}_help" for title in ("style_method", "style_then", "style_last")),
        *(f"send_to_{tab.id}" for tab in TABS if tab.receives),
        *(f"create_axis_{axis}" for axis in AXES),
        *(f"create_prepare_{name}" for name in (*control_fold._PREPARED, control_fold._PAINTED)),
        *(f"train_{name}" for name in (*KINDS, *EFFORTS)),
    }


def test_every_key_a_script_builds_is_declared_beside_it_and_is_there() -> None:
    known, templates = tables()["en"].keys(), 0
    for path, source in scripts().items():
        if path.parent.name == "gallery_page":
            continue  # see test_gallery_words
        declared = built_by_scripts(source)
        shapes = [re.sub(r"\\\$\\\{.*?\\\}", r"\\w+", re.escape(it)) for it in TEMPLATE.findall(source)]
        templates += len(shapes)
        assert declared <= known, (path, declared - known)
        for shape in shapes:
            assert any(re.fullmatch(shape, key) for key in declared), f"{path} builds {shape}, and no line says what"
        for key in declared:
            assert any(re.fullmatch(shape, key) for shape in shapes), (
                f"{path} declares {key} and builds nothing like it"
            )
    assert templates >= 10, "the search no longer finds the templates"


def test_the_page_and_its_scripts_use_every_text_they_have_and_have_every_text_they_use() -> None:
    known = tables()["en"].keys()
    assert built_by_the_page() <= known
    files = [it for it in FOLDER.rglob("*.py") if not it.stem.endswith(("texts", "words"))]
    sources = {**{it: it.read_text(encoding="utf-8") for it in files}, **scripts()}
    for path, source in scripts().items():
        assert not set(re.findall(r'say\("(\w+)"', source)) - known, path
    used = {key for source in sources.values() for key in re.findall(r'["\'`](\w+)["\'`]', source)}
    used |= built_by_the_page() | {key for source in scripts().values() for key in built_by_scripts(source)}
    unused = [key for key in known - used if key not in GALLERY_WORDS and field_of(key) not in used]
    assert unused == []


def field_of(key: str) -> str:
    """Return the name of the control that shows `key` as its title or help; "" for another kind of key."""
    found = re.fullmatch(r"(?:field|help)_(?:stylize_|inpaint_|upscale_|walk_)?(\w+)", key)
    return found[1] if found else ""


def test_the_script_carries_the_tables() -> None:
    assert '"generate": "Generate"' in script() and "生成" in script()
