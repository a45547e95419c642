"""What suits a method where nobody chose, and the benchmark that runs every method with it."""

from __future__ import annotations

import pytest

from studio.bench.inpaint import time_methods
from studio.errors import ModelError, UnknownName
from studio.inpaint.context import Context
from studio.inpaint.methods import METHODS, find_method
from studio.inpaint.standard import standard_settings


def test_repair_fills_exactly_what_is_painted() -> None:
    """Grown and feathered it is 8 dB further from the truth on scratches (assets/docs/inpainting.md)."""
    for method in METHODS:
        exact = {"grow": 0, "feather": 0}
        assert (dict(method.suits) == exact) is not method.needs_model


def test_a_method_with_a_model_takes_the_models_own_preset(context: Context) -> None:
    preset = context.engine.scan().find("tiny-sd").preset("standard")
    assert standard_settings("diffusion", context.engine.scan, "tiny-sd") == {
        "steps": preset.steps,
        "scheduler": preset.scheduler,
        "guidance_scale": preset.guidance_scale,
    }


def test_tokens_without_a_prior_and_an_unknown_method_are_explained(context: Context) -> None:
    with pytest.raises(ModelError, match="prior"):
        standard_settings("tokens", context.engine.scan)
    with pytest.raises(UnknownName, match="telea"):
        standard_settings("tela", context.engine.scan)


def test_every_method_that_can_run_is_timed_and_the_others_say_why(context: Context) -> None:
    figures = time_methods(context, 2, methods=[find_method("telea"), find_method("tokens")], sides=(64,))
    assert figures["64"]["telea"]["rounds"] == 2 and figures["64"]["telea"]["median_seconds"] > 0
    assert "prior" in figures["without tokens"] and "tokens" not in figures["64"]
