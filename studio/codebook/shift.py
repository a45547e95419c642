"""How edits shift the colours of the whole picture, learnt from the exact decodes of that picture.

GroupNorm normalises with statistics of the whole picture, so an edit changes pixels far away. That change is nearly
an affine function of a pixel's own colour: on photographs at 256 px it leaves about a third of the error. Each exact
decode shows the function of the edits before it; that of further edits follows by ridge regression on what they
change in the picture's mean code vector and in the mean of its squares.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from studio.codebook.tokens import TokenMap

KNOWN = 4  # changes remembered; the response itself changes slowly with the picture
RIDGE = 0.1  # beside changes of unit length: a change unlike all known ones is not predicted
FIT_PIXELS = 8192
EVEN = 1e-3  # per pixel, beside colours in [-1, 1]: what keeps a picture of one colour solvable

Matrix = NDArray[np.float64]  # (4, 3): a colour and 1 -> what is added to the colour


class ColourShift:
    """What is known of one picture. Colours are those of the decoder, in its own range."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        """Begin with nothing known; `vectors` (K, d) are the codebook's."""
        features = np.concatenate([vectors, vectors**2], axis=1, dtype=np.float64)  # (K, 2d)
        self._features = (features - features.mean(0)) / np.maximum(features.std(0), 1e-6)
        self._known: list[tuple[NDArray[np.float64], Matrix]] = []

    def change(self, before: TokenMap, after: TokenMap) -> NDArray[np.float64]:
        """Return how the mean features of the picture's codes change, (2d,)."""
        at = before.codes != after.codes
        changed = self._features[after.codes[at]] - self._features[before.codes[at]]  # (n, 2d)
        return changed.sum(0) / before.codes.size

    def predict(self, change: NDArray[np.float64]) -> tuple[Matrix, float]:
        """Return the shift that `change` brings and which share of the change is like known ones, 0 to 1."""
        length = float(np.linalg.norm(change))
        if not self._known or length == 0:
            return np.zeros((4, 3)), 0.0
        directions = np.stack([direction for direction, _ in self._known])  # (n, 2d)
        weights = np.linalg.solve(directions @ directions.T + RIDGE * np.eye(len(directions)), directions @ change)
        matrix = sum((w * known for w, (_, known) in zip(weights, self._known, strict=True)), np.zeros((4, 3)))
        unlike = float(np.linalg.norm(change - weights @ directions)) / length
        return matrix, max(0.0, 1 - unlike)

    def learn(self, change: NDArray[np.float64], matrix: Matrix) -> None:
        """Remember that `change` brought the shift `matrix`."""
        length = float(np.linalg.norm(change))
        if length > 0:
            self._known = [*self._known, (change / length, matrix / length)][-KNOWN:]


@torch.inference_mode()
def fit(before: Tensor, after: Tensor, where: NDArray[np.bool_]) -> Matrix:
    """Return the affine shift from the colours `before` to `after`, (1, 3, H, W), over the pixels `where` (H, W)."""
    step = max(1, int((where.size / FIT_PIXELS) ** 0.5))
    chosen = torch.from_numpy(np.ascontiguousarray(where[::step, ::step])).to(before.device)

    def colours(pixels: Tensor) -> NDArray[np.float64]:
        sampled = pixels[0, :, ::step, ::step].float().clamp(-1, 1)
        return sampled[:, chosen].double().cpu().numpy().T  # (n, 3)

    old = colours(before)
    known = np.c_[old, np.ones(len(old))]  # (n, 4)
    return np.linalg.solve(known.T @ known + (1 + EVEN * len(old)) * np.eye(4), known.T @ (colours(after) - old))


@torch.inference_mode()
def shifted(pixels: Tensor, matrix: Matrix) -> Tensor:
    """Return `pixels` (1, 3, H, W) with the shift added to every colour, in fp32."""
    m = torch.as_tensor(matrix, dtype=torch.float32, device=pixels.device)
    colours = pixels.float().permute(0, 2, 3, 1)  # (1, H, W, 3)
    return (colours @ (m[:3] + torch.eye(3, device=m.device)) + m[3]).permute(0, 3, 1, 2)
