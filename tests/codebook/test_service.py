"""The painting desk: open, edit, look, take along, and come back after a restart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from codebook.drawing import drawn
from studio.codebook.answers import CodebookModel, Opened
from studio.codebook.operations import parse_operations
from studio.codebook.run import Studio, run_edit_tokens
from studio.codebook.service import Desk, DocumentGone
from studio.codebook.share import share, unshare
from studio.codebook.vqgan import Vqgan
from studio.errors import InvalidRequest, StudioError, UnknownName
from studio.events import Finished


@pytest.fixture(scope="module")
def desk(vqgan: Vqgan, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    examples = {f"drawing {i}": (lambda i=i: drawn(64, 48, seed=i)) for i in range(2)}
    return Desk(
        lambda model: vqgan,
        models=lambda: [CodebookModel("tiny", "Tiny")],
        examples=examples,
        gallery=lambda session: iter([("first", drawn(64, 64, seed=1)), ("second", drawn(64, 64, seed=5))]),
        cache_dir=tmp_path_factory.mktemp("cache"),
    )


@pytest.fixture
def opened(desk: Desk, picture: Image.Image) -> Opened:
    return desk.open_picture("ann", picture)


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"), np.int16)


def test_an_opened_picture_is_its_own_reconstruction(
    desk: Desk, opened: Opened, vqgan: Vqgan, picture: Image.Image
) -> None:
    assert opened.size == picture.size and opened.codes.shape == (9, 12)
    exact = vqgan.decode(vqgan.encode(picture))
    assert np.array_equal(pixels(desk.view("ann", opened.document, "picture")), pixels(exact))


def test_a_dab_shows_at_once_is_not_recorded_and_settling_takes_it_back(desk: Desk, opened: Opened) -> None:
    before = desk.view("ann", opened.document, "picture")
    code = int((opened.codes[4, 6] + 7) % 64)
    change = desk.dab("ann", opened.document, [4 * 12 + 6], codes=[code])
    assert change.image is not None and not change.can_undo
    left, top = change.left, change.top
    assert left <= 6 * 8 < left + change.image.width and top <= 4 * 8 < top + change.image.height
    back = desk.settle("ann", opened.document)
    assert back.image is not None and back.exact
    assert back.cells.tolist() == [4 * 12 + 6] and back.codes.tolist() == [int(opened.codes[4, 6])]
    assert np.array_equal(pixels(back.image), pixels(before))


def test_undo_gives_back_the_identical_map_and_redo_the_edited_one(desk: Desk, opened: Opened) -> None:
    name = opened.document
    start = desk.share("ann", name)
    for operation in (
        {"kind": "paint", "code": 3, "cells": [[0, 0], [0, 1]]},
        {"kind": "jitter", "k": 2, "probability": 0.5, "seed": 7},
        {"kind": "sort", "key": "lightness"},
    ):
        assert desk.do("ann", name, operation).operation is not None
    edited = desk.share("ann", name)
    assert [desk.undo("ann", name).can_undo for _ in range(3)] == [True, True, False]
    assert desk.share("ann", name) == start
    for _ in range(3):
        change = desk.redo("ann", name)
    assert desk.share("ann", name) == edited and not change.can_redo


def test_an_operation_that_changes_nothing_is_not_recorded(desk: Desk, opened: Opened) -> None:
    code = int(opened.codes[0, 0])
    change = desk.do("ann", opened.document, {"kind": "paint", "code": code, "cells": [[0, 0]]})
    assert change.operation is None and not change.can_undo


def test_the_recipe_of_an_edited_picture_makes_the_same_pixels(desk: Desk, opened: Opened, vqgan: Vqgan) -> None:
    desk.do("ann", opened.document, {"kind": "shuffle", "seed": 4})
    desk.do("ann", opened.document, {"kind": "restrict", "count": 8, "seed": 1})
    request = desk.request("ann", opened.document)
    studio = Studio(lambda model: vqgan, open_picture=lambda ref: drawn(8, 8, seed=0), cache_dir=Path())
    *_, finished = run_edit_tokens(request, studio)
    assert isinstance(finished, Finished)
    assert np.array_equal(pixels(finished.images[0]), pixels(desk.view("ann", opened.document, "picture")))


def test_a_picture_that_left_the_desk_is_rebuilt_from_start_and_operations(
    desk: Desk, opened: Opened, picture: Image.Image
) -> None:
    operations = [{"kind": "paint", "code": 9, "cells": [[2, 2], [2, 3]]}, {"kind": "mute", "codes": [9]}]
    for operation in operations:
        desk.do("ann", opened.document, operation)
    shown, text = desk.view("ann", opened.document, "picture"), desk.share("ann", opened.document)
    desk.close("ann", opened.document)
    with pytest.raises(DocumentGone):
        desk.undo("ann", opened.document)
    again = desk.reopen("ann", opened.start, operations, source=picture)
    assert again.can_undo and again.has_source
    assert desk.share("ann", again.document) == text
    assert np.array_equal(pixels(desk.view("ann", again.document, "picture")), pixels(shown))
    assert desk.view("ann", again.document, "error").size == picture.size


def test_a_stranger_sees_a_picture_as_gone(desk: Desk, opened: Opened) -> None:
    with pytest.raises(DocumentGone, match="no longer open"):
        desk.share("eve", opened.document)
    desk.close("eve", opened.document)
    assert desk.share("ann", opened.document)


def test_the_desk_holds_only_so_many_pictures_a_session(desk: Desk) -> None:
    names = [desk.open_text("bob", share_of(desk)).document for _ in range(5)]
    with pytest.raises(DocumentGone):
        desk.share("bob", names[0])
    assert desk.share("bob", names[-1])


def share_of(desk: Desk) -> str:
    return desk.share("bob", desk.open_picture("bob", drawn(16, 16, seed=2)).document)


def test_shared_text_opens_the_same_picture_and_has_no_original(desk: Desk, opened: Opened) -> None:
    text = desk.share("ann", opened.document)
    other = desk.open_text("ben", text)
    assert np.array_equal(other.codes, opened.codes) and not other.has_source
    with pytest.raises(InvalidRequest, match="no original"):
        desk.view("ben", other.document, "source")
    with pytest.raises(InvalidRequest, match="no original"):
        desk.meter("ben", other.document)
    with pytest.raises(InvalidRequest, match=r"cut short|damaged"):
        desk.open_text("ben", text[:-6])


def test_the_edited_tokens_and_a_ring_become_the_mask(desk: Desk, opened: Opened) -> None:
    with pytest.raises(InvalidRequest, match="edited or selected"):
        desk.mask("ann", opened.document)
    code = int((opened.codes[4, 6] + 5) % 64)
    desk.do("ann", opened.document, {"kind": "paint", "code": code, "cells": [[4, 6]]})
    picture, mask = desk.mask("ann", opened.document, ring=1)
    marked = np.asarray(mask)
    assert picture.size == mask.size == opened.size and mask.mode == "L"
    assert (marked[24:48, 40:64] == 255).all() and marked.sum() == 24 * 24 * 255
    chosen = np.asarray(desk.mask("ann", opened.document, cells=[0], ring=0)[1])
    assert (chosen[:8, :8] == 255).all() and chosen.sum() == 64 * 255


def test_the_atlas_shows_every_code_once_and_counts_name_their_corpus(desk: Desk) -> None:
    page = desk.atlas("", order="hue", dead=True)
    shown = page.cells[page.cells >= 0]
    assert sorted(shown.tolist()) == list(range(64))
    assert page.counts is not None and page.counts.sum() == 2 * 48 and "the example pictures" in page.said
    live = desk.atlas("", order="usage").cells
    assert set(live[live >= 0].tolist()) == set(np.flatnonzero(page.counts).tolist())
    sprite = desk.sprite("")
    assert sprite.size == (page.sprite_columns * page.cell, page.sprite_columns * page.cell)


def test_a_card_counts_here_and_names_neighbours_and_places(desk: Desk, opened: Opened) -> None:
    code = int(opened.codes[0, 0])
    card = desk.card("ann", "", code, document=opened.document)
    assert card.count == int((opened.codes == code).sum()) > 0
    assert code not in card.similar and len(set(card.interchangeable)) == 8
    places = desk.places("ann", "", code)
    assert [place.share for place in places] == sorted((place.share for place in places), reverse=True)
    assert desk.near_colour("", card.rgb)[0] in (code, *range(64))
    with pytest.raises(InvalidRequest, match="no code 64"):
        desk.card("ann", "", 64)


def test_the_palette_of_one_picture_redraws_another(desk: Desk, opened: Opened) -> None:
    palette = desk.palette_of(drawn(64, 64, seed=30), model="", name="evening")
    desk.do("ann", opened.document, {"kind": "set_palette", "palette": palette, "method": "nearest"})
    codes = unshare(desk.share("ann", opened.document)).codes
    assert set(np.unique(codes).tolist()) <= set(palette["codes"])


@pytest.mark.parametrize(("kind", "file"), [("smooth", "gif"), ("stepped", "webp"), ("grow", "mp4")])
def test_a_film_is_a_playable_file(desk: Desk, opened: Opened, kind: str, file: str, tmp_path: Path) -> None:
    made = desk.film("ann", opened.document, kind=kind, frames=4, file=file, other=drawn(50, 50, seed=3))
    assert made.name.endswith(file)
    if file != "mp4":
        path = tmp_path / made.name
        path.write_bytes(made.data)
        with Image.open(path) as film:
            assert film.size == opened.size and film.n_frames >= 2
    else:
        assert made.data[4:8] == b"ftyp"


def test_a_film_needs_something_to_go_to(desk: Desk, opened: Opened) -> None:
    with pytest.raises(InvalidRequest, match="nothing to morph to"):
        desk.film("ann", opened.document, kind="smooth", frames=4, file="gif")
    with pytest.raises(UnknownName, match="film"):
        desk.film("ann", opened.document, kind="melt", frames=4, file="gif")


def test_a_large_picture_is_made_smaller_and_says_so(desk: Desk) -> None:
    opened = desk.open_picture("ann", drawn(300, 150, seed=2), side=100)
    assert opened.size == (100, 50) and "300 × 150" in opened.notes[0]


@pytest.mark.parametrize(
    ("cells", "codes"),
    [([108], [0]), ([-1], [0]), ([0], [64]), ([0, 1], [0])],
    ids=["past", "before", "code", "uneven"],
)
def test_a_dab_out_of_range_is_refused_and_changes_nothing(
    desk: Desk, opened: Opened, cells: list[int], codes: list[int]
) -> None:
    before = desk.share("ann", opened.document)
    with pytest.raises(StudioError):
        desk.dab("ann", opened.document, cells, codes=codes)
    assert desk.share("ann", opened.document) == before


def test_operations_are_told_back_as_the_recipe_keeps_them(desk: Desk, opened: Opened) -> None:
    change = desk.do("ann", opened.document, {"kind": "shuffle", "seed": 2})
    assert change.operation is not None
    assert parse_operations([change.operation])[0] == desk._document("ann", opened.document).operations[-1]
    tokens = unshare(desk.share("ann", opened.document))
    assert share(tokens) == desk.share("ann", opened.document)


def test_codes_are_counted_in_the_examples_or_in_the_gallery(desk: Desk, vqgan: Vqgan, tmp_path: Path) -> None:
    examples, gallery = desk.atlas("tiny"), desk.atlas("tiny", corpus="gallery", session="ann")
    assert "2 pictures (the example pictures)" in examples.said
    assert "2 pictures (the newest of your gallery)" in gallery.said
    assert gallery.counts is not None and int(gallery.counts.sum()) == 2 * 64
    assert not np.array_equal(examples.counts, gallery.counts)
    empty = Desk(lambda model: vqgan, models=lambda: [], examples={}, cache_dir=tmp_path)
    with pytest.raises(InvalidRequest, match="no pictures to count codes in"):
        empty.atlas("tiny", corpus="gallery", session="ann")
