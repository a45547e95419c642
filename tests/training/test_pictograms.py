from __future__ import annotations

from pathlib import Path

import pytest

from studio.training import build, pictograms
from studio.training.emoji import Candidate
from studio.training.pack import Pack
from tests.training.sources import (
    svg,
    write_emojibase,
    write_iconify,
    write_open_clipart,
    write_stamps,
    write_webp_emoji,
)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache in which every package is there already, with a few pictures each: nothing is fetched."""
    cache = tmp_path / "cache"
    name, version = pictograms.EMOJIBASE
    write_emojibase(cache / "npm" / f"{name}-{version}" / "package")
    for emoji_set in pictograms.EMOJI_SETS:
        folder = cache / "npm" / f"{emoji_set.package.lstrip('@').replace('/', '-')}-{emoji_set.version}" / "package"
        if emoji_set.style == "3d":
            write_webp_emoji(folder)
        else:
            write_iconify(folder, with_codes=emoji_set.style != "poster")
    write_open_clipart(cache / "debian" / "openclipart-svg")
    write_stamps(cache / "debian" / "tuxpaint-stamps-default")
    return cache


def candidate(name: str, *, style: str = "flat", drawing: str = "apple", thing: str = "") -> Candidate:
    about = {"names": (thing or name,), "category": "food", "weight": 1.0, "licence": "MIT"}
    return Candidate(
        id=f"{name}-{style}", source="test", drawing=svg(drawing), thing=thing or name, style=style, **about
    )


def test_the_pack_holds_every_source_and_lists_what_it_refused(cache: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    summary = pictograms.build_pictograms(tmp_path / "all.pack", cache, lines.append)
    pack = Pack.open(tmp_path / "all.pack")
    assert len(pack) == summary.pictures > 10
    styles = {record.style for record in pack.records}
    assert styles == {"flat", "glossy", "cartoon", "sticker", "poster", "3d", "clipart"}
    assert dict(summary.rejected)["fluent-emoji-3d/1f34b"].startswith("cannot be read")
    assert all(record.licence and record.source for record in pack.records)
    assert lines[0] == "fetching packages"
    assert "unusable left out" in str(summary)


def test_gpl_pictures_go_into_a_pack_of_their_own_or_none(cache: Path, tmp_path: Path) -> None:
    free = pictograms.build_pictograms(tmp_path / "free.pack", cache, lambda _: None)
    gpl = pictograms.build_pictograms(tmp_path / "gpl.pack", cache, lambda _: None, gpl=True)
    assert "GPL-2.0" not in free.by_licence
    assert set(gpl.by_licence) == {"GPL-2.0"}
    assert {record.style for record in Pack.open(tmp_path / "gpl.pack").records} == {"photo"}


def test_colours_come_from_the_pixels(cache: Path, tmp_path: Path) -> None:
    pictograms.build_pictograms(tmp_path / "all.pack", cache, lambda _: None)
    colours = {(r.thing, r.colours) for r in Pack.open(tmp_path / "all.pack").records if r.style == "flat"}
    assert {("apple", ("red",)), ("lemon", ("yellow",))} <= colours


def test_two_builds_of_the_same_sources_are_the_same(cache: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        pictograms.build_pictograms(tmp_path / f"{name}.pack", cache, lambda _: None)
    assert Pack.open(tmp_path / "one.pack").digest == Pack.open(tmp_path / "two.pack").digest


def test_the_same_picture_twice_in_one_style_is_kept_once() -> None:
    drawn, _ = build._draw_all([candidate("apple"), candidate("apple again")], lambda _: None, 1)
    kept, duplicates = build._without_duplicates(drawn)
    assert [c.thing for c, _ in kept] == ["apple"]
    assert duplicates == [("apple again-flat", "apple-flat")]


def test_the_same_picture_in_another_style_or_colour_stays() -> None:
    blue = Candidate(**{**vars(candidate("blue")), "drawing": svg("apple").replace("#e02020", "#2020e0")})
    drawn, _ = build._draw_all([candidate("a"), candidate("a", style="3d"), blue], lambda _: None, 1)
    assert len(build._without_duplicates(drawn)[0]) == 3


def test_a_held_out_thing_is_held_out_in_every_style_and_under_longer_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictograms, "HELD_OUT_THINGS", 1.0)
    rows = [candidate("violin", style=style) for style in ("3d", "flat", "cartoon")]
    rows += [candidate("old violin", style="clipart"), candidate("cat", style="3d"), candidate("viola", style="3d")]
    split = pictograms.split_by_thing(rows)
    assert {split[c.id] for c in rows if "violin" in c.thing} == {"heldout_thing"}
    assert split["cat-3d"] == "train"
    assert split["viola-3d"] == "train"


def test_held_out_pictures_take_their_twins_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictograms, "HELD_OUT_THINGS", 0.0)
    monkeypatch.setattr(pictograms, "HELD_OUT_PICTURES", 0.5)
    styles = ("3d", "flat", "glossy", "cartoon")
    rows = [candidate(f"thing {i}", style=style) for i in range(40) for style in styles]
    split = pictograms.split_by_thing(rows)
    assert set(split.values()) == {"train", "heldout_picture"}
    for i in range(40):
        assert len({split[f"thing {i}-{style}"] for style in ("3d", "flat", "glossy")}) == 1
