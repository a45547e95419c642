"""Another autoencoder (VAE) in a Stable Diffusion model's place: chosen for a run, the model's own put back after it.

A run equals the stock pipeline with `vae=`, bit for bit on the CPU in float32 (a test holds it). Live previews stay
those of the model's own autoencoder: both read the same latents.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from studio.engine.addons import AddOn, find_addon
from studio.engine.checksums import Checksums
from studio.engine.store import Loaded
from studio.errors import ModelError
from studio.events import Loading


class AutoencoderRack:
    """A model's own autoencoder, and the one chosen last, which stays loaded.

    Args:
        own: The model's.
    """

    def __init__(self, own: torch.nn.Module) -> None:
        self.own = own
        self._checksum, self._chosen = "", own

    @property
    def all(self) -> tuple[torch.nn.Module, ...]:
        """The autoencoders in memory, the model's own first."""
        return (self.own,) if self._chosen is self.own else (self.own, self._chosen)

    def load(self, addon: AddOn, checksum: str, model: Any) -> Generator[Loading, None, torch.nn.Module]:
        """Yield Loading unless it is here; return the autoencoder, ready to be used by `model`. Raises ModelError."""
        if checksum != self._checksum:
            from studio.engine.families.addon_parts import load_autoencoder

            yield Loading(f"VAE {addon.id}")
            self._chosen, self._checksum = load_autoencoder(addon, model), checksum
        return self._chosen


def with_autoencoder(
    loaded: Loaded, name: str, *, folders: Sequence[Path], checksums: Checksums
) -> Generator[Loading, None, Loaded]:
    """Yield Loading while an autoencoder is loaded; return the model with the one called `name` (empty: its own).

    Args:
        folders: Where autoencoders are looked for.

    Raises:
        UnknownName, ModelError: There is no such autoencoder, or it does not fit the model.
    """
    model = loaded.model
    if loaded.card.family != "stable_diffusion":
        if name:
            raise ModelError(f"{loaded.card.name} has only its own autoencoder.", "Leave the VAE out.")
        return loaded
    if not name:
        model.use_autoencoder(model.autoencoders.own)
        return loaded
    addon = find_addon(folders, "vae", name)
    checksum = checksums.of(addon.path)
    chosen = yield from model.autoencoders.load(addon, checksum, model)
    model.use_autoencoder(chosen)
    return replace(loaded, vae={"name": addon.id, "checksum": checksum})
