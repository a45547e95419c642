"""Edits of a token map: what each does, that it can be undone, replayed and written down."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.codebook.cells import box_cells, cells_of, flood, mask_of
from studio.codebook.history import History
from studio.codebook.neighbours import CodeSpace
from studio.codebook.operations import (
    OPERATIONS,
    CopyRegion,
    Fill,
    Jitter,
    MoveRegion,
    Mute,
    Operation,
    Paint,
    ReplaceAll,
    Restrict,
    SetPalette,
    Shuffle,
    Sort,
    Stamp,
    Write,
    apply,
    parse_operation,
    parse_operations,
)
from studio.codebook.palettes import Palette
from studio.codebook.tokens import TokenMap
from studio.errors import InvalidRequest, UnknownName
from studio.requests import EditTokens, parse

CHECKSUM = "0123456789abcdef" * 4
LEFT = box_cells(0, 0, 9, 6)
PALETTE = Palette(checksum=CHECKSUM, codes=(3, 40, 8), weights=(0.5, 0.3, 0.2))
EVERY = (
    Paint(code=7, cells=((0, 0), (8, 11))),
    Fill(code=9, at=(4, 4)),
    Write(cells=((1, 1), (1, 2)), codes=(5, 6)),
    Stamp(pattern=((1, 2, -1), (3, -1, 4)), at=(7, 10)),
    CopyRegion(box=(0, 0, 3, 4), to=(5, 6)),
    MoveRegion(box=(2, 2, 3, 3), to=(0, 0), background=11),
    ReplaceAll(old=7, new=8),
    Mute(codes=(8, 9, 11), by="colour"),
    Jitter(k=2, probability=0.5, seed=3),
    Restrict(count=6, seed=1),
    Sort(key="hue", mask=LEFT),
    Sort(key="usage", down=True, reverse=True),
    Shuffle(seed=4, mask=LEFT),
    SetPalette(palette=PALETTE, method="histogram", strength=0.5),
)


def test_every_kind_of_operation_is_in_the_list_above() -> None:
    assert {operation.kind for operation in EVERY} == set(OPERATIONS)


@pytest.mark.parametrize("operation", EVERY, ids=lambda o: o.kind)
def test_an_operation_survives_json_and_a_recipe(operation: Operation) -> None:
    values = json.loads(operation.model_dump_json())
    assert parse_operation(values) == operation
    request = parse({"kind": "edit_tokens", "tokens": "x", "operations": [values]})
    assert isinstance(request, EditTokens)
    again = EditTokens.model_validate_json(request.model_dump_json())
    assert parse_operations(again.operations) == (operation,)


@pytest.mark.parametrize("operation", EVERY, ids=lambda o: o.kind)
def test_an_operation_gives_the_same_map_again_and_leaves_its_input_alone(
    operation: Operation, tokens: TokenMap, space: CodeSpace
) -> None:
    before = tokens.codes.copy()
    first, second = (operation.apply(tokens.codes, space) for _ in range(2))
    assert np.array_equal(first, second) and first is not tokens.codes
    assert np.array_equal(tokens.codes, before)


def test_each_operation_undone_gives_back_the_identical_map(tokens: TokenMap, space: CodeSpace) -> None:
    history = History(tokens, space)
    maps = [history.map]
    for operation in EVERY:
        history.do(operation)
        maps.append(history.map)
    assert history.operations == tuple(o for o, (a, b) in zip(EVERY, pairwise(maps), strict=True) if a != b)
    assert len(history.operations) >= len(EVERY) - 1
    assert apply(tokens, EVERY, space) == history.map
    kept = [m for i, m in enumerate(maps) if i == 0 or m != maps[i - 1]]
    for expected in reversed(kept[:-1]):
        assert history.undo() is not None
        assert history.map == expected
    assert history.undo() is None and not history.can_undo
    for expected in kept[1:]:
        assert history.redo() is not None
        assert history.map == expected
    assert history.redo() is None and not history.can_redo


def test_a_hundred_steps_can_be_undone_and_a_new_edit_forgets_the_undone(tokens: TokenMap, space: CodeSpace) -> None:
    history = History(tokens, space)
    for i in range(100):
        history.do(Jitter(probability=0.3, seed=i))
    for _ in range(100):
        history.undo()
    assert history.map == tokens and history.can_redo
    history.do(Paint(code=int(tokens.codes[0, 0] + 1) % 64, cells=((0, 0),)))
    assert not history.can_redo and len(history.operations) == 1


def test_an_edit_that_changes_nothing_is_no_step(tokens: TokenMap, space: CodeSpace) -> None:
    history = History(tokens, space)
    assert not len(history.do(Paint(code=int(tokens.codes[0, 0]), cells=((0, 0),))).cells)
    assert not history.can_undo


@settings(max_examples=40, deadline=None)
@given(
    picks=st.lists(st.sampled_from(range(len(EVERY))), max_size=8),
    undos=st.integers(0, 8),
    rows=st.integers(9, 14),
    columns=st.integers(12, 17),
)
def test_any_sequence_is_its_own_recipe(picks: list[int], undos: int, rows: int, columns: int) -> None:
    rng = np.random.default_rng(rows * 31 + columns)
    space = CodeSpace(
        rng.normal(size=(64, 4)).astype(np.float32),
        rng.uniform(-50, 90, (64, 3)).astype(np.float32),
        rng.random(64).astype(np.float32),
        CHECKSUM,
    )
    codes = rng.integers(64, size=(rows, columns)).astype(np.int32)
    start = TokenMap(codes, (columns * 8, rows * 8), 8, 64, CHECKSUM)
    history = History(start, space)
    for pick in picks:
        history.do(EVERY[pick])
    for _ in range(undos):
        history.undo()
    assert apply(start, history.operations, space) == history.map


def test_paint_touches_its_cells_only(tokens: TokenMap, space: CodeSpace) -> None:
    after = Paint(code=63, cells=((2, 3), (4, 5))).apply(tokens.codes, space)
    changed = cells_of(after != tokens.codes)
    assert set(changed) <= {(2, 3), (4, 5)} and after[2, 3] == after[4, 5] == 63


def test_fill_stops_at_other_codes_and_at_corners(space: CodeSpace) -> None:
    codes = np.array([[1, 1, 0], [0, 1, 0], [2, 0, 1]], np.int32)
    after = Fill(code=5, at=(0, 0)).apply(codes, space)
    assert after.tolist() == [[5, 5, 0], [0, 5, 0], [2, 0, 1]]
    assert flood(codes, (2, 2)).sum() == 1


def test_stamps_and_copies_are_cut_off_at_the_edges(tokens: TokenMap, space: CodeSpace) -> None:
    pattern = ((1, 2), (3, -1))
    after = Stamp(pattern=pattern, at=(-1, -1)).apply(tokens.codes, space)
    assert np.array_equal(after, tokens.codes)  # only its see-through corner lands on the grid
    after = Stamp(pattern=pattern, at=(8, 11)).apply(tokens.codes, space)
    assert after[8, 11] == 1 and (after != tokens.codes).sum() <= 1
    copied = CopyRegion(box=(0, 0, 2, 2), to=(20, 20)).apply(tokens.codes, space)
    assert np.array_equal(copied, tokens.codes)


def test_move_leaves_the_background_behind(tokens: TokenMap, space: CodeSpace) -> None:
    after = MoveRegion(box=(0, 0, 2, 2), to=(1, 1), background=50).apply(tokens.codes, space)
    assert np.array_equal(after[1:3, 1:3], tokens.codes[0:2, 0:2])
    assert after[0, 0] == after[0, 1] == after[1, 0] == 50


def test_mute_takes_the_nearest_code_that_still_sounds(tokens: TokenMap, space: CodeSpace) -> None:
    muted = tuple(range(32))
    after = Mute(codes=muted).apply(tokens.codes, space)
    assert after.min() >= 32
    distance = np.linalg.norm(space.vectors[tokens.codes][..., None, :] - space.vectors[32:], axis=-1)
    hit = tokens.codes < 32
    assert np.array_equal(after[hit], distance.argmin(-1)[hit] + 32)
    assert np.array_equal(after[~hit], tokens.codes[~hit])
    with pytest.raises(InvalidRequest, match="All codes are muted"):
        Mute(codes=tuple(range(64))).apply(tokens.codes, space)


def test_jitter_takes_the_kth_neighbour_with_the_probability(space: CodeSpace) -> None:
    codes = np.random.default_rng(0).integers(64, size=(60, 60)).astype(np.int32)
    after = Jitter(k=3, probability=0.25, seed=1).apply(codes, space)
    hit = after != codes
    assert 0.22 < hit.mean() < 0.28
    expected = {code: space.neighbours(code, 3)[2].code for code in range(64)}
    assert all(expected[a] == b for a, b in zip(codes[hit], after[hit], strict=True))
    assert not np.array_equal(after, Jitter(k=3, probability=0.25, seed=2).apply(codes, space))
    half = Jitter(k=3, probability=0.25, seed=1, mask=box_cells(0, 0, 60, 30)).apply(codes, space)
    assert np.array_equal(half[:, :30], after[:, :30]) and np.array_equal(half[:, 30:], codes[:, 30:])


@pytest.mark.parametrize("count", [1, 2, 5, 20])
def test_restrict_keeps_at_most_n_of_the_codes_in_use(count: int, tokens: TokenMap, space: CodeSpace) -> None:
    after = Restrict(count=count, by="colour").apply(tokens.codes, space)
    kept = set(np.unique(after))
    assert 1 <= len(kept) <= count and kept <= set(np.unique(tokens.codes))
    plenty = Restrict(count=64).apply(tokens.codes, space)
    assert np.array_equal(plenty, tokens.codes)


@pytest.mark.parametrize("key", ["index", "usage", "hue", "lightness", "texture"])
def test_sort_and_shuffle_only_change_the_order(key: str, tokens: TokenMap, space: CodeSpace) -> None:
    for operation in (Sort(key=key, mask=LEFT), Sort(key=key, down=True), Shuffle(seed=1, mask=LEFT)):
        after = operation.apply(tokens.codes, space)
        assert sorted(after.ravel()) == sorted(tokens.codes.ravel())
        if operation.mask is not None:
            assert np.array_equal(after[:, 6:], tokens.codes[:, 6:])
    ordered = Sort(key="lightness").apply(tokens.codes, space)
    assert space.lab is not None
    assert (np.diff(space.lab[ordered.ravel(), 0]) >= 0).all()


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (Paint(code=64, cells=((0, 0),)), "no code 64 in this codebook: its codes are 0 to 63"),
        (Paint(code=1, cells=((9, 0),)), "Row 9, column 0 is outside the grid of 9 rows and 12 columns"),
        (Fill(code=1, at=(0, 12)), "outside the grid"),
        (Write(cells=((0, 0),), codes=(1, 2)), "1 cells but 2 codes"),
        (Stamp(pattern=((1, 2), (3,)), at=(0, 0)), "same length"),
        (CopyRegion(box=(8, 0, 2, 1), to=(0, 0)), "reaches past the grid of 9 x 12"),
        (Jitter(k=64, probability=1), "no neighbour 64"),
        (SetPalette(palette=PALETTE.model_copy(update={"checksum": "f" * 64})), "made with another model"),
        (SetPalette(palette=PALETTE.model_copy(update={"codes": (1, 2, 90)})), "no code 90"),
    ],
)
def test_operations_that_do_not_fit_say_why(
    operation: Operation, message: str, tokens: TokenMap, space: CodeSpace
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        operation.apply(tokens.codes, space)


def test_unknown_and_malformed_operations_are_explained() -> None:
    with pytest.raises(UnknownName, match=r'no operation "pint".*Did you mean "paint"'):
        parse_operation({"kind": "pint"})
    with pytest.raises(InvalidRequest, match="probability = 2"):
        parse_operation({"kind": "jitter", "probability": 2})
    with pytest.raises(InvalidRequest, match="extra"):
        parse_operation({"kind": "shuffle", "speed": 2})


def test_colours_are_asked_for_only_where_needed(space: CodeSpace, tokens: TokenMap) -> None:
    bare = CodeSpace(space.vectors, checksum=CHECKSUM)
    for operation in EVERY:
        if operation.needs_colours:
            with pytest.raises(InvalidRequest, match="colours of the codes are not known"):
                operation.apply(np.arange(108, dtype=np.int32).reshape(9, 12) % 64, bare)
        else:
            operation.apply(tokens.codes, bare)


def test_masks_and_cells_are_two_spellings_of_one_thing() -> None:
    mask = np.random.default_rng(0).random((9, 12)) < 0.3
    assert np.array_equal(mask_of(cells_of(mask), (9, 12)), mask)
    assert mask_of(None, (2, 3)).all() and not mask_of((), (2, 3)).any()
