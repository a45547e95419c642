from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from studio.training import augment
from studio.training.augment import draw, heldout_pairs, plain
from studio.training.colours import COLOURS, HUES_DEGREES, colour_of, dominant_colours
from studio.training.layout import Layout, arrange
from studio.training.pack import Pack, PackWriter, Record, encode_webp
from tests.training.sources import disc

THINGS = ("apple", "ball", "cup", "drum", "flower", "hat", "kite", "lemon")
PAINTS = {"red": (224, 36, 32), "green": (62, 155, 64), "blue": (42, 111, 219)}


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pack]:
    """Discs called by eight names in three colours; half of the other (colour, thing) pairs are held out."""
    folder = tmp_path_factory.mktemp("packs") / "discs.pack"
    with PackWriter(folder) as writer:
        for thing in THINGS:
            for word, rgb in PAINTS.items():
                webp = encode_webp(disc(rgb))
                about = {"names": (thing,), "style": "flat", "category": "object", "colours": (word,)}
                writer.add(webp, id=f"{thing}-{word}", thing=thing, **about)
        webp = encode_webp(disc((0, 0, 0)))
        writer.add(webp, id="secret", thing="secret", names=("secret",), style="flat", split="heldout_thing")
        writer.add(webp, id="never", thing="never", names=("never",), style="flat", weight=0.0)
        full = np.full((256, 256, 4), (10, 120, 200, 255), np.uint8)
        writer.add(encode_webp(full), id="sea", thing="sea", names=("sea at night",), category="place", solid=1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augment, "HELD_OUT_PAIRS", 0.5)
        yield Pack.open(folder, decoded=tmp_path_factory.mktemp("decoded"))


@pytest.fixture(scope="module")
def samples(pack: Pack) -> list[augment.Example]:
    """Draw 700 samples at 64 px."""
    rng = np.random.default_rng(7)
    return [draw(pack, rng, size=64) for _ in range(700)]


def test_the_same_generator_state_draws_the_same_sample(pack: Pack) -> None:
    first, again = (draw(pack, np.random.default_rng(3), size=64) for _ in range(2))
    np.testing.assert_array_equal(first.picture, again.picture)
    assert (first.caption, first.index) == (again.caption, again.index)


@pytest.mark.parametrize("size", [64, 128, 256])
def test_pictures_are_rgb_of_the_size_asked_for(pack: Pack, size: int) -> None:
    example = draw(pack, np.random.default_rng(1), size=size)
    assert example.picture.shape == (size, size, 3)
    assert example.picture.dtype == np.uint8


def test_a_simple_sample_is_one_whole_thing_with_its_style_named(pack: Pack) -> None:
    rng = np.random.default_rng(5)
    captions = [draw(pack, rng, size=64, composed=0.0).caption for _ in range(200)]
    assert all("flat" in caption for caption in captions if "sea" not in caption)
    assert not any(re.search(r"\b(two|three|four|small|big|left|right|top|above|and)\b", it) for it in captions)


def test_held_out_and_weightless_pictures_are_never_drawn(pack: Pack, samples: list[augment.Example]) -> None:
    drawn = {pack.records[example.index].id for example in samples}
    assert not drawn & {"secret", "never"}
    captions = " ".join(example.caption for example in samples)
    assert "secret" not in captions
    assert "never" not in captions


def test_a_heavier_picture_is_drawn_more_often(tmp_path: Path) -> None:
    with PackWriter(tmp_path / "two.pack") as writer:
        for name, weight in (("heavy", 3.0), ("light", 1.0)):
            writer.add(encode_webp(disc((1, 2, 3))), id=name, thing=name, names=(name,), weight=weight)
    two = Pack.open(tmp_path / "two.pack")
    rng = np.random.default_rng(0)
    counts = Counter(two.records[draw(two, rng, size=8).index].id for _ in range(200))
    assert 0.65 < counts["heavy"] / 200 < 0.85


def test_the_colour_in_the_caption_is_the_colour_of_the_pixels(samples: list[augment.Example]) -> None:
    pattern = re.compile(rf"^(?:an? )?(?:small |tiny |big |large )?({'|'.join(COLOURS)}) (?:{'|'.join(THINGS)})(?:,|$)")
    checked = Counter()
    for example in samples:
        if match := pattern.match(example.caption.replace(", flat style", "")):
            ink = example.picture.min(axis=-1) < 250
            if match[1] == "white" or "background" in example.caption or not ink.any():
                continue
            rgba = np.dstack([example.picture, np.where(ink, 255, 0).astype(np.uint8)])
            assert match[1] in dominant_colours(rgba), example.caption
            checked[match[1]] += 1
    assert len(checked) >= 6
    assert sum(checked.values()) > 60


def test_the_background_in_the_caption_is_the_colour_of_the_corners(pack: Pack, samples: list[augment.Example]) -> None:
    checked = Counter()
    for example in samples:
        match = re.search(rf"({'|'.join(COLOURS)}) background", example.caption)
        if (
            match
            and "corner" not in example.caption
            and "big" not in example.caption
            and "large" not in example.caption
        ):
            assert colour_of(example.picture[0, 0]) == match[1], example.caption
            checked[match[1]] += 1
        elif not match and pack.records[example.index].solid < 1:
            assert example.picture[0, 0].min() > 250, example.caption
    assert len(checked) >= 9


def test_a_thing_never_stands_on_a_background_of_its_own_colour(samples: list[augment.Example]) -> None:
    for example in samples:
        match = re.search(rf"\b({'|'.join(COLOURS)}) \w+ on an? \1 background", example.caption)
        assert match is None or match[1] == "white", example.caption  # snow on snow is drawn now and then


def test_the_number_in_the_caption_is_the_number_of_things(samples: list[augment.Example]) -> None:
    import cv2

    checked = Counter()
    for example in samples:
        match = re.match(r"(two|three|four) ", example.caption)
        if match and "background" not in example.caption and "white" not in example.caption:
            ink = (example.picture.min(axis=-1) < 200).astype(np.uint8)
            count = cv2.connectedComponents(ink)[0] - 1
            assert count == {"two": 2, "three": 3, "four": 4}[match[1]], example.caption
            checked[match[1]] += 1
    assert len(checked) == 3


def test_left_and_right_in_the_caption_are_left_and_right_in_the_picture(samples: list[augment.Example]) -> None:
    checked = 0
    for example in samples:
        match = re.search(r"(left|right) corner|on the (left|right)(?! and)", example.caption)
        if match and " and " not in example.caption and "background" not in example.caption:
            columns = np.flatnonzero((example.picture.min(axis=-1) < 200).any(axis=0))
            if len(columns):
                side = match[1] or match[2]
                assert (columns.mean() < 32) == (side == "left"), example.caption
                checked += 1
    assert checked > 8


def test_pairs_name_both_things_in_their_order(samples: list[augment.Example]) -> None:
    found = [e.caption for e in samples if " next to " in e.caption or " to the left of " in e.caption]
    assert len(found) > 8
    for caption in found:
        assert sum(len(re.findall(rf"\b{thing}\b", caption)) for thing in (*THINGS, "sea at night")) == 2


def test_held_out_pairs_are_never_drawn_and_natural_colours_never_held_out(
    pack: Pack, samples: list[augment.Example]
) -> None:
    held = heldout_pairs(pack)
    assert len(held) > 8
    assert heldout_pairs(Pack.open(pack.path)) == held
    assert not any(colour in PAINTS for colour, _ in held)
    assert {colour for colour, _ in held} <= set(HUES_DEGREES)
    for example in samples:
        for colour, thing in held:
            assert not re.search(rf"\b{colour} {thing}s?\b", example.caption), example.caption


def test_many_other_colours_are_drawn(samples: list[augment.Example]) -> None:
    captions = " ".join(example.caption for example in samples)
    for colour in COLOURS:
        assert re.search(rf"\b{colour} (?:{'|'.join(THINGS)})", captions), colour


def test_a_picture_with_a_background_of_its_own_is_never_recoloured_or_moved(
    pack: Pack, samples: list[augment.Example]
) -> None:
    index = next(i for i, record in enumerate(pack.records) if record.id == "sea")
    seen = [example for example in samples if example.index == index]
    assert seen
    for example in seen:
        assert np.abs(example.picture.astype(int) - (10, 120, 200)).max() < 12
        assert example.caption in ("a sea at night", "sea at night")


def test_captions_can_be_left_out(pack: Pack) -> None:
    example = draw(pack, np.random.default_rng(0), size=32, captions=False)
    assert example.caption == ""
    assert example.picture.shape == (32, 32, 3)


def test_plain_is_the_picture_on_white_with_its_canonical_caption(pack: Pack) -> None:
    example = plain(pack, 0, 256)
    rgba = pack.picture(0).astype(float)
    alpha = rgba[..., 3:] / 255
    expected = rgba[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(example.picture - expected).max() <= 1
    assert example.caption == "an apple, flat style"


def test_every_place_lies_inside_the_frame_up_to_a_big_things_edge() -> None:
    rng = np.random.default_rng(0)
    for kind, count in (("single", 1), ("several", 2), ("several", 3), ("several", 4), ("pair", 2)):
        for _ in range(200):
            layout = arrange(kind, count, rng)
            assert len(layout.places) == count
            for x, y, scale in layout.places:
                half = scale * 0.46
                inside = min(x - half, y - half, 1 - x - half, 1 - y - half)
                assert inside > -0.02 or layout.size in ("big", "large")


def test_the_size_word_comes_first() -> None:
    small = Layout(((0.5, 0.5, 0.4),), size="small", position="on the left")
    said = small.describe([("apple", ("red",))], np.random.default_rng(0))
    assert said == "a small red apple on the left"


def test_keywords_are_said_now_and_then_one_or_two_at_a_time() -> None:
    record = Record(id="a", offset=0, length=1, thing="apple", keywords=("fruit", "sweet", "ripe"))
    rng = np.random.default_rng(0)
    counts = Counter(augment._finish("an apple", record, rng, style=0.0).count(",") for _ in range(2000))
    assert set(counts) == {0, 1, 2}
    assert (counts[1] + counts[2]) / 2000 == pytest.approx(0.12, abs=0.03)
