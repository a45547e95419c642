"""Who runs which kind of request, beside text to image, which the engine runs itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import torch

from studio.codebook.draw import run_draw_tokens
from studio.codebook.find import resolve
from studio.codebook.run import Studio as CodebookStudio
from studio.codebook.run import run_edit_tokens, run_reconstruct
from studio.codebook.vqgan import Vqgan
from studio.engine.device import DeviceChoice, choose_device, has_fast_bfloat16
from studio.engine.engine import Engine, Handler, ShouldStop
from studio.enhance.networks import Networks
from studio.enhance.upscale import run_upscale
from studio.enhance.walk import run_walk
from studio.errors import UnknownName
from studio.events import Event
from studio.film.fork import run_fork, run_keep_film, run_timelapse
from studio.inpaint.context import Context
from studio.inpaint.run import run_inpaint
from studio.requests import (
    DrawTokens,
    EditTokens,
    Fork,
    Inpaint,
    KeepFilm,
    Reconstruct,
    Request,
    Stylize,
    Timelapse,
    Upscale,
    Walk,
)
from studio.settings import Settings
from studio.stylize.run import run_stylize


class Codebooks:
    """The VQGANs in use, each loaded once; asked from the engine's thread and the page's."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loaded: dict[Path, Vqgan] = {}
        self._guard = threading.Lock()

    def load(self, model_id: str) -> Vqgan:
        """Return the VQGAN called `model_id`, or the first there is.

        Raises:
            ModelError: There is none, or it is damaged.
            UnknownName: None has this name; the nearest are suggested.
        """
        folder = resolve(model_id, self._settings.checkpoint_folders)
        with self._guard:
            if folder not in self._loaded:
                choice = choose_device(self._settings)
                self._loaded[folder] = Vqgan.load(folder, device=choice.device, dtype=_decoder_dtype(choice))
            return self._loaded[folder]

    def load_or_default(self, model_id: str) -> Vqgan:
        """Return the VQGAN of `model_id`, or the first there is for a model that has none."""
        try:
            return self.load(model_id)
        except UnknownName:
            return self.load("")


def _decoder_dtype(choice: DeviceChoice) -> torch.dtype:
    """Return the decoder's dtype: painting waits for it, and bfloat16 is several times faster where the CPU has it."""
    if choice.dtype:
        return getattr(torch, choice.dtype)
    return torch.bfloat16 if has_fast_bfloat16() else torch.float32


def handlers(settings: Settings, codebooks: Codebooks | None = None) -> dict[type[Request], Handler]:
    """Return the handlers of every kind of request that the engine does not run itself."""
    codebooks, networks = codebooks or Codebooks(settings), Networks(settings)

    def studio(engine: Engine) -> CodebookStudio:
        return CodebookStudio(codebooks.load, engine.read_picture, settings.cache_dir)

    def reconstruct(engine: Engine, request: Reconstruct, should_stop: ShouldStop) -> Iterator[Event]:
        yield from run_reconstruct(request, studio(engine))

    def edit_tokens(engine: Engine, request: EditTokens, should_stop: ShouldStop) -> Iterator[Event]:
        yield from run_edit_tokens(request, studio(engine))

    def stylize(engine: Engine, request: Stylize, should_stop: ShouldStop) -> Iterator[Event]:
        yield from run_stylize(request, Context.of(engine, codebooks.load_or_default), should_stop)

    def inpaint(engine: Engine, request: Inpaint, should_stop: ShouldStop) -> Iterator[Event]:
        yield from run_inpaint(request, Context.of(engine, codebooks.load_or_default), should_stop)

    def draw_tokens(engine: Engine, request: DrawTokens, should_stop: ShouldStop) -> Iterator[Event]:
        yield from run_draw_tokens(request, engine, codebooks.load, should_stop)

    def fork(engine: Engine, request: Fork, should_stop: ShouldStop) -> Iterator[Event]:
        yield from run_fork(engine, request, should_stop, Context.of(engine, codebooks.load_or_default))

    def timelapse(engine: Engine, request: Timelapse, should_stop: ShouldStop) -> Iterator[Event]:
        yield from run_timelapse(engine, request, should_stop, Context.of(engine, codebooks.load_or_default))

    def keep_film(engine: Engine, request: KeepFilm, should_stop: ShouldStop) -> Iterator[Event]:
        yield from run_keep_film(engine, request, should_stop, Context.of(engine, codebooks.load_or_default))

    def upscale(engine: Engine, request: Upscale, should_stop: ShouldStop) -> Iterator[Event]:
        yield from run_upscale(engine, request, should_stop, networks=networks)

    return {
        Reconstruct: reconstruct,
        EditTokens: edit_tokens,
        DrawTokens: draw_tokens,
        Stylize: stylize,
        Inpaint: inpaint,
        Fork: fork,
        Timelapse: timelapse,
        KeepFilm: keep_film,
        Upscale: upscale,
        Walk: run_walk,
    }
