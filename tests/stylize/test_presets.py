"""Style presets: stacking, and the files of other studios."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.errors import InvalidRequest, UnknownName
from studio.stylize import presets
from studio.stylize.presets import StylePreset

OIL = StylePreset(name="Oil", prompt="oil painting of {prompt}, thick paint", negative_prompt="photo")
INK = StylePreset(name="Ink", prompt="ink, black and white")


def test_words_go_where_the_preset_has_a_place_for_them() -> None:
    assert presets.apply_presets([OIL], "a cat") == ("oil painting of a cat, thick paint", "photo")


def test_a_preset_without_a_place_comes_behind() -> None:
    assert presets.apply_presets([INK], "a cat", "blur") == ("a cat, ink, black and white", "blur")


def test_presets_stack() -> None:
    assert presets.apply_presets([INK, OIL], "a cat", "blur") == (
        "oil painting of a cat, ink, black and white, thick paint",
        "blur, photo",
    )


def test_without_words_no_stray_commas_are_left() -> None:
    assert StylePreset(name="x", prompt="{prompt}, 3d style, , soft").around("") == "3d style, soft"


def test_a_fooocus_list_is_read() -> None:
    rows = [
        {"name": "sai-anime", "prompt": "anime artwork {prompt} . studio anime", "negative_prompt": "photo, 3d"},
        {"name": "Fooocus Negative", "negative_prompt": "deformed"},
        {"name": "-----"},
    ]
    read = presets.parse_presets(json.dumps(rows).encode(), name="sdxl_styles.json")
    assert [p.name for p in read] == ["sai-anime", "Fooocus Negative"]
    assert read[0].around("a fox") == "anime artwork a fox . studio anime"


def test_an_a1111_csv_with_a_byte_order_mark_and_line_breaks_is_read() -> None:
    text = '\ufeffname,prompt,negative_prompt\nCity,"a city, {prompt}\nat night",fog\n---,,\n'
    assert presets.parse_presets(text.encode(), name="styles.csv") == [
        StylePreset(name="City", prompt="a city, {prompt}\nat night", negative_prompt="fog")
    ]


def test_an_invoke_list_is_read() -> None:
    rows = [{"name": "A", "positive_prompt": "x {prompt}", "negative_prompt": "y", "type": "user"}]
    assert presets.parse_presets(json.dumps(rows).encode(), name="a.json")[0].prompt == "x {prompt}"


@given(
    st.lists(st.builds(StylePreset, name=st.text("ab ", min_size=1).filter(str.strip), prompt=st.just("p")), min_size=1)
)
def test_what_is_written_is_read_back(listed: list[StylePreset]) -> None:
    read = presets.parse_presets(presets.as_json(listed).encode(), name="x.json")
    assert [p.name for p in read] == [p.name.strip() for p in listed]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xfe\x00", "is not text"),
        (b"[{", "not valid JSON"),
        (b"[1, 2]", "not a list of styles"),
        (b"[]", "holds no styles"),
        (b"a,b\n1,2\n", 'no columns "name" and "prompt"'),
        (json.dumps([{"name": "x", "prompt": "y" * 3000}]).encode(), "too long"),
    ],
)
def test_a_file_that_is_no_list_of_styles_is_refused_in_plain_words(data: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        presets.parse_presets(data, name="f")


def test_a_preset_is_found_in_any_case_and_an_unknown_one_suggests() -> None:
    known = {"Oil": OIL}
    assert presets.find_preset("oil ", known) is OIL
    with pytest.raises(UnknownName, match='Did you mean "Oil"'):
        presets.find_preset("Oli", known)


def test_later_folders_replace_earlier_presets(tmp_path: Path) -> None:
    for name, words in (("a", "first"), ("b", "second")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "x.json").write_text(presets.as_json([StylePreset(name="S", prompt=words)]))
    assert presets.load_presets([tmp_path / "a", tmp_path / "b"])["S"].prompt == "second"


def test_the_shipped_presets_are_good_and_their_names_differ() -> None:
    files = sorted(presets.SHIPPED.glob("*.json"))
    listed = [preset for path in files for preset in presets.read_presets(path)]
    assert len(files) >= 2 and len(listed) >= 20
    assert len({preset.name.casefold() for preset in listed}) == len(listed)
    assert all(presets.PLACE in preset.prompt for preset in listed)
