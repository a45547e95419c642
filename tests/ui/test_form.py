"""Controls derived from a request, and the way back."""

from __future__ import annotations

import gradio as gr
import pytest

from studio.errors import InvalidRequest
from studio.fields import field_spec
from studio.requests import TextToImage
from studio.ui.form import Form
from studio.ui.presets import quality_of, size_title
from studio.ui.studio import ModelCard, Quality


@pytest.fixture
def form() -> Form:
    made = Form(TextToImage)
    with gr.Blocks(analytics_enabled=False):
        made.textbox("prompt")
        made.slider("steps", maximum=100)
        made.slider("width")
        made.textbox("seed")
    return made


def test_a_slider_offers_what_the_request_allows(form: Form) -> None:
    width, spec = form.controls["width"], field_spec(TextToImage, "width")
    assert (width.minimum, width.maximum, width.step) == (spec.minimum, spec.maximum, spec.step)  # type: ignore[attr-defined]
    assert form.controls["steps"].maximum == 100  # type: ignore[attr-defined]


def test_values_become_a_request_and_a_request_becomes_values(form: Form) -> None:
    values = {"prompt": "a red apple", "steps": 12, "width": 320, "seed": "7"}
    request = form.read(values)
    assert isinstance(request, TextToImage)
    assert (request.steps, request.width, request.seed) == (12, 320, 7)
    assert form.fill(request.model_dump(mode="json")) == ["a red apple", 12, 320, "7"]


def test_an_empty_seed_draws_one(form: Form) -> None:
    values = {"prompt": "a red apple", "steps": 12, "width": 320, "seed": ""}
    assert form.read(values).seed != form.read(values).seed  # type: ignore[attr-defined]


def test_what_is_wrong_is_said_with_the_value_and_the_range(form: Form) -> None:
    with pytest.raises(InvalidRequest, match=r"Width must be a multiple of 8 between 64 and 2048, not 321"):
        form.read({"prompt": "a red apple", "steps": 12, "width": 321, "seed": ""})


def test_a_damaged_recipe_leaves_the_controls_as_they_are(form: Form) -> None:
    assert all(value.get("__type__") == "update" for value in form.fill({"kind": "text_to_image", "steps": "many"}))


def test_a_model_without_the_wished_quality_gives_its_own() -> None:
    only = Quality(4, 1.0, "lcm")
    card = ModelCard("m", "M", ((64, 64),), {"lcm": "LCM"}, {"draft": only})
    assert quality_of(card, "fine") is only
    assert size_title((640, 480)) == "640 × 480"
