"""Fast local re-decode: the picture follows the brush.

Three things tie a decoder's pixels to far-away tokens: convolutions (a bounded reach), GroupNorm (statistics over
the whole picture) and attention (everything). Here an exact decode records the GroupNorm statistics once; an edit
then decodes only a crop around it with those statistics replayed (as in Tiled VAE). The crop shrinks level by
level as resolution grows, because a convolution reaches as many pixels on a fine level as on a coarse one, so
most of the work is spent near the brush. How far around an edit pixels are repainted (`paste`, in tokens) and how
much margin each level keeps (`halo`, in pixels of that level) is measured per model by `calibrate`.

Models with attention or spatial norm have no local form; there every edit is decoded exactly.
"""

from __future__ import annotations

import threading
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from studio.codebook.tokens import TokenMap
from studio.codebook.vqgan import Vqgan, to_picture
from studio.errors import InvalidRequest

PASTES = (1, 2, 3, 4)
HALOS = (1, 2, 3, 4, 6)
TOLERANCE = 0.7  # mean levels of 255 over the picture; less than the 1 that is promised, as edits differ
KNEE = 1.2  # a reach is wide enough when the widest is not better by more than this factor
CALIBRATION_TOKENS = 16
CALIBRATION_DABS = 2
MAX_SHARE = 0.7  # of the picture; a larger patch costs as much as all of it


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


@dataclass(frozen=True, slots=True)
class Patch:
    """A piece of picture to put at (left, top); `exact` when it is what a full decode gives."""

    image: Image.Image
    left: int
    top: int
    exact: bool


class ReplayedGroupNorm(nn.Module):
    """GroupNorm that can record its statistics on one picture and replay them on crops of it."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.groups, self.eps = norm.num_groups, norm.eps
        self.weight, self.bias = norm.weight, norm.bias
        self.statistics: tuple[Tensor, Tensor] | None = None
        self.recording = False

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` (1, c, h, w) with its own statistics while recording, else with the recorded ones."""
        if self.recording:
            grouped = x.float().reshape(1, self.groups, -1)
            variance, mean = torch.var_mean(grouped, dim=2, correction=0)
            self.statistics = (mean[0], (variance[0] + self.eps).rsqrt())
            return nn.functional.group_norm(x, self.groups, self.weight, self.bias, self.eps)
        assert self.statistics is not None
        mean, inverse = (s.repeat_interleave(x.shape[1] // self.groups) for s in self.statistics)
        scale = self.weight.float() * inverse
        shift = self.bias.float() - mean * scale
        return torch.addcmul(shift[:, None, None].to(x.dtype), x, scale[:, None, None].to(x.dtype))


class LocalDecoder:
    """A VQGAN's decoder that can decode part of a map. Shares the model's weights; safe to use from threads."""

    def __init__(self, vqgan: Vqgan, reach: Reach | None = None) -> None:
        """Prepare the decoder, and `calibrate` where `reach` is not given."""
        self.vqgan = vqgan
        self._lock = threading.Lock()
        self._decoder, self._norms = _with_replayed_norms(vqgan.model.decoder)
        self.reach = reach
        if reach is None and not vqgan.has_attention and vqgan.model.config.norm_type == "group":
            self.reach = calibrate(self)

    @property
    def is_local(self) -> bool:
        """Whether edits can decode locally."""
        return self.reach is not None

    @torch.inference_mode()
    def record(self, tokens: TokenMap) -> tuple[NDArray[np.uint8], list[tuple[Tensor, Tensor]]]:
        """Decode `tokens` exactly and return the pixels of the full grid (H, W, 3) and the statistics."""
        self.vqgan.check(tokens)
        quant = self.vqgan.code_vectors(tokens.codes[None]).to(self.vqgan.dtype)
        with self._lock:
            for norm in self._norms:
                norm.recording = True
            try:
                spatial = quant if self.vqgan.model.config.norm_type == "spatial" else None
                pixels = self._decoder(self.vqgan.model.post_quant_conv(quant), spatial)
                statistics = [n.statistics for n in self._norms if n.statistics is not None]
            finally:
                for norm in self._norms:
                    norm.recording, norm.statistics = False, None
        return self.vqgan.to_uint8(pixels)[0], statistics

    @torch.inference_mode()
    def decode(
        self, tokens: TokenMap, box: Box, *, statistics: list[tuple[Tensor, Tensor]], halo: int
    ) -> NDArray[np.uint8]:
        """Return the pixels of the tokens in `box` with recorded `statistics`: (bh * f, bw * f, 3)."""
        levels = self._levels(box, tokens.shape, halo)
        need = levels[0]
        codes = tokens.codes[need.top : need.bottom, need.left : need.right]
        quant = self.vqgan.code_vectors(codes[None]).to(self.vqgan.dtype)
        with self._lock:
            for norm, recorded in zip(self._norms, statistics, strict=True):
                norm.statistics = recorded
            try:
                x = self._decoder.mid_block(self._decoder.conv_in(self.vqgan.model.post_quant_conv(quant)))
                have = need
                for block, need in zip(self._decoder.up_blocks, levels[1:], strict=True):
                    rows, columns = need.within(have)
                    x = block(x[:, :, rows, columns].contiguous(memory_format=torch.channels_last))
                    have = need.scaled(2) if block.upsamplers is not None else need
                x = self._decoder.conv_out(self._decoder.conv_act(self._decoder.conv_norm_out(x)))
            finally:
                for norm in self._norms:
                    norm.statistics = None
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


class LivePicture:
    """A picture being painted: each edit repaints a patch at once; `settle` makes all of it exact.

    `image` is what the artist sees. It may differ from the exact decode by less than one level of 255 on average
    until `settle`; whatever is saved must come from `settle` or `Vqgan.decode`.
    """

    def __init__(self, decoder: LocalDecoder, tokens: TokenMap) -> None:
        self._decoder = decoder
        self._pixels, self._statistics = decoder.record(tokens)
        self._tokens = self._recorded = tokens
        self.is_exact = True

    @property
    def tokens(self) -> TokenMap:
        """The map shown."""
        return self._tokens

    @property
    def image(self) -> Image.Image:
        """The picture shown."""
        return to_picture(self._pixels, self._tokens.size)

    def edit(self, tokens: TokenMap) -> Patch | None:
        """Show `tokens` and return the patch to repaint, or None when nothing changed.

        Raises:
            InvalidRequest: `tokens` has another size or model.
        """
        if tokens.size != self._tokens.size:
            raise InvalidRequest(f"The picture is {self._tokens.size} pixels, the edit {tokens.size}.")
        self._decoder.vqgan.check(tokens)
        box = changed_box(self._tokens, tokens)
        if box is None:
            return None
        reach, shape = self._decoder.reach, tokens.shape
        box = box.grown(reach.paste if reach else 0, shape)
        share = (box.bottom - box.top) * (box.right - box.left) / (shape[0] * shape[1])
        drift = float((tokens.codes != self._recorded.codes).mean())
        if reach is None or share > MAX_SHARE or drift > reach.drift:
            self._tokens = tokens
            return Patch(self.settle(), 0, 0, exact=True)
        pixels = self._decoder.decode(tokens, box, statistics=self._statistics, halo=reach.halo)
        at = box.scaled(tokens.factor)
        self._pixels[at.top : at.bottom, at.left : at.right] = pixels
        self._tokens, self.is_exact = tokens, False
        shown = to_picture(pixels, (min(at.right, tokens.size[0]) - at.left, min(at.bottom, tokens.size[1]) - at.top))
        return Patch(shown, at.left, at.top, exact=False)

    def settle(self) -> Image.Image:
        """Decode the whole map exactly, record its statistics for further edits, and return the picture."""
        self._pixels, self._statistics = self._decoder.record(self._tokens)
        self._recorded = self._tokens
        self.is_exact = True
        return self.image


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
    return Reach(paste, halo, drift=min(0.25, TOLERANCE * share / max(error(paste, halo), 1e-6)))


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


def _with_replayed_norms(decoder: nn.Module) -> tuple[Any, list[ReplayedGroupNorm]]:
    """Return a decoder that shares every weight with `decoder`, its GroupNorms replaced."""
    twin = deepcopy(decoder, {id(p): p for p in decoder.parameters()})
    norms = []
    for module in list(twin.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.GroupNorm):
                replayed = ReplayedGroupNorm(child)
                setattr(module, name, replayed)
                norms.append(replayed)
    return twin, norms
