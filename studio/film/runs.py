"""The runs whose steps are kept: pictures from prompts, inpainting and style transfer by diffusion.

Each can be run again from its recipe, or be taken up from one of its steps with other settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias

from studio.engine.engine import Engine, ShouldStop, text_to_image
from studio.engine.replay import TakeUp
from studio.errors import InvalidRequest
from studio.events import Event
from studio.inpaint.context import Context
from studio.inpaint.run import run_inpaint
from studio.requests import Controlled, Fork, Inpaint, Request, Stylize, TextToImage, parse
from studio.stylize.methods import DENOISING
from studio.stylize.run import run_stylize

Root: TypeAlias = TextToImage | Inpaint | Stylize

_DEEPEST = 16  # forks of forks
_FIXED = frozenset({"kind", "version", "batch"})


def root_of(request: Request) -> Root:
    """Return the run that `request` is, or is a fork of.

    Raises:
        InvalidRequest: It has no steps that are kept, or is forked too often.
    """
    for _ in range(_DEEPEST + 1):
        if not isinstance(request, Fork):
            return _checked(request)
        request = parse(request.parent)
    raise InvalidRequest(f"This is a fork of more than {_DEEPEST} forks.", "Fork one of the earlier runs.")


def changed(root: Root, request: Fork) -> Root:
    """Return `root` with the settings of its fork; raises InvalidRequest where they are none for it."""
    names = (Controlled.model_fields.keys() & type(root).model_fields.keys()) - _FIXED
    new = root.with_changes(**{name: getattr(request, name) for name in names})
    assert isinstance(new, TextToImage | Inpaint | Stylize)
    return new


def run_root(
    engine: Engine, root: Root, context: Context, should_stop: ShouldStop, take_up: TakeUp | None = None
) -> Iterator[Event]:
    """Yield the events of `root`, from its beginning or, with `take_up`, from one of the steps of another run."""
    if isinstance(root, TextToImage):
        return text_to_image(engine, root, should_stop, take_up)
    context = replace(context, take_up=take_up)
    if isinstance(root, Inpaint):
        return run_inpaint(root, context, should_stop)
    return run_stylize(root, context, should_stop)


def _checked(request: Request) -> Root:
    match request:
        case TextToImage():
            return request
        case Inpaint(method="diffusion") if request.strength:
            return request
        case Stylize() if request.strength and sum(name in DENOISING for name in request.methods) == 1:
            return request
        case Inpaint() | Stylize():
            raise InvalidRequest(
                "This picture was not made in steps that are kept, so it cannot be forked.",
                "Fork one that was painted by diffusion.",
            )
    raise InvalidRequest(
        f'A run of the kind "{getattr(request, "kind", "?")}" cannot be forked.', "Fork a picture made by diffusion."
    )
