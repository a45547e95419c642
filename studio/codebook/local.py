"""Fast local re-decode: what the picture that follows the brush is made with (`studio.codebook.live`).

Three things tie a decoder's pixels to far-away tokens: convolutions (a bounded reach), GroupNorm (statistics over
the whole picture) and attention (everything). Here an exact decode records the GroupNorm statistics, which costs
nothing, since the kernel has computed them; an edit then decodes only a crop around it with those statistics
replayed (as in Tiled VAE). The crop shrinks level by level as resolution grows, because a convolution reaches as
many pixels on a fine level as on a coarse one, so most of the work is spent near the brush. How far around an edit
pixels are repainted (`paste`, in tokens) and how much margin each level keeps (`halo`, in pixels of that level) is
measured per model by `calibrate`.

Models with attention or spatial norm have no local form; there every edit is decoded exactly.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from studio.codebook.tokens import TokenMap
from studio.codebook.vqgan import Vqgan
from studio.errors import InvalidRequest

PASTES = (1, 2, 3, 4)
HALOS = (1, 2, 3, 4, 6)
TOLERANCE = 0.5  # mean levels of 255 over the picture; less than the 1 that is promised, as edits differ
KNEE = 1.2  # a reach is wide enough when the widest is not better by more than this factor
MAX_DRIFT = 0.25  # share of the tokens that may ever differ from the last exact decode
CALIBRATION_TOKENS = 16
CALIBRATION_DABS = 2


class Box(NamedTuple):
    """A half-open box of rows and columns."""

    top: int
    left: int
    bottom: int
    right: int

    def grown(self, by: int, shape: tuple[int, int]) -> Box:
        """Return the box `by` larger on each side, clipped to `shape`."""
        return Box(
            max(0, self.top - by),
            max(0, self.left - by),
            min(shape[0], self.bottom + by),
            min(shape[1], self.right + by),
        )

    def scaled(self, by: int) -> Box:
        """Return the box on a grid `by` times finer."""
        return Box(self.top * by, self.left * by, self.bottom * by, self.right * by)

    def halved(self) -> Box:
        """Return the smallest box on a grid twice as coarse that covers this one."""
        return Box(self.top // 2, self.left // 2, -(-self.bottom // 2), -(-self.right // 2))

    def within(self, outer: Box) -> tuple[slice, slice]:
        """Return the slices of this box inside an array that holds `outer`."""
        return (
            slice(self.top - outer.top, self.bottom - outer.top),
            slice(self.left - outer.left, self.right - outer.left),
        )


class Reach(NamedTuple):
    """How far a local decode goes.

    Attributes:
        paste: Tokens repainted around an edit.
        halo: Pixels of margin kept on each level.
        drift: Share of the tokens that may differ from the last exact decode before the next one is due, because
            edits shift the statistics of the whole picture.
    """

    paste: int
    halo: int
    drift: float


Statistics: TypeAlias = "list[tuple[Tensor, Tensor]]"
"""Mean and variance of every channel, (c,) float32 each, for each GroupNorm of a decoder."""


class _Turn(threading.local):
    """What the norms do for this thread: replay `given`, or note down what they find in `found`."""

    given: Statistics | None = None
    found: dict[int, tuple[Tensor, Tensor]] | None = None


class ReplayedGroupNorm(nn.Module):
    """GroupNorm that can record its statistics on one picture and replay them on crops of it, thread by thread."""

    def __init__(self, norm: nn.GroupNorm, index: int, turn: _Turn) -> None:
        super().__init__()
        self.groups, self.eps = norm.num_groups, norm.eps
        self.weight, self.bias = norm.weight, norm.bias
        self._exact = norm.weight.detach().float(), norm.bias.detach().float()  # with them the kernels keep fp32
        self._index, self._turn = index, turn

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` (1, c, h, w) with its own statistics, or with those that are replayed."""
        if self._turn.given is not None:
            mean, variance = self._turn.given[self._index]
            return nn.functional.batch_norm(x, mean, variance, *self._exact, eps=self.eps)
        if self._turn.found is None or x.device.type != "cpu":
            normed = nn.functional.group_norm(x, self.groups, self.weight, self.bias, self.eps)
            if self._turn.found is not None:
                variance, mean = torch.var_mean(x.float().reshape(self.groups, -1), dim=1, correction=0)
                self._note(mean, variance, x.shape[1])
            return normed
        # The same kernel as group_norm's, and the same result; it hands out what it knows.
        is_channels_last = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
        x = x if is_channels_last else x.contiguous()
        normed, mean, inverse = torch.native_group_norm(
            x, *self._exact, 1, x.shape[1], x[0, 0].numel(), self.groups, self.eps
        )
        self._note(mean[0], inverse[0].pow(-2) - self.eps, x.shape[1])
        return normed

    def _note(self, mean: Tensor, variance: Tensor, channels: int) -> None:
        assert self._turn.found is not None
        repeats = channels // self.groups
        self._turn.found[self._index] = (
            mean.repeat_interleave(repeats),
            variance.clamp_min(0).repeat_interleave(repeats),
        )


class LocalDecoder:
    """A VQGAN's decoder that can decode part of a map. Shares the model's weights; no thread waits for another."""

    def __init__(self, vqgan: Vqgan, reach: Reach | None = None) -> None:
        """Prepare the decoder, and `calibrate` where `reach` is not given."""
        self.vqgan = vqgan
        self._turn = _Turn()
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="exact-decode")
        self._decoder = _with_replayed_norms(vqgan.model.decoder, self._turn)
        self.reach = reach
        if reach is None and not vqgan.has_attention and vqgan.model.config.norm_type == "group":
            self.reach = calibrate(self)

    @property
    def is_local(self) -> bool:
        """Whether edits can decode locally."""
        return self.reach is not None

    @torch.inference_mode()
    def record(self, tokens: TokenMap) -> tuple[NDArray[np.uint8], Statistics]:
        """Decode `tokens` exactly and return the pixels of the full grid (H, W, 3) and the statistics."""
        self.vqgan.check(tokens)
        quant = self.vqgan.code_vectors(tokens.codes[None]).to(self.vqgan.dtype)
        self._turn.found = {}
        try:
            spatial = quant if self.vqgan.model.config.norm_type == "spatial" else None
            pixels = self._decoder(self.vqgan.model.post_quant_conv(quant), spatial)
            statistics = [self._turn.found[index] for index in sorted(self._turn.found)]
        finally:
            self._turn.found = None
        return self.vqgan.to_uint8(pixels)[0], statistics

    def record_aside(self, tokens: TokenMap) -> Future[tuple[NDArray[np.uint8], Statistics]]:
        """Begin `record` on a thread of its own; one after the other."""
        return self._aside.submit(self.record, tokens)

    @torch.inference_mode()
    def decode(self, tokens: TokenMap, box: Box, *, statistics: Statistics, halo: int) -> NDArray[np.uint8]:
        """Return the pixels of the tokens in `box` with recorded `statistics`: (bh * f, bw * f, 3)."""
        levels = self._levels(box, tokens.shape, halo)
        need = levels[0]
        codes = tokens.codes[need.top : need.bottom, need.left : need.right]
        quant = self.vqgan.code_vectors(codes[None]).to(self.vqgan.dtype)
        self._turn.given = statistics
        try:
            x = self._decoder.mid_block(self._decoder.conv_in(self.vqgan.model.post_quant_conv(quant)))
            have = need
            for block, need in zip(self._decoder.up_blocks, levels[1:], strict=True):
                rows, columns = need.within(have)
                x = block(x[:, :, rows, columns].contiguous(memory_format=torch.channels_last))
                have = need.scaled(2) if block.upsamplers is not None else need
            x = self._decoder.conv_out(self._decoder.conv_act(self._decoder.conv_norm_out(x)))
        finally:
            self._turn.given = None
        rows, columns = box.scaled(self.vqgan.factor).within(have)
        return self.vqgan.to_uint8(x[:, :, rows, columns])[0]

    def _levels(self, box: Box, shape: tuple[int, int], halo: int) -> list[Box]:
        """Return the boxes to hold before the middle block and before each upsampling block, coarse to fine."""
        side = self.vqgan.factor
        need = box.scaled(side).grown(1, (shape[0] * side, shape[1] * side))  # conv_out
        boxes: list[Box] = []
        for block in reversed(list(self._decoder.up_blocks)):
            if block.upsamplers is not None:  # its convolution works on the finer grid
                need = need.grown(1, (shape[0] * side, shape[1] * side)).halved()
                side //= 2
            need = need.grown(min(halo, 2 * len(block.resnets)), (shape[0] * side, shape[1] * side))
            boxes.append(need)
        boxes.append(need.grown(min(halo, 2 * len(self._decoder.mid_block.resnets) + 1), shape))
        return boxes[::-1]


def changed_box(first: TokenMap, second: TokenMap) -> Box | None:
    """Return the smallest box of tokens around all differences, or None."""
    rows, columns = np.nonzero(first.codes != second.codes)
    if not len(rows):
        return None
    return Box(int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1)


def calibrate(decoder: LocalDecoder, *, seed: int = 0) -> Reach:
    """Measure how far a local decode must go in this model, and how many edits its statistics stand.

    On a drawn picture with dabs of other codes: the smallest paste and halo whose error over the whole picture is
    about that of the widest. What error then remains comes from the statistics and grows with the share of tokens
    that changed; `drift` is the share at which it reaches TOLERANCE.
    """
    before, edits = _calibration_maps(decoder.vqgan, seed)
    pixels, statistics = decoder.record(before)
    exact = [decoder.record(after)[0].astype(np.float32) for after in edits]

    def error(paste: int, halo: int) -> float:
        total = 0.0
        for after, expected in zip(edits, exact, strict=True):
            dab = changed_box(before, after)
            assert dab is not None
            box = dab.grown(paste, before.shape)
            at = box.scaled(before.factor)
            shown = pixels.copy()
            local = decoder.decode(after, box, statistics=statistics, halo=halo)
            shown[at.top : at.bottom, at.left : at.right] = local
            total += float(np.abs(shown - expected).mean())
        return total / len(edits)

    enough = KNEE * error(PASTES[-1], HALOS[-1]) + 0.02
    paste = next((p for p in PASTES if error(p, HALOS[-1]) <= enough), PASTES[-1])
    halo = next((h for h in HALOS if error(paste, h) <= enough), HALOS[-1])
    share = float(np.mean([(after.codes != before.codes).mean() for after in edits]))
    return Reach(paste, halo, drift=min(MAX_DRIFT, TOLERANCE * share / max(error(paste, halo), 1e-6)))


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


def _with_replayed_norms(decoder: nn.Module, turn: _Turn) -> Any:
    """Return a decoder that shares every weight with `decoder`, its GroupNorms replaced."""
    twin, count = deepcopy(decoder, {id(p): p for p in decoder.parameters()}), 0
    for module in list(twin.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.GroupNorm):
                setattr(module, name, ReplayedGroupNorm(child, count, turn))
                count += 1
    return twin
