"""Tokens in the masked part: the masked-token prior of a VQGAN draws them anew, seeing all the others.

The mask is grown to whole cells of the token grid. What is decoded around them stays outside the final mask, and so
out of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import torch
from PIL import Image

from studio.engine.denoise import LoopOptions, Start
from studio.engine.images import to_tensor
from studio.engine.maskgit import HIDDEN
from studio.engine.noise import generators_of, seeds_of
from studio.engine.priors import prior_for
from studio.events import Event
from studio.inpaint.canvas import Canvas, filled, shown_in_place
from studio.inpaint.context import Context
from studio.inpaint.geometry import working_size
from studio.inpaint.methods import Painted
from studio.inpaint.repaint import latent_mask
from studio.requests import Inpaint

# A fork takes up a run of the request's own model with its own scheduler; here both are the prior's.
NO_FILM = "Drawn tokens have no film and cannot be forked: change a setting and draw anew, or paint by diffusion."


def run(
    canvas: Canvas, request: Inpaint, context: Context, should_stop: Callable[[], bool]
) -> Generator[Event, None, Painted | None]:
    """Method "tokens": each cell of the mask is drawn anew with its strength as the chance.

    Raises:
        ModelError: No model has a prior.
    """
    card, is_own = prior_for(context.engine.scan(), request.model)
    loaded = yield from context.engine.store.get(card)
    side = request.size or round(math.sqrt(card.width * card.height))
    size = working_size(canvas.box.width, canvas.box.height, side=side, multiple=card.grid)
    crop, strength = canvas.crop(size)
    start = Image.fromarray(filled(crop, strength, request))
    chances = request.strength * (strength if request.soft else (strength > 0).astype(np.float32))
    asked = request
    if request.scheduler not in [choice.id for choice in card.schedulers]:  # it is for a diffusion model
        asked = request.model_copy(update={"scheduler": card.schedulers[0].id})
    loop = context.engine.sample(
        loaded,
        asked,
        *size,
        should_stop=should_stop,
        options=partly_hidden(loaded.model, start, chances, seeds=seeds_of(request.seed, request.batch)),
    )
    result = yield from shown_in_place(canvas, loop, count=request.batch)
    if result is None:
        return None
    whose = () if is_own else (f"Drawn with the tokens of {card.name}.",)
    notes = (*result.notes, *whose, NO_FILM)
    pictures = tuple(np.asarray(picture.convert("RGB")) for picture in result.images)
    return Painted(pictures, result.seeds, result.facts, notes)


@torch.inference_mode()
def partly_hidden(
    model: Any, picture: Image.Image, chances: np.ndarray[Any, Any], *, seeds: tuple[int, ...]
) -> LoopOptions:
    """Return what the loop begins from: the tokens of `picture`, some hidden, one row for each seed.

    Args:
        model: A loaded prior.
        picture: RGB, on the model's grid.
        chances: (h, w) in [0, 1] per pixel; a cell takes its largest, and at least one cell is hidden.
    """
    known = model.encode(to_tensor(picture, device=model.device))  # (1, 1, h, w)
    cells = latent_mask(chances, known)
    rows = []
    for generator in generators_of(seeds):
        luck = torch.rand(cells.shape, generator=generator).to(cells.device)  # in [0, 1): a chance of 1 always wins
        hidden = luck < cells
        if not hidden.any():
            hidden = (luck - cells) == (luck - cells).min()
        rows.append(known.masked_fill(hidden, HIDDEN))
    return LoopOptions(start=Start(torch.cat(rows), strength=1.0))
