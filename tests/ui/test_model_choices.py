"""What Enhance and Inpaint ask for: models that can do it, and a film at the size of the chosen one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from studio.requests import Walk
from studio.ui.form import Form
from studio.ui.inpaint_form import InpaintForm
from studio.ui.presets import NO_MODEL, Cards
from studio.ui.tabs.enhance import _can_enhance, _sizes, _walk

SMALL = replace(NO_MODEL, id="small", sizes=((256, 256), (320, 192)))
LARGE = replace(NO_MODEL, id="large", sizes=((1024, 1024), (1280, 768)))


def walk(model: str, size: str | None) -> Walk:
    values: dict[str, Any] = {"model": model, "vae": "", "guidance_scale": 4, "scheduler": "ddim"}
    values |= {"negative_prompt": "", "walk_prompt": "a", "walk_size": size}
    form = Form(Walk)
    form.textbox("prompt")
    request = _walk(form, values, Cards(lambda: [SMALL, LARGE]))
    assert isinstance(request, Walk)
    return request


def test_a_walk_has_the_size_that_is_chosen_or_else_the_models_own() -> None:
    made = {
        (model, size): walk(model, size) for model in ("small", "large") for size in ("320 × 192", "1280 × 768", None)
    }
    sizes = {key: (request.width, request.height) for key, request in made.items()}
    assert sizes[("small", "320 × 192")] == (320, 192) and sizes[("large", "1280 × 768")] == (1280, 768)
    assert sizes[("large", "320 × 192")] == sizes[("large", None)] == (1024, 1024)
    assert sizes[("small", "1280 × 768")] == (256, 256)
    assert _sizes(LARGE) == {"choices": ["1024 × 1024", "1280 × 768"], "value": "1024 × 1024"}


def test_only_models_that_repaint_and_mix_prompts_are_offered() -> None:
    others = [replace(SMALL, **{trait: True}) for trait in ("is_inpainting", "draws_tokens", "is_stock")]
    assert [_can_enhance(card) for card in (SMALL, *others)] == [True, False, False, False]


def test_inpaint_offers_no_model_that_makes_pictures_from_prompts_alone() -> None:
    stock, prior = replace(LARGE, id="stock", is_stock=True), replace(SMALL, id="prior", draws_tokens=True)
    masks = replace(SMALL, id="masks", is_inpainting=True)
    form = InpaintForm(lambda: [SMALL, stock, prior, masks])
    assert [card.id for card in form.models_for("diffusion")] == ["masks", "small"]
    assert [card.id for card in form.models_for("tokens")] == ["prior"]
