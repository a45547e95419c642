"""MaskGIT as a scheduler: hidden codes are filled in over a few steps, the surest first.

To the denoising loop this is a scheduler like diffusers' own. Its latents are a map of codes, (b, 1, h, w) float32,
in which 0 is hidden and k + 1 is code k; the model's output is a score for every code, (b, codes, h, w). So
everything the loop offers holds here as well: previews, stops, guidance, batches, and runs that go on from any step.

Source: Chang et al. 2022, "MaskGIT", section 3.2: after step i of n a share cos(pi/2 i/n) stays hidden; confidence is
the probability of the code drawn, with Gumbel noise that fades out. `temperature` sharpens or flattens the scores
that codes are drawn from and scales that noise; at 0 every step takes its likeliest codes, surest first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

HIDDEN = 0
_COLD = 1e-3  # temperatures below it are 0
CHOICE_NOISE = 4.5  # Gumbel noise on the confidence at temperature 1, before the first step

_LEFT: dict[str, Callable[[float], float]] = {
    "maskgit": lambda done: math.cos(math.pi / 2 * done),
    "maskgit_linear": lambda done: 1 - done,
}


@dataclass(frozen=True, slots=True)
class Filled:
    """What a step made: the map with the surest codes filled in, and the clean latents that it points to."""

    prev_sample: Tensor  # (b, 1, h, w)
    pred_original_sample: Tensor  # (b, d, h, w)


class MaskGit:
    """Fills in hidden codes.

    Args:
        name: "maskgit" (cosine) or "maskgit_linear": what share stays hidden after each step.
        vectors: (codes, d), what each code stands for in clean latents: `pred_original_sample` holds a decided
            code's vector, and where nothing is decided the mean vector under the model's probabilities.
        temperature: At least 0.
    """

    order = 1
    init_noise_sigma = 0.0  # everything begins hidden

    def __init__(self, name: str, vectors: Tensor, *, temperature: float = 1.0) -> None:
        self.temperature = temperature
        self._left, self._vectors = _LEFT[name], vectors
        self._to_fill: Tensor | None = None
        self.timesteps = torch.zeros(0)

    def set_timesteps(self, steps: int, device: torch.device | str = "cpu") -> None:
        """Plan `steps` steps; timestep i is the share done before it, (steps,) in [0, 1)."""
        self.timesteps = torch.arange(steps, device=device) / steps
        self._to_fill = None

    def scale_model_input(self, sample: Tensor, timestep: Tensor) -> Tensor:
        """Return `sample` as it is."""
        return sample

    def add_noise(self, original: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Hide what is hidden at `timesteps` (1 or b,): the cells of `original` (b, 1, h, w) with the most `noise`.

        A map in which cells are hidden already is partly noise as it is: it is returned unchanged. Clean latents,
        (b, d, h, w), count as their nearest codes.
        """
        if original.shape[1] != 1:
            original = self._nearest(original)
        if (original == HIDDEN).any():
            return original
        rank = noise.flatten(1).argsort(1, descending=True).argsort(1).view(original.shape)
        count = torch.tensor([round(self._left(float(done)) * original[0].numel()) for done in timesteps])
        return original.masked_fill(rank < count.to(rank.device).view(-1, 1, 1, 1), HIDDEN)

    def step(self, output: Tensor, timestep: Tensor, sample: Tensor, generator: list[torch.Generator]) -> Filled:
        """Draw all hidden codes of `sample`, keep the surest, and hide the others again.

        Args:
            output: Scores (b, codes, h, w) float32.
            timestep: One of `timesteps`.
            sample: (b, 1, h, w).
            generator: One CPU generator per row.
        """
        hidden = sample[:, 0] == HIDDEN  # (b, h, w)
        if self._to_fill is None:
            self._to_fill = hidden.flatten(1).sum(1)
        steps = len(self.timesteps)
        done = (round(float(timestep) * steps) + 1) / steps  # exactly 1 after the last
        scores = output.permute(0, 2, 3, 1).flatten(1, 2)  # (b, n, codes)
        rows = [
            self._fill(scores[i].cpu(), sample[i, 0].flatten().cpu(), int(self._to_fill[i]), done, generator[i])
            for i in range(len(sample))
        ]
        codes = torch.stack(rows).view_as(hidden).to(sample.device, sample.dtype)  # (b, h, w)
        return Filled(codes[:, None], self._clean(codes, scores.softmax(-1)))

    def _fill(self, scores: Tensor, codes: Tensor, to_fill: int, done: float, generator: torch.Generator) -> Tensor:
        """Return one picture's `codes` (n,) with some filled in by its `scores` (n, codes)."""
        hidden = codes == HIDDEN
        likely = scores.softmax(-1)
        tempered = (scores / self.temperature).softmax(-1) if self.temperature > _COLD else likely
        drawn = torch.multinomial(tempered, 1, generator=generator)[:, 0]  # for all cells: the mask takes no part
        if self.temperature <= _COLD:
            drawn = likely.argmax(1)
        uniform = torch.rand(len(codes), generator=generator).clamp(1e-9, 1 - 1e-7)
        noise = CHOICE_NOISE * self.temperature * (1 - done + 1 / len(self.timesteps))
        sure = likely.gather(1, drawn[:, None])[:, 0].clamp_min(1e-9).log() - noise * torch.log(-torch.log(uniform))
        stays = math.floor(self._left(done) * to_fill + 1e-6)
        order = sure.masked_fill(~hidden, math.inf).argsort()  # least sure first
        filled = torch.where(hidden, drawn.to(codes.dtype) + 1, codes)
        filled[order[: min(stays, int(hidden.sum()))]] = HIDDEN
        return filled

    def _nearest(self, clean: Tensor) -> Tensor:
        """Return the map (b, 1, h, w) of the codes nearest to `clean` (b, d, h, w)."""
        distances = torch.cdist(clean.permute(0, 2, 3, 1).flatten(1, 2), self._vectors)  # (b, n, codes)
        return (distances.argmin(-1) + 1).view(len(clean), 1, *clean.shape[2:]).to(clean.dtype)

    def _clean(self, codes: Tensor, likely: Tensor) -> Tensor:
        """Return what `codes` (b, h, w) and, where hidden, `likely` (b, n, codes) say of the clean latents."""
        hoped = (likely @ self._vectors).view(*codes.shape, -1)  # (b, h, w, d)
        decided = self._vectors[(codes.long() - 1).clamp_min(0)]
        return torch.where((codes == HIDDEN)[..., None], hoped, decided).permute(0, 3, 1, 2)
