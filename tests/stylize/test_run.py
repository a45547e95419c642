"""Whole runs: events in order, chains, controls, cancel, bad requests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from studio.codebook.palettes import Palette
from studio.errors import InvalidRequest, UnknownName
from studio.events import Cancelled, Event, Finished, Step
from studio.inpaint.context import Context
from studio.pictures import PictureStore
from studio.requests import Stylize, parse
from studio.stylize.methods import METHODS
from studio.stylize.run import run_stylize, usable_methods
from tests.stylize.waves import waves

Ref = Callable[..., str]
FROM_PICTURES = [m.name for m in METHODS if m.needs == "reference" and not m.has_chance]


def request(content: str, *references: str, **settings: object) -> Stylize:
    """A validated request for small work."""
    values = {"kind": "stylize", "content": content, "references": references, "seed": 7, "size": 64, "strength": 0.6}
    made = parse({**values, **settings})
    assert isinstance(made, Stylize)
    return made


def run(asked: Stylize, context: Context) -> tuple[list[Event], Finished]:
    """All events, and the last."""
    events = list(run_stylize(asked, context, lambda: False))
    assert isinstance(events[-1], Finished)
    return events, events[-1]


@pytest.mark.parametrize("method", FROM_PICTURES)
def test_every_method_streams_and_gives_a_picture_of_the_contents_size(
    method: str, context: Context, picture_ref: Ref
) -> None:
    asked = request(picture_ref(93, 70, 1), picture_ref(64, 80, 2), methods=[method], strength=1)
    events, finished = run(asked, context)
    steps = [event for event in events if isinstance(event, Step)]
    assert [s.index for s in steps] == sorted(s.index for s in steps)
    assert steps[-1].index == steps[-1].total and steps[-1].preview is not None
    assert {step.doing for step in steps} == {""}, "one method alone need not be named at every step"
    assert finished.images[0].size == (93, 70) and finished.seeds == (7,)
    again = run(asked, context)[1]
    assert finished.images[0].tobytes() == again.images[0].tobytes()


@pytest.mark.parametrize("method", FROM_PICTURES)
def test_a_run_stops_when_asked(method: str, context: Context, picture_ref: Ref) -> None:
    asked = request(picture_ref(93, 70, 1), picture_ref(64, 80, 2), methods=[method])
    events = list(run_stylize(asked, context, lambda: True))
    assert isinstance(events[-1], Cancelled)
    assert not any(isinstance(event, Finished) for event in events)


def test_a_chain_hands_results_on_and_counts_its_steps_through(context: Context, picture_ref: Ref) -> None:
    content, style = picture_ref(64, 64, 1), picture_ref(64, 64, 2)
    plain = {"structure": 0, "strength": 1}
    first = run(request(content, style, methods=["colour"], **plain), context)[1].images[0]
    second_ref = context.read_picture.__self__.put(first)  # type: ignore[attr-defined]
    stepwise = run(request(second_ref, style, methods=["tokens_nearest"], **plain), context)[1].images[0]
    events, finished = run(request(content, style, methods=["colour", "tokens_nearest"], **plain), context)
    assert finished.images[0].tobytes() == stepwise.tobytes()
    steps = [event for event in events if isinstance(event, Step)]
    assert steps[-1].index == steps[-1].total
    assert all(0 < step.index <= step.total for step in steps)
    assert list(dict.fromkeys(step.doing for step in steps)) == ["colour", "tokens_nearest"]


def test_strength_zero_is_the_content_bit_by_bit(store: PictureStore, context: Context, picture_ref: Ref) -> None:
    content = picture_ref(40, 30, 1)
    finished = run(request(content, picture_ref(64, 64, 2), strength=0), context)[1]
    assert finished.images[0].tobytes() == store.get(content).tobytes()
    assert "strength is 0" in finished.notes[0]


def test_a_transparent_content_stays_transparent(store: PictureStore, context: Context, picture_ref: Ref) -> None:
    picture = waves(48, 40, seed=1)
    picture.putalpha(Image.fromarray(np.tile(np.arange(48, dtype=np.uint8) * 5, (40, 1))))
    finished = run(request(store.put(picture), picture_ref(64, 64, 2), methods=["colour"]), context)[1]
    assert finished.images[0].mode == "RGBA"
    assert finished.images[0].getchannel("A").tobytes() == picture.getchannel("A").tobytes()


@pytest.mark.parametrize("size", [(1, 90), (90, 1), (1, 1)])
@pytest.mark.parametrize("method", ["colour", "colour_transport", "wct", "tokens"])
def test_a_picture_one_pixel_wide_is_styled_too(
    size: tuple[int, int], method: str, context: Context, picture_ref: Ref
) -> None:
    finished = run(request(picture_ref(*size, 1), picture_ref(64, 64, 2), methods=[method]), context)[1]
    assert finished.images[0].size == size


def test_the_working_size_bounds_the_work_and_not_the_result(context: Context, picture_ref: Ref) -> None:
    asked = request(picture_ref(200, 120, 1), picture_ref(64, 64, 2), methods=["tokens"], size=64)
    events, finished = run(asked, context)
    assert finished.images[0].size == (200, 120)
    assert [e.preview.size for e in events if isinstance(e, Step) and e.preview] == [(64, 38)]


def test_the_methods_of_the_vqgan_enlarge_small_pictures_and_colour_does_not(
    context: Context, picture_ref: Ref
) -> None:
    shown = {}
    for method in ("tokens_nearest", "colour"):
        events, finished = run(
            request(picture_ref(60, 30, 1), picture_ref(64, 64, 2), methods=[method], size=0), context
        )
        shown[method] = [e.preview.size for e in events if isinstance(e, Step) and e.preview][-1]
        assert finished.images[0].size == (60, 30)
    assert shown == {"tokens_nearest": (128, 64), "colour": (60, 30)}  # previews are small, but never enlarged


def test_several_pictures_of_a_method_without_chance_are_made_once_and_said(context: Context, picture_ref: Ref) -> None:
    finished = run(request(picture_ref(40, 30, 1), picture_ref(64, 64, 2), methods=["colour"], batch=4), context)[1]
    assert len(finished.images) == len(finished.seeds) == 1
    assert "one was made" in finished.notes[-1]


def test_all_methods_make_one_labelled_sheet_and_name_what_could_not_run(context: Context, picture_ref: Ref) -> None:
    asked = request(picture_ref(64, 64, 1), picture_ref(64, 64, 2), methods=["all"], prompt="oil painting")
    events, finished = run(asked, context)
    assert list(finished.extras["tried"]) == FROM_PICTURES
    assert set(FROM_PICTURES) <= {event.doing for event in events if isinstance(event, Step)}
    assert all(picture.shape == (64, 64, 3) for picture in finished.extras["tried"].values())
    assert len(finished.images) == 1 and finished.images[0].width > 320 * 2
    assert any("Repaint with words" in note for note in finished.notes)


def test_methods_are_usable_when_their_style_is_there() -> None:
    words = parse({"kind": "stylize", "content": "0" * 64, "prompt": "ink"})
    assert isinstance(words, Stylize)
    assert [m.name for m in usable_methods(words)] == ["diffusion"]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"methods": ["tokens"]}, InvalidRequest, "takes its style from a picture"),
        ({"methods": ["diffusion"]}, InvalidRequest, "takes its style from words"),
        ({"methods": ["token"]}, UnknownName, 'Did you mean "tokens"'),
        ({"methods": ["all"]}, InvalidRequest, "There is no style yet"),
        ({"methods": ["all", "wct"]}, InvalidRequest, "stands alone"),
        ({"references": ["1" * 64], "reference_weights": [1, 2]}, InvalidRequest, "one weight per picture"),
        ({"references": ["1" * 64], "reference_weights": [0]}, InvalidRequest, "above 0"),
    ],
)
def test_a_request_without_a_usable_style_says_what_to_do(
    settings: dict[str, object], error: type[InvalidRequest], message: str, context: Context
) -> None:
    asked = parse({"kind": "stylize", "content": "0" * 64, **settings})
    assert isinstance(asked, Stylize)
    with pytest.raises(error, match=message):
        list(run_stylize(asked, context, lambda: False))


def test_a_palette_of_the_codebook_is_a_style_for_the_methods_of_tokens(context: Context, picture_ref: Ref) -> None:
    vqgan = context.vqgan("")
    palette = Palette.of(vqgan.encode(waves(64, 64, seed=5)))
    asked = request(picture_ref(64, 64, 1), methods=["tokens"], palette=palette.model_dump(mode="json"), strength=1)
    by_picture = request(picture_ref(64, 64, 1), picture_ref(64, 64, 5), methods=["tokens"], strength=1)
    assert [method.name for method in usable_methods(asked)] == ["tokens", "tokens_nearest", "tokens_histogram"]
    assert run(asked, context)[1].images[0].size == run(by_picture, context)[1].images[0].size == (64, 64)
    with pytest.raises(InvalidRequest, match="takes its style from a picture"):
        run(asked.model_copy(update={"methods": ("wct",)}), context)
    with pytest.raises(InvalidRequest, match="not a palette"):
        run(asked.model_copy(update={"palette": {"codes": [1]}}), context)
    foreign = {**palette.model_dump(mode="json"), "checksum": "0" * 64}
    with pytest.raises(InvalidRequest):
        run(asked.model_copy(update={"palette": foreign}), context)
