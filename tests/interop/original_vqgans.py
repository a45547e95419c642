"""taming-transformers' and LlamaGen's VQGANs, computed plainly from their own state dicts: the oracle.

Random weights of the original key layouts and the original forward passes, written from the papers' code
(Esser et al. 2021; Sun et al. 2024), with functional torch only and nothing of diffusers or the studio.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]


@dataclass(frozen=True)
class Shape:
    """What the original configs say."""

    layout: str  # "taming" or "LlamaGen"
    ch: int = 32
    ch_mult: tuple[int, ...] = (1, 1, 2)
    blocks: int = 2
    attention_levels: tuple[int, ...] = (2,)
    mid_attention: bool = True
    z: int = 4
    embed: int = 4
    codes: int = 64


def random_state(shape: Shape, *, seed: int = 0) -> State:
    """Random weights under the original names."""
    generator = torch.Generator().manual_seed(seed)
    state: State = {}

    def conv(name: str, cin: int, cout: int, k: int) -> None:
        state[f"{name}.weight"] = torch.randn(cout, cin, k, k, generator=generator) * (cin * k * k) ** -0.5
        state[f"{name}.bias"] = torch.randn(cout, generator=generator) * 0.1

    def norm(name: str, c: int) -> None:
        state[f"{name}.weight"] = 1 + 0.2 * torch.randn(c, generator=generator)
        state[f"{name}.bias"] = torch.randn(c, generator=generator) * 0.1

    def resnet(name: str, cin: int, cout: int) -> None:
        norm(f"{name}.norm1", cin)
        conv(f"{name}.conv1", cin, cout, 3)
        norm(f"{name}.norm2", cout)
        conv(f"{name}.conv2", cout, cout, 3)
        if cin != cout:
            conv(f"{name}.nin_shortcut", cin, cout, 1)

    def attention(name: str, c: int) -> None:
        norm(f"{name}.norm", c)
        for part in ("q", "k", "v", "proj_out"):
            conv(f"{name}.{part}", c, c, 1)

    levels, channels = len(shape.ch_mult), [shape.ch * m for m in shape.ch_mult]
    names = Names(shape)
    conv("encoder.conv_in", 3, shape.ch, 3)
    c = shape.ch
    for i in range(levels):
        for j in range(shape.blocks):
            resnet(names.block("encoder", i, j), c, channels[i])
            c = channels[i]
            if i in shape.attention_levels:
                attention(names.attention("encoder", i, j), c)
        if i < levels - 1:
            conv(names.resize("encoder", i), c, c, 3)
    for part in ("encoder", "decoder"):
        first, middle, last = names.mid(part)
        resnet(first, c, c)
        if shape.mid_attention:
            attention(middle, c)
        resnet(last, c, c)
    norm("encoder.norm_out", c)
    conv("encoder.conv_out", c, shape.z, 3)
    conv("decoder.conv_in", shape.z, c, 3)
    for i in reversed(range(levels)):
        for j in range(shape.blocks + 1):
            resnet(names.block("decoder", i, j), c, channels[i])
            c = channels[i]
            if i in shape.attention_levels:
                attention(names.attention("decoder", i, j), c)
        if i > 0:
            conv(names.resize("decoder", i), c, c, 3)
    norm("decoder.norm_out", c)
    conv("decoder.conv_out", c, 3, 3)
    conv("quant_conv", shape.z, shape.embed, 1)
    conv("post_quant_conv", shape.embed, shape.z, 1)
    state["quantize.embedding.weight"] = torch.randn(shape.codes, shape.embed, generator=generator)
    return state


class Names:
    """Where things are called what in the two layouts."""

    def __init__(self, shape: Shape) -> None:
        self.taming, self.levels = shape.layout == "taming", len(shape.ch_mult)

    def _level(self, part: str, i: int) -> str:
        if self.taming:
            return f"{part}.{'down' if part == 'encoder' else 'up'}.{i}"
        return f"{part}.conv_blocks.{i if part == 'encoder' else self.levels - 1 - i}"

    def block(self, part: str, i: int, j: int) -> str:
        return f"{self._level(part, i)}.{'block' if self.taming else 'res'}.{j}"

    def attention(self, part: str, i: int, j: int) -> str:
        return f"{self._level(part, i)}.attn.{j}"

    def resize(self, part: str, i: int) -> str:
        return f"{self._level(part, i)}.{'downsample' if part == 'encoder' else 'upsample'}.conv"

    def mid(self, part: str) -> tuple[str, str, str]:
        names = ("block_1", "attn_1", "block_2") if self.taming else ("0", "1", "2")
        return tuple(f"{part}.mid.{n}" for n in names)  # type: ignore[return-value]


class Original:
    """The original model's way from picture to indices and back."""

    def __init__(self, state: State, shape: Shape) -> None:
        self.state, self.shape, self.names = state, shape, Names(shape)

    def indices(self, image: Tensor) -> Tensor:
        """image (b, 3, H, W) in [-1, 1] -> indices (b, h, w)."""
        shape, names = self.shape, self.names
        h = self._conv("encoder.conv_in", image)
        for i in range(len(shape.ch_mult)):
            for j in range(shape.blocks):
                h = self._resnet(names.block("encoder", i, j), h)
                if i in shape.attention_levels:
                    h = self._attention(names.attention("encoder", i, j), h)
            if i < len(shape.ch_mult) - 1:
                h = self._conv(names.resize("encoder", i), F.pad(h, (0, 1, 0, 1)), stride=2, padding=0)
        h = self._conv("encoder.conv_out", F.silu(self._norm("encoder.norm_out", self._mid("encoder", h))))
        z = self._conv("quant_conv", h).permute(0, 2, 3, 1)  # (b, h, w, d)
        codes = self._codes()
        if shape.layout == "LlamaGen":
            z = F.normalize(z, dim=-1)
        flat = z.reshape(-1, z.shape[-1])
        distance = flat.square().sum(1, keepdim=True) + codes.square().sum(1) - 2 * flat @ codes.t()
        return distance.argmin(1).reshape(z.shape[:3])

    def picture(self, indices: Tensor) -> Tensor:
        """indices (b, h, w) -> image (b, 3, H, W)."""
        shape, names = self.shape, self.names
        quant = self._codes()[indices].permute(0, 3, 1, 2)
        h = self._mid("decoder", self._conv("decoder.conv_in", self._conv("post_quant_conv", quant)))
        for i in reversed(range(len(shape.ch_mult))):
            for j in range(shape.blocks + 1):
                h = self._resnet(names.block("decoder", i, j), h)
                if i in shape.attention_levels:
                    h = self._attention(names.attention("decoder", i, j), h)
            if i > 0:
                h = self._conv(names.resize("decoder", i), F.interpolate(h, scale_factor=2.0, mode="nearest"))
        return self._conv("decoder.conv_out", F.silu(self._norm("decoder.norm_out", h)))

    def _codes(self) -> Tensor:
        codes = self.state["quantize.embedding.weight"]
        return F.normalize(codes, dim=-1) if self.shape.layout == "LlamaGen" else codes

    def _conv(self, name: str, x: Tensor, *, stride: int = 1, padding: int | None = None) -> Tensor:
        weight = self.state[f"{name}.weight"]
        padding = weight.shape[-1] // 2 if padding is None else padding
        return F.conv2d(x, weight, self.state[f"{name}.bias"], stride=stride, padding=padding)

    def _norm(self, name: str, x: Tensor) -> Tensor:
        return F.group_norm(x, 32, self.state[f"{name}.weight"], self.state[f"{name}.bias"], eps=1e-6)

    def _resnet(self, name: str, x: Tensor) -> Tensor:
        h = self._conv(f"{name}.conv1", F.silu(self._norm(f"{name}.norm1", x)))
        h = self._conv(f"{name}.conv2", F.silu(self._norm(f"{name}.norm2", h)))
        return h + (self._conv(f"{name}.nin_shortcut", x) if f"{name}.nin_shortcut.weight" in self.state else x)

    def _attention(self, name: str, x: Tensor) -> Tensor:
        h = self._norm(f"{name}.norm", x)
        q, k, v = (self._conv(f"{name}.{part}", h).flatten(2) for part in "qkv")  # (b, c, n)
        weights = torch.softmax(q.transpose(1, 2) @ k * q.shape[1] ** -0.5, dim=-1)  # (b, n, n)
        return x + self._conv(f"{name}.proj_out", (v @ weights.transpose(1, 2)).reshape(x.shape))

    def _mid(self, part: str, h: Tensor) -> Tensor:
        first, middle, last = self.names.mid(part)
        h = self._resnet(first, h)
        return self._resnet(last, self._attention(middle, h) if self.shape.mid_attention else h)
