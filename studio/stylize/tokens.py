"""Tokens: the content's codes redrawn with the codes that the style pictures use; instant on a CPU.

How codes find their partners (nearest, matched histogram, optimal transport) is `studio.codebook.palettes`;
here several references become one palette, and the result is decoded.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence

from PIL import Image
from pydantic import ValidationError

from studio.codebook.atlas import open_atlas
from studio.codebook.palettes import Method, Palette, transfer
from studio.codebook.vqgan import Vqgan
from studio.errors import InvalidRequest
from studio.events import Decoding, Loading, Step
from studio.inpaint.context import Context
from studio.requests import Stylize
from studio.stylize.task import Outcome, ShouldStop, Stage, Task


def given_palette(vqgan: Vqgan, request: Stylize) -> Palette:
    """Return the request's own palette.

    Raises:
        InvalidRequest: It is not a palette, or of another codebook.
    """
    try:
        palette = Palette.model_validate(request.palette)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise InvalidRequest(
            f"That is not a palette: {'.'.join(map(str, problem['loc']))} {problem['msg'].lower()}.",
            "Send it from the Codebook tab again.",
            field="palette",
        ) from error
    palette.check(vqgan.checksum, vqgan.codebook_size)
    return palette


def palette_of(vqgan: Vqgan, references: Sequence[Image.Image], weights: Sequence[float]) -> Palette:
    """Return the codes of all `references`, each picture counted by its weight whatever its size."""
    total = sum(weights)
    shares: defaultdict[int, float] = defaultdict(float)
    for picture, weight in zip(references, weights, strict=True):
        palette = Palette.of(vqgan.encode(picture))
        for code, share in zip(palette.codes, palette.weights, strict=True):
            shares[code] += share * weight / total
    kept = [(code, share) for code, share in sorted(shares.items(), key=lambda item: -item[1]) if share > 0]
    return Palette(
        checksum=vqgan.checksum, codes=tuple(code for code, _ in kept), weights=tuple(share for _, share in kept)
    )


def run_nearest(task: Task, context: Context, should_stop: ShouldStop) -> Stage:
    """Method "tokens_nearest": each token becomes the palette's most similar one."""
    return _run(task, context, should_stop, method="nearest")


def run_histogram(task: Task, context: Context, should_stop: ShouldStop) -> Stage:
    """Method "tokens_histogram": ranked by lightness, equal ranks meet."""
    return _run(task, context, should_stop, method="histogram")


def run_transport(task: Task, context: Context, should_stop: ShouldStop) -> Stage:
    """Method "tokens": optimal transport."""
    return _run(task, context, should_stop, method="transport")


def _run(task: Task, context: Context, should_stop: ShouldStop, *, method: Method) -> Stage:
    yield Loading("VQGAN")
    vqgan = context.vqgan(task.request.model)
    yield Loading("the colours of the codes")
    space = open_atlas(vqgan, context.cache_dir).space(vqgan.vectors)
    began = time.perf_counter()
    request = task.request
    palette = given_palette(vqgan, request) if request.palette else palette_of(vqgan, task.references, task.weights)
    yield Step(1, 3, seconds=time.perf_counter() - began)
    if should_stop():
        return None
    tokens = vqgan.encode(task.content)
    yield Step(2, 3, seconds=time.perf_counter() - began)
    if should_stop():
        return None
    codes = transfer(tokens.codes, palette, space, method=method, strength=request.strength)
    yield Decoding()
    picture = vqgan.decode(tokens.with_codes(codes))
    yield Step(3, 3, preview=picture, seconds=time.perf_counter() - began)
    changed = int((codes != tokens.codes).sum())
    return Outcome(
        (picture,),
        facts={"vqgan": vqgan.name, "vqgan_checksum": vqgan.checksum},
        notes=(f"{changed:,} of {codes.size:,} tokens were redrawn with {len(palette.codes)} codes.",),
    )
