"""What suits a method where nobody chose: its own grow and feather, and its model's standard preset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from studio.engine.catalog import ModelCard, Scan
from studio.engine.priors import prior_for
from studio.inpaint.methods import find_method


def standard_settings(method: str, scan: Callable[[], Scan], model_id: str = "") -> dict[str, Any]:
    """Return the fields of Inpaint that suit `method`.

    Args:
        method: Its name.
        scan: Returns the models there are; asked only for methods that need one.
        model_id: Which of them; "" is the default.

    Raises:
        UnknownName: There is no such method or model.
        ModelError: There is no model that can do it.
    """
    chosen = find_method(method)
    if not chosen.needs_model:
        return dict(chosen.suits)
    preset = _model(method, scan(), model_id).preset("standard")
    own = {"steps": preset.steps, "scheduler": preset.scheduler, "guidance_scale": preset.guidance_scale}
    return {**own, **chosen.suits}


def _model(method: str, models: Scan, model_id: str) -> ModelCard:
    return prior_for(models, model_id)[0] if method == "tokens" else models.find(model_id)
