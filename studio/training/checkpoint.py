"""Save and load the whole state of a run, so that nothing is lost when it is cut."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from studio.errors import StudioError

FORMAT = 1


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors and plain values) so that a cut leaves the previous file whole."""
    partial = path.with_suffix(".partial")
    torch.save({"format": FORMAT, **state}, partial)
    partial.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what ``save_checkpoint`` wrote.

    Raises StudioError when the file is damaged or of another format.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise StudioError(f"{path} cannot be read: {error}", hint="Remove it to start the run again.") from error
    if state.get("format") != FORMAT:
        raise StudioError(
            f"{path} has format {state.get('format')}, this version reads {FORMAT}.", hint="Start the run again."
        )
    return state
