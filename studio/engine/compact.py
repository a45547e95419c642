"""Weights as 8-bit integers with one scale per output channel, de-quantised at load: half of float16 on the disk.

In memory and in speed nothing changes: what runs is the ordinary model. Small tensors (norms, biases) stay in
float16, where they weigh nothing and matter most. A file of our own name, so that no other program takes the
integers for weights.

Source: Jacob et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only
inference", section 2.1, in its symmetric form with a scale per channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

FILE = "compact.safetensors"
_SCALE = "::scale"
_LEAST_NUMBERS = 4096  # smaller tensors are left alone


def is_compact(folder: Path) -> bool:
    """Whether the model part in `folder` is stored so."""
    return (folder / FILE).is_file()


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return `weight` (k, ...) as int8 of the same shape, and the scales (k,) in float32 that give it back."""
    rows = weight.detach().float().flatten(1)
    scales = rows.abs().amax(dim=1).clamp_min(1e-12) / 127
    return (rows / scales[:, None]).round().to(torch.int8).view_as(weight), scales


def dequantise(integers: Tensor, scales: Tensor) -> Tensor:
    """Return float32 weights (k, ...) of `integers` (k, ...) and `scales` (k,)."""
    return integers.float() * scales.view(-1, *[1] * (integers.dim() - 1))


def write_compact(state: Mapping[str, Tensor], folder: Path) -> int:
    """Write the weights `state` into `folder`; return the bytes of the file."""
    stored: dict[str, Tensor] = {}
    for name, value in state.items():
        if value.is_floating_point() and value.dim() > 1 and value.numel() >= _LEAST_NUMBERS:
            stored[name], stored[name + _SCALE] = quantise(value)
        else:
            stored[name] = value.half() if value.is_floating_point() else value
    path = folder / FILE
    save_file({name: value.contiguous() for name, value in stored.items()}, path, {"format": "pt"})
    return path.stat().st_size


def read_compact(folder: Path) -> dict[str, Tensor]:
    """Return the weights in `folder`, large ones in float32, small ones as they were stored."""
    stored = load_file(folder / FILE)
    return {
        name: dequantise(value, stored[name + _SCALE]) if name + _SCALE in stored else value
        for name, value in stored.items()
        if not name.endswith(_SCALE)
    }
