"""Training samples encoded ahead: codes and text embeddings of many augmented scenes, kept in one folder.

Encoding a picture costs more than a training step of the small models here, so each scene is encoded once and used
several times with fresh noise. Scene i is drawn with the generator (seed, i): the folder is a cache that can be
thrown away, cut off anywhere while it grows, and extended later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import VQModel
from numpy.typing import NDArray
from torch import Tensor

from studio.engine.device import has_fast_bfloat16
from studio.errors import StudioError
from studio.training.alignment import FEATURE_CHANNELS, features_of
from studio.training.perceptual import EfficientNetFeatures
from studio.training.stream import Source, to_pm1
from studio.training.text import TextEncoder

_CHUNK = 32
_FACTS, _FILLED = "scenes.json", "filled.json"


def codes_digest(vqvae: VQModel) -> str:
    """Return a short digest of what decides the codes: encoder and codebook (the decoder may be refined later)."""
    digest = hashlib.sha256()
    for name, value in sorted(vqvae.state_dict().items()):
        if name.startswith(("encoder.", "quant_conv.", "quantize.")):
            digest.update(name.encode() + value.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _half(device: torch.device) -> AbstractContextManager[None]:
    """Half the precision for twice the speed, where the device is faster in it."""
    if device.type == "cpu" and not has_fast_bfloat16():
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


@torch.no_grad()
def encode_codes(vqvae: VQModel, pictures: Tensor) -> Tensor:
    """Return code indices (b, h/f, w/f) int64 of pictures (b, 3, h, w) in [-1, 1]; the nearest code, in float32."""
    with _half(pictures.device):
        z = vqvae.quant_conv(vqvae.encoder(pictures)).float()  # (b, d, h/f, w/f)
    codes = vqvae.quantize.embedding.weight.float()
    flat = z.permute(0, 2, 3, 1).reshape(-1, z.shape[1])
    nearest = torch.addmm(codes.square().sum(1), flat, codes.T, alpha=-2).argmin(1)
    return nearest.view(len(z), *z.shape[2:])


@dataclass
class EncodedScenes:
    """A folder of encoded scenes, memory-mapped; a ``Source`` whose pictures are code indices.

    ``codes``: (n, h, w) uint16; ``context``: (n, length, width) float16 hidden states of the caption; ``features``:
    (n, 320, side/32, side/32) float16 of the picture, for ``alignment``, if the folder was made with them.
    """

    folder: Path
    codes: NDArray[np.uint16]
    context: NDArray[np.float16]
    filled: int
    codes_digest: str
    features: NDArray[np.float16] | None = None

    def __len__(self) -> int:
        return self.filled

    def sample(self, rng: np.random.Generator, size: int) -> tuple[NDArray[np.int64], str, int]:
        """Pick a scene: its codes (h, w) int64, no caption, its row."""
        row = int(rng.integers(self.filled))
        return self.codes[row].astype(np.int64), "", row

    def context_of(self, rows: list[int]) -> Tensor:
        """Return the hidden states (b, length, width) float32 of the captions of ``rows``."""
        return torch.from_numpy(np.stack([self.context[row] for row in rows])).float()

    def features_of(self, rows: list[int]) -> Tensor:
        """Return the image features (b, 320, h, w) float32 of ``rows``.

        Raises StudioError when they were not encoded.
        """
        if self.features is None:
            raise StudioError(f"{self.folder} has no image features.", "Encode with --features, or set align_weight=0.")
        return torch.from_numpy(np.stack([self.features[row] for row in rows])).float()


def open_scenes(folder: Path) -> EncodedScenes:
    """Open what ``encode_scenes`` wrote.

    Raises StudioError when there is nothing.
    """
    try:
        meta = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        filled = json.loads((folder / _FILLED).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StudioError(f"{folder} has no encoded scenes.", hint="Encode them first: studio train encode.") from error
    return _map(folder, meta, count=filled, filled=filled)


@dataclass(frozen=True, slots=True)
class Networks:
    """What encodes a scene: its picture to codes, its caption to hidden states, and its picture to ``features``."""

    vqvae: VQModel
    text: TextEncoder
    features: EfficientNetFeatures | None = None

    @property
    def device(self) -> torch.device:
        """Where the autoencoder is."""
        return next(self.vqvae.parameters()).device

    def to(self, device: torch.device) -> Networks:
        """Move all of them to ``device``; return self."""
        for network in (self.vqvae, self.text.model, self.features):
            if network is not None:
                network.to(device)
        return self

    def facts(self, size: int) -> dict[str, Any]:
        """Return what a folder of scenes of ``size`` pixels must agree with."""
        side = size // 2 ** (len(self.vqvae.config.block_out_channels) - 1)
        facts = {"codes": codes_digest(self.vqvae), "side": side, "length": self.text.length, "width": self.text.width}
        return facts if self.features is None else {**facts, "features": size // 32}

    def encode(self, scenes: EncodedScenes, rows: slice, drawn: Sequence[tuple[NDArray[np.integer], str, int]]) -> None:
        """Write ``drawn``, pictures (3, h, w) with captions, into ``rows`` of ``scenes``."""
        pictures = to_pm1(torch.from_numpy(np.stack([picture for picture, _, _ in drawn]))).to(self.device)
        scenes.codes[rows] = encode_codes(self.vqvae, pictures).cpu().numpy().astype(np.uint16)
        if self.features is not None and scenes.features is not None:
            scenes.features[rows] = features_of(self.features, pictures).cpu().numpy()
        with _half(self.device):
            scenes.context[rows] = self.text([caption for _, caption, _ in drawn]).cpu().numpy()


def encode_scenes(
    source: Source,
    networks: Networks,
    folder: Path,
    *,
    count: int,
    seed: int = 0,
    size: int = 256,
    origin: str = "",
    on_progress: Callable[[int, int], None] = lambda done, count: None,
) -> EncodedScenes:
    """Return ``count`` encoded scenes, making those that ``folder`` does not have yet.

    ``origin`` names the data (a pack's digest), so that scenes of two packs never mix.

    Raises StudioError when the folder belongs to another codebook or another setting.
    """
    networks.vqvae.to(memory_format=torch.channels_last)
    scenes = _begun(folder, {**networks.facts(size), "seed": seed, "origin": origin}, count)
    with (folder / "captions.txt").open("a", encoding="utf-8") as captions:
        while scenes.filled < count:
            rows = slice(scenes.filled, min(scenes.filled + _CHUNK, count))
            drawn = [source.sample(np.random.default_rng((seed, i)), size) for i in range(rows.start, rows.stop)]
            networks.encode(scenes, rows, drawn)
            captions.write("".join(f"{row}\t{sample[1]}\n" for row, sample in enumerate(drawn, rows.start)))
            scenes.filled = rows.stop
            (folder / _FILLED).write_text(json.dumps(scenes.filled), encoding="utf-8")
            on_progress(scenes.filled, count)
    return scenes


def _begun(folder: Path, facts: dict[str, Any], count: int) -> EncodedScenes:
    """Return the scenes in ``folder``, with room for ``count``; raises StudioError when they are not of ``facts``."""
    folder.mkdir(parents=True, exist_ok=True)
    described, filled = folder / _FACTS, folder / _FILLED
    if described.is_file() and json.loads(described.read_text(encoding="utf-8")) != facts:
        raise StudioError(
            f"{folder} holds scenes of another codebook, pack or setting.", "Choose another folder, or delete this one."
        )
    described.write_text(json.dumps(facts), encoding="utf-8")
    done = json.loads(filled.read_text(encoding="utf-8")) if filled.is_file() else 0
    return _map(folder, facts, count=max(count, done), filled=done)


def _map(folder: Path, meta: dict[str, Any], *, count: int, filled: int) -> EncodedScenes:
    codes = _grown(folder / "codes.u16", np.uint16, (count, meta["side"], meta["side"]))
    context = _grown(folder / "context.f16", np.float16, (count, meta["length"], meta["width"]))
    features = None
    if side := meta.get("features"):
        features = _grown(folder / "features.f16", np.float16, (count, FEATURE_CHANNELS, side, side))
    return EncodedScenes(folder, codes, context, filled, str(meta["codes"]), features)


def _grown(path: Path, kind: type, shape: tuple[int, ...]) -> NDArray:  # type: ignore[type-arg]
    """Map ``path`` with room for ``shape``, longer than before if need be; what is there stays."""
    wanted = int(np.prod(shape)) * np.dtype(kind).itemsize
    path.touch()
    if path.stat().st_size < wanted:
        with path.open("r+b") as file:
            file.truncate(wanted)
    return np.memmap(path, kind, "r+", shape=shape)
