"""Tokens from a VQGAN's masked-token prior: new pictures, and alternatives for some tokens of a map.

Runs in the engine's one loop, as every prompt does: the tokens that stay are known from the first step on. Nothing is
recorded: `Finished` has no pictures, and `extras` holds {"tokens": share strings, "codes": (n, h, w) int32,
"pictures": (n, H, W, 3) uint8}, one for each seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from studio.codebook.cells import mask_of
from studio.codebook.find import resolve
from studio.codebook.share import share, unshare
from studio.codebook.tokens import TokenMap
from studio.codebook.vqgan import Vqgan
from studio.engine.denoise import LoopOptions, Start
from studio.engine.maskgit import HIDDEN
from studio.engine.priors import prior_in
from studio.errors import InvalidRequest
from studio.events import Event, Finished
from studio.requests import DrawTokens

if TYPE_CHECKING:
    from studio.engine.engine import Engine

NONE_CHOSEN = "No tokens are selected to draw anew."


def run_draw_tokens(
    request: DrawTokens, engine: Engine, load: Callable[[str], Vqgan], should_stop: Callable[[], bool]
) -> Iterator[Event]:
    """Yield the events of a draw; `load` opens the VQGAN of a model id.

    Raises:
        InvalidRequest: No cell is chosen, one lies outside the map, or the map belongs to another model.
        ModelError: The VQGAN has no prior.
    """
    folder = resolve(request.model, engine.settings.checkpoint_folders)
    card = prior_in(engine.scan(), folder)
    loaded = yield from engine.store.get(card)
    vqgan = load(request.model)
    start = unshare(request.tokens, checksum=vqgan.checksum) if request.tokens else None
    if start is not None:
        vqgan.check(start)
        rows, columns = start.shape
    else:
        rows, columns = -(-request.height // vqgan.factor), -(-request.width // vqgan.factor)
    if not request.prompt.strip():
        request = request.model_copy(update={"guidance_scale": 1.0})  # nothing to follow: half the work
    result = yield from engine.sample(
        loaded,
        request,
        columns * vqgan.factor,
        rows * vqgan.factor,
        should_stop=should_stop,
        options=_options(start, request.cells),
    )
    if result is None:
        return
    codes = result.latents[:, 0].astype(np.int32) - 1  # (n, h, w)
    size = start.size if start is not None else (request.width, request.height)
    pictures = [np.asarray(image)[: size[1], : size[0]] for image in result.images]
    yield Finished(
        images=(),
        seeds=result.seeds,
        seconds=result.seconds,
        facts=result.facts,
        notes=result.notes,
        extras={
            "tokens": [share(vqgan.token_map(grid, size)) for grid in codes],
            "codes": codes,
            "pictures": np.stack(pictures),
        },
    )


def _options(start: TokenMap | None, cells: tuple[tuple[int, int], ...] | None) -> LoopOptions | None:
    """Return what the loop begins from: `start` with `cells` hidden, or everything hidden."""
    if cells is not None and not cells:
        raise InvalidRequest(NONE_CHOSEN, "Select a part of the picture first.", field="cells")
    if start is None or cells is None:
        return None
    known = torch.from_numpy(start.codes.astype(np.float32)) + 1  # (h, w)
    known[torch.from_numpy(mask_of(cells, start.shape))] = HIDDEN
    return LoopOptions(start=Start(known[None, None], strength=1.0))
