"""One run on an artist's own pictures: the pack is built, the recipe chosen, and it is said how it goes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from studio.engine.checkpoint import weight_files
from studio.errors import InvalidRequest, StudioError
from studio.training.config import TaskConfig, read_config
from studio.training.folder import build_folder
from studio.training.pack import Pack
from studio.training.plans import LEAST_PICTURES, Order, recipe
from studio.training.recipes import make_config

ALIVE, ERROR, PACK = "alive", "error.json", "pictures.pack"
BEAT_SECONDS = 3.0
_LENGTH_TOLERANCE = 0.05


def prepare(run: Path, say: Callable[[str], Any]) -> TaskConfig:
    """Return the configuration of the run, building its pack first; a run that was cut keeps its own.

    Raises:
        InvalidRequest: There are too few pictures, or the codes are of a kind that cannot be taught.
        StudioError: None of the pictures can be used.
    """
    if (run / "config.json").is_file():
        return read_config(run / "config.json")
    order, pack = Order.read(run), run / PACK
    if order.kind == "codebook":
        check_codes(Path(order.model))
    if not pack.exists():
        summary = build_folder(order.pictures, pack, progress=say)
        for name, reason in summary.rejected:
            say(f"left out: {name}: {reason}")
    count = len(Pack.open(pack).indices("train"))
    if count < LEAST_PICTURES:
        raise InvalidRequest(
            f"There are {count} different pictures that can be used.", f"Give {LEAST_PICTURES} or more."
        )
    return make_config("vqvae" if order.kind == "codebook" else "diffusion", recipe(order, data=pack))


def check_codes(folder: Path) -> None:
    """Raise InvalidRequest unless the codes of the VQModel in `folder` have length one, as training keeps them."""
    with safe_open(weight_files(folder)[0], framework="np") as file:
        lengths = np.linalg.norm(file.get_tensor("quantize.embedding.weight").astype(np.float32), axis=1)
    if np.abs(lengths - 1).max() > _LENGTH_TOLERANCE:
        raise InvalidRequest(
            f"The codes of this VQGAN have lengths from {lengths.min():.2f} to {lengths.max():.2f}; teaching takes "
            "codes of length one.",
            "Choose one of the studio's own models.",
        )


@contextmanager
def reporting(run: Path) -> Iterator[None]:
    """Show that the run is alive while the context is open, and write down what ended it badly."""
    over = threading.Event()

    def beat() -> None:
        while True:
            (run / ALIVE).touch()
            if over.wait(BEAT_SECONDS):
                return

    run.mkdir(parents=True, exist_ok=True)
    (run / ERROR).unlink(missing_ok=True)
    heart = threading.Thread(target=beat, name="alive", daemon=True)
    heart.start()
    try:
        yield
    except StudioError as error:
        (run / ERROR).write_text(json.dumps({"message": error.message, "hint": error.hint}), encoding="utf-8")
        raise
    finally:
        over.set()
        heart.join()
        (run / ALIVE).unlink(missing_ok=True)
