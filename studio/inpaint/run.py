"""Running an Inpaint request: canvas, method, back onto the canvas, and the count of untouched pixels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from studio.errors import InvalidRequest
from studio.events import Cancelled, Event, Finished
from studio.inpaint.canvas import Canvas, prepare
from studio.inpaint.composite import Untouched
from studio.inpaint.context import Context
from studio.inpaint.methods import Painted, find_method
from studio.requests import Inpaint


def run_inpaint(request: Inpaint, context: Context, should_stop: Callable[[], bool]) -> Iterator[Event]:
    """Yield the events of an inpainting or outpainting run.

    `Finished.notes` end with the count of changed pixels outside the mask. `Finished.extras` holds "final_mask"
    (h, w) uint8, "box" (left, top, right, bottom: the part worked on), "outside" and "changed" (pixel counts), and
    "films" of that part (`studio.events.Film`), where the method denoises.

    Raises:
        InvalidRequest: An empty mask, a method or model that does not exist, a canvas that is too large.
        InvalidPicture, ModelError, OutOfMemory, InvalidResult: As reading, loading and the loop do.
    """
    method = find_method(request.method)
    if request.controls and method.name != "diffusion":
        raise InvalidRequest(
            f'The method "{method.name}" takes no control picture.',
            'Leave it out, or use the method "diffusion".',
            field="control",
        )
    canvas = prepare(request, context.read_picture)
    began = time.perf_counter()
    if should_stop():
        yield Cancelled(0)
        return
    if request.strength == 0:
        nothing = Painted((canvas.rgb,), (request.seed,), notes=("Denoising strength is 0: nothing was repainted.",))
        yield _finished(request, canvas, nothing, seconds=0.0, pictures=(canvas.source,))
        return
    painted = yield from method.load()(canvas, request, context, should_stop)
    if painted is None:
        return
    matches = request.match_colours and method.needs_model
    pictures = tuple(canvas.restored(picture, match_colours=matches) for picture in painted.pictures)
    yield _finished(request, canvas, painted, seconds=time.perf_counter() - began, pictures=pictures)


def _finished(
    request: Inpaint, canvas: Canvas, painted: Painted, *, seconds: float, pictures: tuple[np.ndarray, ...]
) -> Finished:
    counts = [canvas.untouched(picture) for picture in pictures]
    total = Untouched(sum(count.changed for count in counts), sum(count.outside for count in counts))
    notes = [*canvas.notes, *painted.notes]
    if total.outside:
        notes.append(f"{total.sentence()}.")
    box = canvas.box
    return Finished(
        images=tuple(Image.fromarray(picture) for picture in pictures),
        seeds=painted.seeds,
        seconds=seconds,
        facts={**painted.facts, "method": request.method, "changed_outside_mask": total.changed},
        notes=tuple(notes),
        extras={
            "final_mask": canvas.final_mask,
            "box": (box.left, box.top, box.right, box.bottom),
            "outside": total.outside,
            "changed": total.changed,
            "films": painted.films,
        },
    )
