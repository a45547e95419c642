"""Which of a model's parts stay on the GPU: the whole model where it fits, else the quickest way that does.

The ladder, from quick to small: everything on the device; each part moved in when it is needed ("model"); blocks
of a part, the next one fetched while one computes ("group"); single layers ("sequential", which diffusers does by
its group offload at leaf level: as little memory as accelerate's, and the next layer comes while one computes).
All are diffusers' own; what they compute is the same.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from studio.engine.catalog import ModelCard
from studio.engine.checkpoint import Header, read_folder_headers, read_header
from studio.errors import ModelError

logger = logging.getLogger(__name__)

WHOLE = ""
LADDER = (WHOLE, "model", "group", "sequential")
TITLES: Mapping[str, str] = {
    "model": "its parts are moved in when they are needed (slower)",
    "group": "its blocks are moved in when they are needed (much slower)",
    "sequential": "its layers are moved in one by one (very slow)",
}
_DECODER_BYTES_PER_PIXEL = 12 * 128 * 2  # as in studio.engine.memory, for an autoencoder of 128 channels in 16 bits
_GROUP_SHARE = 8  # a group is about this part of the largest model part


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes a model takes: weights by part in the precision it runs in, and activations at its own size."""

    parts: Mapping[str, int]
    activations: int

    def on_device(self, rung: str) -> int:
        """Return the bytes that must be on the device at once."""
        sizes = list(self.parts.values()) or [0]
        weights = {WHOLE: sum(sizes), "model": max(sizes), "group": max(sizes) // _GROUP_SHARE, "sequential": 0}
        return weights[rung] + self.activations


def need_of(card: ModelCard, itemsize: int) -> Need:
    """Return what the model of `card` takes with weights of `itemsize` bytes each; read from headers alone."""
    parts: dict[str, int] = {}
    if card.path.is_file():
        for key, tensor in read_header(card.path).tensors.items():
            part = key.split(".", 1)[0]
            parts[part] = parts.get(part, 0) + math.prod(tensor.shape) * itemsize
    else:
        for folder in sorted(path for path in card.path.iterdir() if (path / "config.json").is_file()):
            try:
                parts[folder.name] = _weights(read_folder_headers(folder), itemsize)
            except ModelError:
                continue  # a part without weights, or one that is not loaded
    return Need(parts, _DECODER_BYTES_PER_PIXEL * card.width * card.height)


def choose_rung(need: Need, free_bytes: int) -> str:
    """Return the first rung of the ladder that fits into `free_bytes`; the last one where none does."""
    return next((rung for rung in LADDER if need.on_device(rung) <= free_bytes), LADDER[-1])


def rungs_from(rung: str) -> tuple[str, ...]:
    """Return `rung` and those below it, to try when memory runs out all the same."""
    return LADDER[LADDER.index(rung) :]


def apply(pipeline: Any, rung: str, device: torch.device) -> None:
    """Let the parts of a stock pipeline, which are on the CPU, be moved to `device` as `rung` says."""
    if rung == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif rung:
        streams, cpu = device.type == "cuda", torch.device("cpu")
        how: dict[str, Any] = {"use_stream": streams, "record_stream": streams}
        if rung == "group":
            pipeline.enable_group_offload(device, cpu, "block_level", num_blocks_per_group=1, **how)
        else:
            pipeline.enable_group_offload(device, cpu, "leaf_level", **how)


def note(card_name: str, rung: str) -> tuple[str, ...]:
    """Return what to tell the artist, if anything."""
    return (f"{card_name} does not fit into the GPU's memory whole: {TITLES[rung]}.",) if rung else ()


def _weights(header: Header, itemsize: int) -> int:
    return sum(math.prod(tensor.shape) for tensor in header.tensors.values()) * itemsize
