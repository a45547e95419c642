"""Who runs which kind of request, beside text to image, which the engine runs itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from studio.codebook.run import Studio as CodebookStudio
from studio.codebook.run import run_edit_tokens, run_reconstruct
from studio.codebook.vqgan import Vqgan
from studio.engine.catalog import scan
from studio.engine.engine import Engine, Handler, ShouldStop
from studio.errors import ModelError, UnknownName
from studio.events import Event
from studio.requests import EditTokens, Reconstruct, Request
from studio.settings import Settings


@dataclass(slots=True)
class Codebooks:
    """The VQGANs that are loaded, by model id: a diffusion model's own, or one that stands alone."""

    settings: Settings
    loaded: dict[Path, Vqgan] = field(default_factory=dict)

    def find(self, model_id: str) -> Path:
        """Return the folder of the VQModel that `model_id` names; empty is the first there is.

        Raises:
            ModelError: No model here has a codebook.
            UnknownName: There is no such model; the nearest are suggested.
        """
        folders = {card.id: card.path for card in scan(self.settings.checkpoint_folders).models}
        with_codes = {name: path / "vqvae" for name, path in folders.items() if (path / "vqvae").is_dir()}
        if not with_codes:
            raise ModelError("No model here has a codebook.", "Convert a VQGAN with: studio models convert.")
        if model_id and model_id not in with_codes:
            raise UnknownName("model with a codebook", model_id, with_codes, field="model")
        return with_codes[model_id] if model_id else next(iter(with_codes.values()))

    def load(self, model_id: str) -> Vqgan:
        """Return the VQGAN that `model_id` names, loaded once."""
        folder = self.find(model_id)
        if folder not in self.loaded:
            self.loaded[folder] = Vqgan.load(folder)
        return self.loaded[folder]


def handlers(settings: Settings) -> dict[type[Request], Handler]:
    """Return the handlers of every kind of request that the engine does not run itself."""
    codebooks = Codebooks(settings)

    def studio(engine: Engine) -> CodebookStudio:
        return CodebookStudio(codebooks.load, engine.read_picture, settings.cache_dir)

    def reconstruct(engine: Engine, request: Reconstruct, should_stop: ShouldStop) -> Iterator[Event]:
        yield from run_reconstruct(request, studio(engine))

    def edit_tokens(engine: Engine, request: EditTokens, should_stop: ShouldStop) -> Iterator[Event]:
        yield from run_edit_tokens(request, studio(engine))

    return {Reconstruct: reconstruct, EditTokens: edit_tokens}
