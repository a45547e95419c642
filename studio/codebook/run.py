"""Engine events for `Reconstruct` and `EditTokens`: what the engine dispatches to.

What belongs to other layers comes as callables: `load(model_id) -> Vqgan` and `open_picture(ref) -> Image`.
`Finished.extras` holds {"tokens": share string, "checksum": the model's, "changed": count of edited tokens}.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from studio.codebook.atlas import open_atlas
from studio.codebook.neighbours import CodeSpace
from studio.codebook.operations import Operation, parse_operations
from studio.codebook.share import share, unshare
from studio.codebook.tokens import TokenMap, check_codes
from studio.codebook.vqgan import Vqgan
from studio.errors import InvalidRequest
from studio.events import Decoding, Event, Finished, Loading, Step
from studio.requests import EditTokens, Reconstruct


@dataclass(frozen=True, slots=True)
class Studio:
    """What a run needs from the layers around it.

    Attributes:
        load: Model id ("" is the default) -> Vqgan.
        open_picture: Content hash -> picture.
        cache_dir: Where atlases are kept.
    """

    load: Callable[[str], Vqgan]
    open_picture: Callable[[str], Image.Image]
    cache_dir: Path


def run_reconstruct(request: Reconstruct, studio: Studio) -> Iterator[Event]:
    """Yield the events of a picture's way through the VQGAN: picture -> codes -> picture."""
    yield Loading("VQGAN")
    vqgan = studio.load(request.model)
    source = studio.open_picture(request.source)
    began = time.perf_counter()
    tokens = vqgan.encode(source)
    yield Decoding()
    picture = vqgan.decode(tokens)
    yield _finished(vqgan, picture, tokens, tokens, seconds=time.perf_counter() - began)


def run_edit_tokens(request: EditTokens, studio: Studio) -> Iterator[Event]:
    """Yield the events of an edit replayed from its start map: a Step per operation, then the exact picture.

    Raises:
        InvalidRequest: Neither a source nor tokens, tokens of another model, or an operation that does not fit.
    """
    operations = parse_operations(request.operations)
    if not request.tokens and request.source is None:
        raise InvalidRequest("There is nothing to edit.", "Give a picture or a token map.", field="source")
    yield Loading("VQGAN")
    vqgan = studio.load(request.model)
    space = CodeSpace(vqgan.vectors, checksum=vqgan.checksum)
    if any(operation.needs_colours for operation in operations):
        yield Loading("the colours of the codes")
        space = open_atlas(vqgan, studio.cache_dir).space(vqgan.vectors)
    began = time.perf_counter()
    if request.tokens:
        start = unshare(request.tokens, checksum=vqgan.checksum)
        vqgan.check(start)
    else:
        start = vqgan.encode(studio.open_picture(str(request.source)))
    tokens = start
    for index, operation in enumerate(operations, 1):
        tokens = _apply(tokens, operation, space)
        yield Step(index, len(operations), seconds=time.perf_counter() - began)
    yield Decoding()
    picture = vqgan.decode(tokens)
    yield _finished(vqgan, picture, tokens, start, seconds=time.perf_counter() - began)


def _apply(tokens: TokenMap, operation: Operation, space: CodeSpace) -> TokenMap:
    codes = operation.apply(tokens.codes, space)
    check_codes(codes, tokens.codebook_size)
    return tokens.with_codes(codes)


def _finished(vqgan: Vqgan, picture: Image.Image, tokens: TokenMap, start: TokenMap, *, seconds: float) -> Finished:
    return Finished(
        images=(picture,),
        seeds=(0,),
        seconds=seconds,
        facts={
            "model": vqgan.name,
            "checksum": vqgan.checksum,
            "device": str(vqgan.device),
            "dtype": str(vqgan.dtype).removeprefix("torch."),
            "codes": vqgan.codebook_size,
        },
        extras={
            "tokens": share(tokens),
            "checksum": vqgan.checksum,
            "changed": int((tokens.codes != start.codes).sum()),
        },
    )
