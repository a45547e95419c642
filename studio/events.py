"""What a job may say, in the order it may say it: Queued* Loading* (Step | Decoding)* then one ending.

Events are frozen, picklable and carry no tensors: pictures are PIL images. `LASTING` events are kept for
late subscribers; consecutive `Queued`, `Loading` and `Step` events coalesce (the latest wins).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True, slots=True)
class Queued:
    """Waiting for the engine; `position` is 1 for the next job to run."""

    position: int


@dataclass(frozen=True, slots=True)
class Loading:
    """A model is being loaded; `fraction` in [0, 1], or None when it cannot be known."""

    what: str
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Step `index` of `total` is done (index counts from 1).

    `preview` shows the predicted clean picture at latent size (all pictures of a batch side by side), or
    is None when this step's preview was skipped. `seconds` is the time since the first step began. `doing` names the
    part of the run that the step belongs to, where it has several (a style method: "tokens").
    """

    index: int
    total: int
    preview: Image.Image | None = None
    seconds: float = 0.0
    doing: str = ""


@dataclass(frozen=True, slots=True)
class Decoding:
    """The last step is done and the latents are being turned into pictures."""


@dataclass(frozen=True, slots=True)
class Film:
    """One picture's film: the predicted clean picture after every step, and when its cells came to rest.

    Attributes:
        frames: All frames side by side, first to last, each `frames.width / count` wide.
        count: How many frames: one per step.
        settled: (h, w) uint8, the step (from 1) after which a cell does not move any more.
        moving: Share of the cells that moved in each step, 0 to 1; 1 in the first.
        enough: The first step at which at least 95 % of the cells rest.
    """

    frames: Image.Image
    count: int
    settled: NDArray[np.uint8]
    moving: tuple[float, ...]
    enough: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The job's results.

    Attributes:
        images: The pictures, RGB or RGBA.
        seeds: One seed per picture: picture i made alone with seeds[i] is the same picture.
        seconds: Wall time of the run, loading excluded.
        facts: What makes the run repeatable: model id and checksum, device, dtype, library versions. What holds for
            one picture alone is a list under "pictures", one mapping each; see `facts_of`.
        notes: Plain sentences for the artist ("The prompt was understood as ...").
        records: Gallery ids, filled in by the recorder before the event is announced.
        extras: Results that are not pictures (a token grid, counts): JSON-able values or numpy arrays; under "films"
            one Film per picture.
    """

    images: tuple[Image.Image, ...]
    seeds: tuple[int, ...]
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    extras: dict[str, Any] = field(default_factory=dict)

    def facts_of(self, place: int) -> dict[str, Any]:
        """Return the facts of the picture at `place`: the run's, its own, and the seconds the run took."""
        facts = {name: value for name, value in self.facts.items() if name != "pictures"}
        own = self.facts.get("pictures", ())
        alone = own[place] if len(own) == len(self.images) else {}
        return {**facts, **alone, "seconds": round(self.seconds, 3)}


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ended with an error: what happened, and what to do."""

    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job was stopped after step `at_step` (0: before the first)."""

    at_step: int = 0


Event: TypeAlias = Queued | Loading | Step | Decoding | Finished | Failed | Cancelled
Ending: TypeAlias = Finished | Failed | Cancelled

ENDINGS = (Finished, Failed, Cancelled)
COALESCING = (Queued, Loading, Step)
