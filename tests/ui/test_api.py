"""/generate: the same request sent by a program gives the same picture."""

from __future__ import annotations

import base64
import io

import pytest
from fake_engine import picture
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image, ImageChops
from studio_page import CARD, Opened

from studio.requests import TextToImage
from studio.ui.api import complete


@pytest.fixture
def client(opened: Opened) -> Client:
    return Client(opened.address, verbose=False)


def test_a_request_gives_its_picture_and_what_made_it(client: Client) -> None:
    recipe = {"kind": "text_to_image", "prompt": "a red apple", "seed": 5, "steps": 3, "width": 64, "height": 64}
    answer = client.predict(recipe, api_name="/generate")
    wanted = picture(TextToImage.model_validate(recipe), 0, 1.0)
    got = Image.open(io.BytesIO(base64.b64decode(answer["pictures"][0]["png"])))
    assert ImageChops.difference(wanted, got).getbbox() is None
    assert answer["pictures"][0]["seed"] == 5
    assert answer["request"]["steps"] == 3


def test_what_is_wrong_reaches_the_program_in_plain_words(client: Client) -> None:
    with pytest.raises(AppError, match="Steps must be a whole number between 1 and 150, not 1000"):
        client.predict({"prompt": "a red apple", "steps": 1000}, api_name="/generate")
    with pytest.raises(AppError, match="There is not enough memory"):
        client.predict({"prompt": "out of memory"}, api_name="/generate")


def test_only_the_programming_interface_is_listed(client: Client) -> None:
    assert list(client.view_api(return_format="dict")["named_endpoints"]) == ["/generate"]


def test_a_short_recipe_gets_its_models_own_size_and_settings() -> None:
    filled = complete({"prompt": "a red apple"}, [CARD])
    assert (filled["model"], filled["width"], filled["steps"]) == ("fake-256", 256, 20)
    assert complete({"prompt": "a red apple", "steps": 3}, [CARD])["steps"] == 3
    assert complete({"prompt": "a red apple", "model": "other"}, [CARD]) == {
        "kind": "text_to_image",
        "prompt": "a red apple",
        "model": "other",
    }
