"""Fast local re-decode: what the picture that follows the brush is made with (`studio.codebook.live`).

Three things tie a decoder's pixels to far-away tokens: convolutions (a bounded reach), GroupNorm (statistics over
the whole picture) and attention (everything). Here an exact decode leaves a recording: the GroupNorm statistics and
the activations of all but the finest levels. An edit then decodes only a part around it, with those statistics
replayed (as in Tiled VAE) and the surroundings taken from the recording. How far around an edit pixels are repainted
(`paste`, in tokens) is measured per model by `calibrate`.

Models with attention or spatial norm have no local form; there every edit is decoded exactly.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from studio.codebook.boxes import Box, changed_box
from studio.codebook.part import decode_part
from studio.codebook.recording import Recording, ReplayedGroupNorm, Turn
from studio.codebook.tokens import TokenMap
from studio.codebook.vqgan import Vqgan
from studio.errors import InvalidRequest

PASTES = (1, 2, 3, 4)
TOLERANCE = 0.75  # mean levels of 255 over the picture; less than the 1 that is promised, as edits differ
KNEE = 1.2  # a reach is wide enough when the widest is not better by more than this factor
MAX_DRIFT = 0.25  # share of the tokens that may ever differ from the last exact decode
CALIBRATION_TOKENS = 16
CALIBRATION_DABS = 2
LESS_URGENT = 10  # steps of niceness between the brush and the exact decode beside it
KEPT_BYTES = 64 * 2**20  # of activations in a recording
KEPT_RECORDINGS = 6  # the newest; a picture that has lost its own decodes exactly once before it is painted on


class Reach(NamedTuple):
    """How far a local decode goes.

    Attributes:
        paste: Tokens repainted around an edit.
        drift: Share of the tokens that may differ from the last exact decode before the next one is due, because
            edits shift the statistics of the whole picture.
    """

    paste: int
    drift: float


class LocalDecoder:
    """A VQGAN's decoder that can decode part of a map. Shares the model's weights; no thread waits for another."""

    def __init__(self, vqgan: Vqgan, reach: Reach | None = None) -> None:
        """Prepare the decoder, and `calibrate` where `reach` is not given."""
        self.vqgan = vqgan
        self._turn = Turn()
        self._recent: list[weakref.ref[Recording]] = []
        self._guard = threading.Lock()
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="exact-decode", initializer=_step_back)
        self._decoder = _recording_twin(vqgan.model.decoder, self._turn)
        self._channels = _channels(self._decoder)
        has_levels = len(self._channels) > 1
        self._has_local_form = has_levels and not vqgan.has_attention and vqgan.model.config.norm_type == "group"
        self.reach = reach
        if reach is None and self._has_local_form:
            self.reach = calibrate(self)

    @property
    def is_local(self) -> bool:
        """Whether edits can decode locally."""
        return self.reach is not None

    @torch.inference_mode()
    def record(self, tokens: TokenMap) -> tuple[NDArray[np.uint8], Recording]:
        """Decode `tokens` exactly and return the pixels of the full grid (H, W, 3) and a recording for `decode`."""
        self.vqgan.check(tokens)
        quant = self.vqgan.code_vectors(tokens.codes[None]).to(self.vqgan.dtype)
        levels = self._kept_levels(tokens.shape) if self._has_local_form else 0
        recording = Recording(levels)
        self._turn.found, self._turn.height = recording, tokens.shape[0] * 2**levels // 2
        try:
            spatial = quant if self.vqgan.model.config.norm_type == "spatial" else None
            pixels = self._decoder(self.vqgan.model.post_quant_conv(quant), spatial)
        finally:
            self._turn.found = None
        if self._has_local_form:
            recording.pixels = pixels.contiguous(memory_format=torch.channels_last)
        self._keep(recording)
        return self.vqgan.to_uint8(pixels)[0], recording

    def record_aside(self, tokens: TokenMap) -> Future[tuple[NDArray[np.uint8], Recording]]:
        """Begin `record` on a thread of its own; one after the other."""
        return self._aside.submit(self.record, tokens)

    @torch.inference_mode()
    def decode(self, tokens: TokenMap, box: Box, recording: Recording) -> NDArray[np.uint8]:
        """Return the pixels of the tokens in `box`, (bh * f, bw * f, 3), and note them down in `recording`."""
        need = box.grown(1, tokens.shape)
        codes = tokens.codes[need.top : need.bottom, need.left : need.right]
        quant = self.vqgan.code_vectors(codes[None]).to(self.vqgan.dtype)
        self._turn.given = recording
        try:
            latents = self.vqgan.model.post_quant_conv(quant)
            pixels = decode_part(self._decoder, latents, box=box, shape=tokens.shape, recording=recording)
        finally:
            self._turn.given = None
        at = box.scaled(self.vqgan.factor)
        recording.pixels[..., at.top : at.bottom, at.left : at.right] = pixels
        return self.vqgan.to_uint8(pixels)[0]

    @torch.inference_mode()
    def error(self, first: Tensor, second: Tensor, where: NDArray[np.bool_] | None = None) -> float:
        """Return the mean difference of decoded pixels (1, 3, H, W), over those `where` (H, W), in levels of 255."""
        span = 1.0 if self.vqgan.unit_range else 2.0
        low = 1 - span
        apart = (first.float().clamp(low, 1) - second.float().clamp(low, 1)).abs().mean(1)[0]  # (H, W)
        if where is not None:
            apart = apart[torch.from_numpy(where).to(apart.device)]
        return float(apart.mean()) * 255 / span

    def _kept_levels(self, shape: tuple[int, int]) -> int:
        """Return how many levels to keep of a map: at least the coarsest, never the finest."""
        budget, levels = KEPT_BYTES // self.vqgan.dtype.itemsize, 0
        for level, channels in enumerate(self._channels[:-1]):
            budget -= channels * shape[0] * shape[1] * 4**level
            if budget < 0:
                break
            levels += 1
        return max(levels, 1)

    def _keep(self, recording: Recording) -> None:
        """Let the oldest recording go where there are more than KEPT_RECORDINGS in use."""
        with self._guard:
            self._recent = [known for known in self._recent if known() is not None]
            self._recent.append(weakref.ref(recording))
            while len(self._recent) > KEPT_RECORDINGS:
                if (oldest := self._recent.pop(0)()) is not None:
                    oldest.forget()


def calibrate(decoder: LocalDecoder, *, seed: int = 0) -> Reach:
    """Measure how far a local decode must go in this model, and how many edits its statistics stand.

    On a drawn picture with dabs of other codes: the smallest paste whose error over the whole picture is about that
    of the widest. What error then remains comes from the statistics and grows with the share of tokens that changed;
    `drift` is the share at which it reaches TOLERANCE.
    """
    before, edits = _calibration_maps(decoder.vqgan, seed)
    exact = [decoder.record(after)[0].astype(np.float32) for after in edits]
    pixels, recording = decoder.record(before)

    def error(paste: int) -> float:
        total = 0.0
        for after, expected in zip(edits, exact, strict=True):
            dab = changed_box(before, after)
            assert dab is not None
            box = dab.grown(paste, before.shape)
            at = box.scaled(before.factor)
            shown = pixels.copy()
            shown[at.top : at.bottom, at.left : at.right] = decoder.decode(after, box, recording.copy())
            total += float(np.abs(shown - expected).mean())
        return total / len(edits)

    enough = KNEE * error(PASTES[-1]) + 0.02
    paste = next((p for p in PASTES if error(p) <= enough), PASTES[-1])
    share = float(np.mean([(after.codes != before.codes).mean() for after in edits]))
    return Reach(paste, drift=min(MAX_DRIFT, TOLERANCE * share / max(error(paste), 1e-6)))


def _calibration_maps(vqgan: Vqgan, seed: int) -> tuple[TokenMap, list[TokenMap]]:
    """Return the map of a drawn picture (waves and discs) and the same with a 2x2 dab of another of its codes."""
    rng = np.random.default_rng(seed)
    side = CALIBRATION_TOKENS * vqgan.factor
    y, x = np.mgrid[0:side, 0:side] / side
    field = np.stack([np.sin(6 * x * a + 4 * y * b + c) for a, b, c in rng.uniform(0.3, 2, (3, 3))], -1)
    for cx, cy, radius, colour in rng.uniform(0, 1, (6, 4)):
        field[(x - cx) ** 2 + (y - cy) ** 2 < (0.05 + 0.15 * radius) ** 2] = np.cos(9 * colour + np.arange(3))
    before = vqgan.encode(Image.fromarray(((field + 1) * 127.5).astype(np.uint8)))
    edits: list[TokenMap] = []
    while len(edits) < CALIBRATION_DABS:
        codes = before.codes.copy()
        top, left = rng.integers(2, CALIBRATION_TOKENS - 4, 2)
        codes[top : top + 2, left : left + 2] = (int(rng.choice(before.codes.ravel())) + 1) % vqgan.codebook_size
        if (codes != before.codes).any():
            edits.append(before.with_codes(codes))
        elif vqgan.codebook_size == 1:
            raise InvalidRequest("A codebook of one code has nothing to edit.")
    return before, edits


def _step_back() -> None:
    """Have this thread give way to the others: the brush comes first. Only Linux knows a thread's own priority."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + LESS_URGENT)


def _recording_twin(decoder: nn.Module, turn: Turn) -> Any:
    """Return a decoder that shares every weight with `decoder`; its norms and upsamplers record and replay."""
    twin: Any = deepcopy(decoder, {id(p): p for p in decoder.parameters()})
    for module in list(twin.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.GroupNorm):
                setattr(module, name, ReplayedGroupNorm(child, turn))
    for block in twin.up_blocks:
        for upsampler in block.upsamplers or ():
            upsampler.register_forward_pre_hook(lambda module, given: turn.keep(module, given[0]))
    return twin


def _channels(decoder: Any) -> list[int]:
    """Return how many channels a recording keeps on each level, coarse to fine."""

    def of(blocks: list[Any]) -> int:
        norms = [m for block in blocks for m in block.modules() if isinstance(m, ReplayedGroupNorm)]
        upsamplers = [upsampler for block in blocks for upsampler in getattr(block, "upsamplers", None) or ()]
        return sum(len(norm.weight) for norm in norms) + sum(upsampler.channels for upsampler in upsamplers)

    coarsest, *finer = decoder.up_blocks
    return [of([decoder.mid_block, coarsest]), *(of([block]) for block in finer)]
