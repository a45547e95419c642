"""What an exact decode leaves behind for local ones: statistics of every GroupNorm, and activations.

The statistics cost nothing, since the kernel has computed them, and the activations are kept instead of freed.
`ReplayedGroupNorm` notes both in a `Recording` while its thread records, and replays the statistics while it
decodes a part.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from studio.codebook.boxes import Box


@dataclass(slots=True, eq=False, weakref_slot=True)
class Recording:
    """An exact decode of one map.

    Attributes:
        levels: Number of levels, coarse to fine, whose activations are kept.
        statistics: Mean and variance of every channel, (c,) float32 each, for each GroupNorm.
        kept: What went into each GroupNorm and upsampler of those levels, (1, c, h, w); local decodes write what
            they change into it. Empty once `forget` was called.
    """

    levels: int
    statistics: dict[nn.Module, tuple[Tensor, Tensor]] = field(default_factory=dict)
    kept: dict[nn.Module, Tensor] = field(default_factory=dict)
    pixels: Tensor = field(default_factory=lambda: torch.zeros(1, 3, 0, 0))

    @property
    def is_complete(self) -> bool:
        """Whether parts can be decoded with it."""
        return bool(self.kept)

    def forget(self) -> None:
        """Give the memory of the activations back."""
        self.kept, self.pixels = {}, torch.zeros(1, 3, 0, 0)

    def hold(self) -> Recording:
        """Return the same recording for one use, during which `forget` does not reach it."""
        return Recording(self.levels, self.statistics, self.kept, self.pixels)

    @torch.inference_mode()
    def copy(self) -> Recording:
        """Return a recording to write into without changing this one."""
        kept = {key: x.clone() for key, x in self.kept.items()}
        return Recording(self.levels, dict(self.statistics), kept, self.pixels.clone())

    @torch.inference_mode()
    def take(self, box: Box, other: Recording, *, rows: int, then: Callable[[Tensor], Tensor]) -> None:
        """Take activations and pixels of the tokens in `box` over from a recording of the same size.

        Args:
            rows: Of tokens.
            then: What is done to the pixels.
        """
        for key, theirs in other.kept.items():
            if key in self.kept:
                at = box.scaled(theirs.shape[2] // rows)
                place = (..., slice(at.top, at.bottom), slice(at.left, at.right))
                self.kept[key][place] = theirs[place]
        at = box.scaled(other.pixels.shape[2] // rows)
        place = (..., slice(at.top, at.bottom), slice(at.left, at.right))
        self.pixels[place] = then(other.pixels[place])


class Turn(threading.local):
    """What the norms do for this thread: replay what `given` holds, or note down what they find in `found`."""

    given: Recording | None = None
    found: Recording | None = None
    height: int = 0  # of the finest level that `found` keeps, in pixels

    def keep(self, module: nn.Module, x: Tensor) -> None:
        """Keep what goes into `module`, where its level is kept."""
        if self.found is not None and x.shape[2] <= self.height:
            self.found.kept[module] = x


class ReplayedGroupNorm(nn.Module):
    """GroupNorm that can record its statistics on one picture and replay them on parts of it, thread by thread."""

    def __init__(self, norm: nn.GroupNorm, turn: Turn) -> None:
        super().__init__()
        self.groups, self.eps = norm.num_groups, norm.eps
        self.weight, self.bias = norm.weight, norm.bias
        self._exact = norm.weight.detach().float(), norm.bias.detach().float()  # with them the kernels keep fp32
        self._turn = turn

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` (1, c, h, w) with its own statistics, or with those that are replayed."""
        if self._turn.given is not None:
            mean, variance = self._turn.given.statistics[self]
            return nn.functional.batch_norm(x, mean, variance, *self._exact, eps=self.eps)
        if self._turn.found is None or x.device.type != "cpu":
            normed = nn.functional.group_norm(x, self.groups, self.weight, self.bias, self.eps)
            if self._turn.found is not None:
                variance, mean = torch.var_mean(x.float().reshape(self.groups, -1), dim=1, correction=0)
                self._note(x, mean, variance)
            return normed
        # The same kernel as group_norm's, and the same result; it hands out what it knows.
        is_channels_last = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
        x = x if is_channels_last else x.contiguous()
        normed, mean, inverse = torch.native_group_norm(
            x, *self._exact, 1, x.shape[1], x[0, 0].numel(), self.groups, self.eps
        )
        self._note(x, mean[0], inverse[0].pow(-2) - self.eps)
        return normed

    def _note(self, x: Tensor, mean: Tensor, variance: Tensor) -> None:
        assert self._turn.found is not None
        repeats = x.shape[1] // self.groups
        self._turn.found.statistics[self] = (
            mean.repeat_interleave(repeats),
            variance.clamp_min(0).repeat_interleave(repeats),
        )
        self._turn.keep(self, x)
