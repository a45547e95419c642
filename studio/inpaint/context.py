"""What a run of inpainting or style transfer needs from the layers around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from studio.codebook.vqgan import Vqgan
    from studio.engine.engine import Engine
    from studio.engine.replay import TakeUp


@dataclass(frozen=True, slots=True)
class Context:
    """The studio, as far as these runs see it.

    Attributes:
        engine: Loads models and runs the denoising loop.
        read_picture: Content hash -> picture; raises InvalidPicture.
        vqgan: Model id -> its VQGAN, or the default one where the model has none; raises ModelError.
        cache_dir: Where things live that can be made again.
        model_folders: Where adapters are looked for.
        take_up: The denoising run to go on with, instead of beginning anew (a fork).
    """

    engine: Engine
    read_picture: Callable[[str], Image.Image]
    vqgan: Callable[[str], Vqgan]
    cache_dir: Path = field(default_factory=lambda: Path("cache"))
    model_folders: Iterable[Path] = ()
    take_up: TakeUp | None = None

    @classmethod
    def of(cls, engine: Engine, vqgan: Callable[[str], Vqgan]) -> Context:
        """Return the context around `engine`, with `vqgan` to open VQGANs by model id."""
        settings = engine.settings
        return cls(engine, engine.read_picture, vqgan, settings.cache_dir, settings.checkpoint_folders)
