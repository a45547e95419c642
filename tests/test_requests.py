from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.errors import InvalidRequest, UnknownName
from studio.fields import field_spec
from studio.requests import KINDS, MAX_SEED, TextToImage, clean_text, parse

PICTURE = "0" * 64
EXAMPLES = {
    "text_to_image": {"prompt": "a red apple", "control": PICTURE, "control_preprocessor": "canny"},
    "stylize": {"content": PICTURE, "control": PICTURE, "control_end": 0.5},
    "inpaint": {"source": PICTURE, "mask": PICTURE, "more_controls": [{"picture": PICTURE, "net": "a", "scale": 0.5}]},
    "reconstruct": {"source": PICTURE},
    "edit_tokens": {"tokens": "abc"},
    "draw_tokens": {"tokens": "abc", "cells": ((0, 1), (2, 3))},
    "fork": {"prompt": "a pear", "parent": {"kind": "text_to_image", "prompt": "a red apple"}, "step": 3},
    "timelapse": {"parent": {"kind": "text_to_image", "prompt": "a red apple"}},
    "upscale": {"source": PICTURE, "scale": 4},
    "walk": {"prompt": "a red apple", "to_prompt": "a pear"},
    "keep_film": {"parent": {"kind": "text_to_image", "prompt": "a red apple"}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_request_survives_json_and_pickle(kind: str) -> None:
    request = parse({"kind": kind, **EXAMPLES[kind]})
    assert parse(json.loads(request.model_dump_json())) == request
    assert pickle.loads(pickle.dumps(request)) == request


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 513}, "Width must be a multiple of 8 between 64 and 2048, not 513."),
        ({"width": 0}, "Width must be a multiple of 8 between 64 and 2048, not 0."),
        ({"height": "abc"}, "Height must be a multiple of 8 between 64 and 2048, not 'abc'."),
        ({"steps": 10_000}, "Steps must be a whole number between 1 and 150, not 10000."),
        ({"guidance_scale": float("inf")}, "Guidance scale must be a number between 1 and 30, not inf."),
        ({"guidance_scale": float("nan")}, "Guidance scale must be a number between 1 and 30, not nan."),
        ({"seed": 2**64}, "Seed must be a whole number between 0 and 4294967295, not 18446744073709551616."),
        ({"batch": 0}, "Pictures must be a whole number between 1 and 16, not 0."),
        ({"prompt": " \n "}, "Prompt is empty."),
        ({"prompt": "x" * 50_000}, "Prompt is too long (50,000 of 2,000 characters)."),
        (
            {"more_controls": [{"picture": PICTURE}, {"picture": PICTURE, "scale": 3}]},
            "Control strength must be a number between 0 and 2, not 3.",
        ),
        ({"loras": [{"name": "a", "weight": 9}]}, "Weight must be a number between -4 and 4, not 9."),
    ],
)
def test_values_out_of_bounds_name_the_value_and_the_range(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        parse({"kind": "text_to_image", "prompt": "a", **values})
    assert error.value.message == message
    assert error.value.field == next(iter(values))


def test_unknown_kinds_and_settings_suggest_the_nearest_names() -> None:
    with pytest.raises(UnknownName, match='Did you mean "text_to_image"'):
        parse({"kind": "text_to_imag", "prompt": "a"})
    with pytest.raises(UnknownName, match='"guidance_scale"'):
        parse({"kind": "text_to_image", "prompt": "a", "guidance": 3})


@pytest.mark.parametrize("empty", ["", "-1", -1, None])
def test_an_empty_seed_is_drawn_once_and_stays_in_the_recipe(empty: object) -> None:
    request = parse({"kind": "text_to_image", "prompt": "a", "seed": empty})
    assert isinstance(request, TextToImage)
    assert 0 <= request.seed <= MAX_SEED
    assert parse(request.model_dump()) == request


def test_requests_cannot_be_changed_only_copied() -> None:
    request = TextToImage(prompt="a", seed=1)
    with pytest.raises(ValueError, match="frozen"):
        request.seed = 2  # type: ignore[misc]
    assert request.with_changes(seed=2) == TextToImage(prompt="a", seed=2)
    with pytest.raises(InvalidRequest):
        request.with_changes(steps=0)


def test_sliders_and_flags_read_the_bounds_that_validation_uses() -> None:
    spec = field_spec(TextToImage, "width")
    assert (spec.minimum, spec.maximum, spec.step, spec.default) == (64, 2048, 8, 256)
    for limit in (spec.minimum, spec.maximum):
        parse({"kind": "text_to_image", "prompt": "a", "width": limit})


@given(st.text(alphabet=st.characters(codec=None), max_size=50))
def test_cleaned_text_can_always_be_stored_and_is_clean(text: str) -> None:
    cleaned, removed = clean_text(text)
    cleaned.encode("utf-8")
    assert "\0" not in cleaned
    assert removed >= 0
    assert clean_text(cleaned) == (cleaned, 0)


def test_emoji_and_chinese_pass_unchanged() -> None:
    prompt = "👩‍🚀 一只红苹果 🏳️‍🌈"
    assert clean_text(prompt) == (prompt, 0)
