"""Axes and batch files: what people write, and what it means."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.errors import InvalidRequest, UnknownName
from studio.requests import StyleWords, TextToImage
from studio.series.axes import SEARCH, axis_fields, read_axis
from studio.series.batch_file import MAX_LINES, read_batch
from studio.series.plan import MAX_CELLS, batch, grid

BASE = TextToImage(prompt="a red cat", negative_prompt="red fog", seed=5)
STYLES = {"Ink": StyleWords(name="Ink", prompt="ink of {prompt}"), "Neon": StyleWords(name="Neon", prompt="neon")}


def texts(field: str, text: str, **values: Any) -> tuple[str, ...]:
    return read_axis(field, text, base=BASE.model_copy(update=values), styles=STYLES).texts


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("steps", "10, 20,30", ("10", "20", "30")),
        ("steps", "1-5", ("1", "2", "3", "4", "5")),
        ("steps", "1-10 (+3)", ("1", "4", "7", "10")),
        ("steps", "10-1 (-3)", ("10", "7", "4", "1")),
        ("steps", "10-20 [3], 50", ("10", "15", "20", "50")),
        ("guidance_scale", "1-2 (+0.5)", ("1", "1.5", "2")),
        ("guidance_scale", "2-8 [4]", ("2", "4", "6", "8")),
        ("seed", "1-3", ("1", "2", "3")),
        ("scheduler", "euler, ddim", ("euler", "ddim")),
        ("prompt", '"a cat, asleep", a dog', ("a cat, asleep", "a dog")),
        (SEARCH, "red, blue, dark green", ("red", "blue", "dark green")),
        ("styles", "none, Ink, ink + Neon", ("none", "Ink", "ink + Neon")),
    ],
)
def test_values_are_written_as_artists_know_them(field: str, text: str, expected: tuple[str, ...]) -> None:
    assert texts(field, text) == expected


def test_every_single_valued_field_can_be_an_axis() -> None:
    fields = axis_fields()
    assert {"steps", "guidance_scale", "seed", "width", "scheduler", "model", "variation_strength", "styles"} <= {
        *fields
    }
    assert not {"kind", "version", "batch"} & {*fields}


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("stesp", "1", 'no setting "stesp"'),
        ("steps", " , ", "no values"),
        ("steps", "1-1000", "1000 values"),
        ("steps", "1-10 (+0)", "never reaches"),
        ("steps", "1-10 [0]", "gives 0 values"),
        (SEARCH, "green, blue", "is not in the prompt"),
        ("styles", "Inc", 'no style "Inc"'),
    ],
)
def test_what_cannot_be_an_axis_is_said(field: str, text: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        texts(field, text)


@given(st.integers(1, 150), st.integers(1, 150), st.integers(1, 40))
def test_a_counted_range_has_its_ends_and_its_count(begin: int, end: int, count: int) -> None:
    found = [int(text) for text in texts("steps", f"{begin}-{end} [{count}]")]
    assert len(found) == count
    assert found[0] == begin
    assert count == 1 or found[-1] == end
    assert found in (sorted(found), sorted(found, reverse=True))


def test_cells_run_along_x_then_y_and_share_the_seed() -> None:
    x = read_axis("steps", "10, 20", base=BASE, styles={})
    y = read_axis(SEARCH, "red, blue", base=BASE, styles={})
    z = read_axis("styles", "none, Ink", base=BASE, styles=STYLES)
    cells = grid(BASE, [x, y, z]).cells
    assert [cell.request["steps"] for cell in cells] == [10, 20] * 4
    assert [cell.request["prompt"] for cell in cells] == ["a red cat", "a red cat", "a blue cat", "a blue cat"] * 2
    assert [cell.request["negative_prompt"] for cell in cells][2] == "blue fog"
    assert [len(cell.request["styles"]) for cell in cells] == [0] * 4 + [1] * 4
    assert {cell.request["seed"] for cell in cells} == {5}


def test_words_are_replaced_in_prompts_that_vary() -> None:
    base = BASE.model_copy(update={"batch": 4})
    x = read_axis(SEARCH, "red, blue", base=base, styles={})
    y = read_axis("prompt", "a red hat, a red shoe", base=base, styles={})
    cells = grid(base, [x, y]).cells
    assert [cell.request["prompt"] for cell in cells] == ["a red hat", "a blue hat", "a red shoe", "a blue shoe"]
    assert {cell.request["batch"] for cell in cells} == {1}


def test_a_random_seed_is_one_seed_for_its_whole_row() -> None:
    x = read_axis("steps", "10, 20", base=BASE, styles={})
    y = read_axis("seed", "-1, -1", base=BASE, styles={})
    seeds = [cell.request["seed"] for cell in grid(BASE, [x, y]).cells]
    assert seeds[0] == seeds[1] != seeds[2] == seeds[3]


def test_a_model_is_loaded_once_however_the_grid_lies() -> None:
    x = read_axis("model", "one, two", base=BASE, styles={})
    y = read_axis("steps", "10, 20", base=BASE, styles={})
    assert [cell.request["model"] for cell in grid(BASE, [x, y]).order()] == ["one", "one", "two", "two"]


def test_grids_have_bounds() -> None:
    x = read_axis("steps", "1-40", base=BASE, styles={})
    y = read_axis("seed", "1-40", base=BASE, styles={})
    with pytest.raises(InvalidRequest, match=f"1600 pictures; {MAX_CELLS}"):
        grid(BASE, [x, y])
    with pytest.raises(InvalidRequest, match="axes that differ"):
        grid(BASE, [x, x])
    with pytest.raises(InvalidRequest, match="Steps must be"):
        grid(BASE, [read_axis("steps", "10, 900", base=BASE, styles={})])
    with pytest.raises(UnknownName):
        grid(BASE, [read_axis("nothing", "1", base=BASE, styles={})])


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.txt", "a cat\n\n# not this\n  a dog \n", [{"prompt": "a cat"}, {"prompt": "a dog"}]),
        (
            "a.txt",
            '--prompt "a cat" --steps 5 --cfg-scale 3',
            [{"prompt": "a cat", "steps": "5", "guidance_scale": "3"}],
        ),
        (
            "a.csv",
            'prompt,steps\n"a cat, asleep",7\na dog,\n',
            [{"prompt": "a cat, asleep", "steps": "7"}, {"prompt": "a dog"}],
        ),
        ("a.json", json.dumps([{"prompt": "x", "seed": 3}, "y"]), [{"prompt": "x", "seed": 3}, {"prompt": "y"}]),
        ("a.jsonl", '{"prompt": "x"}\n{"prompt": "y"}\n', [{"prompt": "x"}, {"prompt": "y"}]),
    ],
)
def test_batch_files_of_every_form(name: str, data: str, expected: list[dict[str, Any]]) -> None:
    assert read_batch(data.encode("utf-8-sig"), name=name) == expected


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"", "holds no prompts"),
        ("a.txt", b"\xff\xfe\x00", "not UTF-8"),
        ("a.txt", b'--prompt "a', "Line 1"),
        ("a.txt", b"ok\n--prompt", "Line 2.*no value"),
        ("a.txt", b"a\n" * (MAX_LINES + 1), "1,001 lines"),
        ("a.csv", b"prompt,sheps\na,1", 'no field "sheps"'),
        ("a.json", b"{", "not valid JSON"),
        ("a.json", b"[1]", "not a list of requests"),
        ("a.txt", b"x" * (2**21 + 1), "larger than 2 MB"),
    ],
)
def test_batch_files_that_cannot_be_read_say_why(name: str, data: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        read_batch(data, name=name)


def test_a_batch_varies_what_its_lines_name_and_draws_seeds() -> None:
    base = BASE.model_dump()
    series = batch(base, [{"prompt": "a cat"}, {"prompt": "a dog", "seed": "9", "steps": 3}])
    first, second = (cell.request for cell in series.cells)
    assert (first["prompt"], first["negative_prompt"], first["steps"]) == ("a cat", "red fog", BASE.steps)
    assert (second["seed"], second["steps"]) == (9, 3)
    with pytest.raises(InvalidRequest, match="Entry 2: Steps must be"):
        batch(base, [{"prompt": "a"}, {"prompt": "b", "steps": 0}])
