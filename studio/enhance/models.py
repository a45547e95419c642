"""Which models can refine a picture or walk between prompts: those that take noise away in the studio's own loop."""

from __future__ import annotations

from studio.engine.catalog import ModelCard
from studio.engine.engine import Engine
from studio.errors import ModelError


def model_for_enhancing(engine: Engine, model_id: str) -> ModelCard:
    """Return the card of `model_id` (empty: the default), before anything of it is loaded.

    Raises:
        UnknownName: There is no such model.
        ModelError: It is run by a stock pipeline, draws tokens, or needs a mask.
    """
    card = engine.scan().find(model_id)
    card.check_loop()
    if card.is_inpainting:
        raise ModelError(f"{card.name} is an inpainting model.", "Use it in the Inpaint tab, or choose another model.")
    return card
