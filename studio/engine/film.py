"""A run's film: the predicted clean picture after every step, and which parts of it have come to rest.

A part is one cell of the latents. Where the model has a codebook a cell rests when its nearest code stays the same;
elsewhere when it moves by less than a tenth of the latents' spread from one step to the next.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from studio.engine.denoise import LoopStep
from studio.engine.preview import PreviewMap
from studio.engine.trajectories import Trajectory
from studio.events import Film

ENOUGH = 0.95  # share of the cells that rest, from which on a film is "good enough"
_MOVED = 0.1  # of the latents' root mean square
_CALM = 0.02  # share of the cells that may still move in a step that counts as calm
_CALM_STEPS = 2
_FIRST_STEPS = 4  # an automatic stop never comes before these


class Filming:
    """Follows a run and keeps what its film and its forks need.

    Args:
        preview: The model's map from latents to small pictures.
        codebook: Code vectors (k, c) in the latents' scale, or None.
    """

    def __init__(self, preview: PreviewMap, codebook: torch.Tensor | None = None) -> None:
        self._preview, self._codebook = preview, codebook
        self._outputs: list[torch.Tensor] = []
        self._latents: list[torch.Tensor] = []
        self._clean: list[torch.Tensor] = []
        self._moved: list[torch.Tensor] = []  # (b, h, w) bool: cells that differ from the step before
        self._last: torch.Tensor | None = None

    @property
    def count(self) -> int:
        """How many steps were taken so far."""
        return len(self._clean)

    def add(self, step: LoopStep) -> None:
        """Take note of a step."""
        self._outputs.append(step.output)
        self._latents.append(step.latents)
        self.see(step.clean)

    def see(self, clean: torch.Tensor) -> None:
        """Take note of what a step predicted as the clean picture: (b, c, h, w)."""
        self._clean.append(clean)
        now = self._state(clean)
        everything = torch.ones_like(clean[:, 0], dtype=torch.bool)
        self._moved.append(everything if self._last is None else self._differs(self._last, now))
        self._last = now

    def has_settled(self) -> bool:
        """Tell whether no picture has moved in more than 2 % of its cells for two steps."""
        if len(self._moved) < _FIRST_STEPS:
            return False
        latest = torch.stack(self._moved[-_CALM_STEPS:]).float().mean(dim=(2, 3))  # (steps, b)
        return bool((latest <= _CALM).all())

    def trajectory(self) -> Trajectory:
        """Return the run of all pictures together."""
        parts = (self._outputs, self._latents, self._clean)
        return Trajectory(*(tuple(array.float().cpu().numpy() for array in arrays) for arrays in parts))

    def films(self) -> tuple[Film, ...]:
        """Return one film per picture."""
        moved = torch.stack(self._moved, dim=1).cpu().numpy()  # (b, steps, h, w)
        sheets = [self._preview(clean) for clean in self._clean]
        width = sheets[0].width // len(moved)
        return tuple(
            self._film([sheet.crop((i * width, 0, (i + 1) * width, sheet.height)) for sheet in sheets], moved[i])
            for i in range(len(moved))
        )

    @staticmethod
    def _film(frames: list[Image.Image], moved: NDArray[np.bool_]) -> Film:
        count, (width, height) = len(frames), frames[0].size
        strip = Image.new("RGB", (width * count, height))
        for place, frame in enumerate(frames):
            strip.paste(frame, (place * width, 0))
        steps = np.arange(1, count + 1, dtype=np.uint8)[:, None, None]
        settled = (moved * steps).max(0).astype(np.uint8)  # (h, w)
        resting = [(settled <= step).mean() for step in range(1, count + 1)]
        enough = 1 + next((i for i, share in enumerate(resting) if share >= ENOUGH), count - 1)
        return Film(strip, count, settled, tuple(float(share) for share in moved.mean(axis=(1, 2))), enough)

    def _state(self, clean: torch.Tensor) -> torch.Tensor:
        """Return what is compared from step to step: codes (b, h, w), or the latents themselves."""
        if self._codebook is None:
            return clean
        cells = clean.permute(0, 2, 3, 1).reshape(-1, clean.shape[1])
        distance = self._codebook.square().sum(1) - 2 * cells @ self._codebook.T  # (cells, k), less |cell|^2
        return distance.argmin(1).view(clean.shape[0], *clean.shape[2:])

    def _differs(self, before: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
        if self._codebook is not None:
            return before != now
        spread = now.square().mean().sqrt()
        return (now - before).square().mean(1).sqrt() > _MOVED * spread


def film_of(taken: Trajectory, preview: PreviewMap, codebook: torch.Tensor | None = None) -> Film:
    """Return the film of one picture's run from what was kept of it, as `Filming` makes it while the run goes on."""
    filming = Filming(preview, codebook)
    for clean in taken.clean:
        filming.see(torch.from_numpy(clean).to(preview.weight.device))
    return filming.films()[0]


def codebook_of(model: Any) -> torch.Tensor | None:
    """Return the code vectors (k, c) float32 of `model`'s autoencoder in the latents' scale, or None."""
    autoencoder = getattr(model, "autoencoder", None)
    quantize = getattr(autoencoder, "quantize", None)
    if autoencoder is None or quantize is None:
        return None
    return quantize.embedding.weight.detach().float() * autoencoder.config.scaling_factor
