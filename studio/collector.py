"""A quicker start: Python's cyclic garbage collector rests while libraries are imported and the page is built.

Importing torch, diffusers and Gradio makes millions of objects that all stay, and the collector goes through them
again and again, for a tenth of the time (`studio bench engine`, "collector at rest"). What has been made by
then is left out of every later look as well (`gc.freeze`).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def collector_at_rest() -> Iterator[Callable[[], None]]:
    """Let the collector rest inside the block, or until the function that is yielded is called."""
    was_on = gc.isenabled()
    gc.disable()

    def wake() -> None:
        if was_on and not gc.isenabled():
            gc.freeze()
            gc.enable()

    try:
        yield wake
    finally:
        wake()
