"""Which requests can be made at once: prompts for the same model, size, autoencoder and LoRAs. Knows no torch."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from studio.engine.catalog import scan
from studio.engine.prompt_addons import cut_loras, together
from studio.errors import StudioError
from studio.prompt.spoken import spoken
from studio.prompt.wildcards import SHIPPED, WordLists
from studio.requests import Request, TextToImage
from studio.settings import Settings


@dataclass(frozen=True, slots=True)
class Form:
    """What runs at once share: one call predicts them, and a LoRA or an autoencoder changes the model for all."""

    model: str
    size: tuple[int, int]
    vae: str
    loras: tuple[tuple[str, float], ...]


class Forms:
    """The form of requests, with a studio's models and word lists."""

    def __init__(self, settings: Settings) -> None:
        self._folders = settings.checkpoint_folders
        self._lists = WordLists((SHIPPED, settings.data_dir / "wildcards"))

    def __call__(self, request: Request) -> Hashable | None:
        """Return the form of `request`; None for one that runs alone.

        Alone run: everything but prompts, what a control picture steers, models that run through a stock pipeline,
        and requests with a fault, which their own run tells.
        """
        if not isinstance(request, TextToImage) or request.control is not None:
            return None
        try:
            card = scan(self._folders).find(request.model)
            said = spoken(request, seed=request.seed, lists=self._lists)
            named = [use for side in (said.prompt, said.negative_prompt) for use in cut_loras(side)[1]]
            uses = together((*named, *request.loras))
        except StudioError:
            return None
        if card.family == "pipeline":
            return None
        loras = tuple((use.name, use.weight) for use in uses)
        return Form(card.id, (request.width, request.height), request.vae, loras)
