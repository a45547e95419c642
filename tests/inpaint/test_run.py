"""Whole runs on real pictures and masks: what changes, what does not, and what is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from studio.errors import InvalidRequest, UnknownName
from studio.events import Cancelled, Event, Finished, Step
from studio.inpaint.canvas import prepare
from studio.inpaint.context import Context
from studio.inpaint.run import run_inpaint
from studio.pictures import PictureStore
from studio.requests import Inpaint, parse
from tests.stylize.waves import waves


def mask_of(width: int, height: int, *boxes: tuple[int, int, int, int]) -> Image.Image:
    """White boxes on black."""
    mask = Image.new("L", (width, height))
    for box in boxes:
        mask.paste(255, box)
    return mask


def asked(store: PictureStore, source: Image.Image, mask: Image.Image | None, **settings: Any) -> Inpaint:
    """A validated request, three steps long."""
    values = {"kind": "inpaint", "source": store.put(source), "mask": mask and store.put(mask), "seed": 3}
    made = parse({**values, "prompt": "a cat", "steps": 3, "model": "tiny-sd", "scheduler": "ddim", **settings})
    assert isinstance(made, Inpaint)
    return made


def run(request: Inpaint, context: Context) -> tuple[list[Event], Finished]:
    """All events, and the last."""
    events = list(run_inpaint(request, context, lambda: False))
    assert isinstance(events[-1], Finished)
    return events, events[-1]


def assert_untouched(source: Image.Image, finished: Finished) -> None:
    """Bit by bit, wherever the final mask is zero."""
    outside = finished.extras["final_mask"] == 0
    for image in finished.images:
        assert image.mode == source.mode
        assert np.array_equal(np.asarray(image)[outside], np.asarray(source)[outside])
    assert finished.extras["changed"] == 0


@pytest.mark.parametrize("model", ["tiny-ldm", "tiny-sd", "tiny-sd-inpainting"])
@pytest.mark.parametrize("area", ["masked", "whole"])
def test_the_part_is_repainted_and_the_rest_is_bit_identical(
    model: str, area: str, context: Context, store: PictureStore
) -> None:
    source = waves(150, 110, seed=1)
    request = asked(store, source, mask_of(150, 110, (60, 40, 90, 70)), model=model, area=area, size=64)
    events, finished = run(request, context)
    assert_untouched(source, finished)
    inside = finished.extras["final_mask"] == 255
    assert (np.asarray(finished.images[0])[inside] != np.asarray(source)[inside]).any(axis=-1).mean() > 0.9
    previews = [e.preview for e in events if isinstance(e, Step)]
    assert len(previews) == 3 and all(p is not None and p.size == (150, 110) for p in previews)
    assert finished.notes[-1] == f"0 of {finished.extras['outside']:,} pixels outside the mask changed."


@given(
    width=st.integers(1, 120),
    height=st.integers(1, 120),
    mode=st.sampled_from(["RGB", "RGBA"]),
    settings_=st.fixed_dictionaries(
        {
            "method": st.sampled_from(["telea", "navier_stokes"]),
            "grow": st.integers(0, 12),
            "feather": st.integers(0, 20),
            "padding": st.integers(0, 60),
            "area": st.sampled_from(["masked", "whole"]),
            "soft": st.booleans(),
            "extend": st.tuples(*[st.integers(0, 30)] * 4),
        }
    ),
    data=st.data(),
)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_untouched_means_untouched_for_any_picture_mask_and_setting(
    width: int,
    height: int,
    mode: str,
    settings_: dict[str, Any],
    data: st.DataObject,
    context: Context,
    store: PictureStore,
) -> None:
    source = waves(width, height, seed=4).convert(mode)
    if mode == "RGBA":
        source.putalpha(Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width), np.uint8)))
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    mask = mask_of(
        width, height, (left, top, left + data.draw(st.integers(1, 40)), top + data.draw(st.integers(1, 40)))
    )
    finished = run(asked(store, source, mask, **settings_), context)[1]
    left, top, right, bottom = settings_["extend"]
    size = (width + left + right, height + top + bottom)
    assert finished.images[0].size == size
    kept = np.asarray(finished.images[0])[top : top + height, left : left + width]
    outside = finished.extras["final_mask"][top : top + height, left : left + width] == 0
    assert np.array_equal(kept[outside], np.asarray(source)[outside])


def test_candidates_differ_and_each_keeps_the_rest(context: Context, store: PictureStore) -> None:
    source = waves(96, 96, seed=1)
    finished = run(asked(store, source, mask_of(96, 96, (30, 30, 60, 60)), batch=3, size=64), context)[1]
    assert finished.seeds == (3, 4, 5)
    assert len({image.tobytes() for image in finished.images}) == 3
    assert_untouched(source, finished)


def test_outpainting_needs_no_mask_and_feathers_into_the_picture(context: Context, store: PictureStore) -> None:
    source = waves(96, 64, seed=1)
    finished = run(asked(store, source, None, extend=(0, 0, 32, 0), feather=8, size=64), context)[1]
    assert finished.images[0].size == (128, 64)
    assert np.array_equal(np.asarray(finished.images[0])[:, :88], np.asarray(source)[:, :88])
    final = finished.extras["final_mask"]
    assert (final[:, 96:] == 255).all() and 0 < final[0, 92] < 255 and (final[:, :88] == 0).all()


def test_a_repair_takes_a_scratch_away_at_once(context: Context, store: PictureStore) -> None:
    clean = waves(120, 90, seed=2)
    source = clean.copy()
    source.paste((255, 255, 255), (20, 44, 100, 47))
    finished = run(
        asked(store, source, mask_of(120, 90, (20, 44, 100, 47)), method="telea", grow=1, feather=2), context
    )[1]
    error = np.abs(np.asarray(finished.images[0]).astype(int) - np.asarray(clean)).max()
    assert error < 25
    assert_untouched(source, finished)


def test_a_transparent_source_keeps_its_transparency_outside_the_mask(context: Context, store: PictureStore) -> None:
    source = waves(80, 80, seed=1)
    source.putalpha(Image.new("L", (80, 80), 90))
    finished = run(asked(store, source, mask_of(80, 80, (20, 20, 40, 40)), size=64), context)[1]
    assert_untouched(source, finished)
    assert finished.images[0].getpixel((30, 30))[3] == 255
    assert any("transparent" in note for note in finished.notes)


@pytest.mark.parametrize("size", [(1, 70), (70, 1), (1, 1)])
def test_a_source_one_pixel_wide_is_repainted_too(size: tuple[int, int], context: Context, store: PictureStore) -> None:
    source = waves(*size, seed=1)
    mask = mask_of(*size, (0, 0, max(size[0] // 2, 1), max(size[1] // 2, 1)))
    finished = run(asked(store, source, mask, size=64, grow=0, feather=0), context)[1]
    assert finished.images[0].size == size
    assert_untouched(source, finished)


def test_a_soft_mask_works_through_the_loop(context: Context, store: PictureStore) -> None:
    source = waves(96, 96, seed=1)
    ramp = Image.fromarray(np.tile(np.linspace(0, 255, 96).astype(np.uint8), (96, 1)))
    finished = run(asked(store, source, ramp, soft=True, grow=0, feather=0, size=64, steps=8), context)[1]
    assert_untouched(source, finished)
    change = np.abs(np.asarray(finished.images[0]).astype(int) - np.asarray(source)).mean(axis=(0, 2))
    assert change[:8].mean() < change[-8:].mean()


def test_the_same_request_gives_the_same_pixels(context: Context, store: PictureStore) -> None:
    request = asked(
        store, waves(96, 96, seed=1), mask_of(96, 96, (30, 30, 60, 60)), size=64, prefill="noise", strength=0.7
    )
    assert run(request, context)[1].images[0].tobytes() == run(request, context)[1].images[0].tobytes()


def test_a_run_stops_within_a_step(context: Context, store: PictureStore) -> None:
    request = asked(store, waves(96, 96, seed=1), mask_of(96, 96, (30, 30, 60, 60)), size=64)
    answers = iter([False, False, False, True, True, True])
    events = list(run_inpaint(request, context, lambda: next(answers)))
    assert isinstance(events[-1], Cancelled) and events[-1].at_step == 2


def test_strength_zero_repaints_nothing(context: Context, store: PictureStore) -> None:
    source = waves(96, 96, seed=1)
    finished = run(asked(store, source, mask_of(96, 96, (30, 30, 60, 60)), strength=0), context)[1]
    assert finished.images[0].tobytes() == source.tobytes()


@pytest.mark.parametrize(
    ("boxes", "settings", "error", "message"),
    [
        ([], {}, InvalidRequest, "The mask is empty: paint the part to change"),
        ([(5, 5, 9, 9)], {"grow": -12}, InvalidRequest, "Shrinking the mask by 12 px leaves nothing"),
        ([(5, 5, 9, 9)], {"method": "tela"}, UnknownName, 'Did you mean "telea"'),
        ([(5, 5, 9, 9)], {"model": "tiny-s"}, UnknownName, "tiny-sd"),
    ],
)
def test_a_request_that_cannot_be_met_says_what_to_do(
    boxes: list[tuple[int, int, int, int]],
    settings: dict[str, Any],
    error: type[InvalidRequest],
    message: str,
    context: Context,
    store: PictureStore,
) -> None:
    request = asked(store, waves(40, 40, seed=1), mask_of(40, 40, *boxes), **settings)
    with pytest.raises(error, match=message):
        list(run_inpaint(request, context, lambda: False))


def test_no_mask_and_nothing_to_extend_is_an_empty_mask(context: Context, store: PictureStore) -> None:
    with pytest.raises(InvalidRequest, match="paint the part to change"):
        list(run_inpaint(asked(store, waves(40, 40, seed=1), None), context, lambda: False))


def test_a_canvas_beyond_the_limit_is_refused_with_its_size(store: PictureStore) -> None:
    request = asked(store, waves(8, 8, seed=1), None, extend=(2048, 2048, 2048, 2048))
    with pytest.raises(InvalidRequest, match="6096×6096, 37 megapixels; the limit is 32"):
        prepare(request, lambda ref: Image.new("RGB", (2000, 2000)))


def test_a_hundred_megapixels_are_refused(store: PictureStore) -> None:
    request = asked(store, waves(8, 8, seed=1), mask_of(8, 8, (0, 0, 4, 4)))
    with pytest.raises(InvalidRequest, match="100 megapixels; the limit is 32"):
        prepare(request, lambda ref: Image.new("RGB", (10_000, 10_000)))
