"""Decode a part of a picture: only what lies near an edit is computed, its surroundings come from a recording.

Where a level's activations are kept, a convolution needs one pixel around the part, and reads it from there; what it
finds is written back, so that the next edit sees it. The finest level is too large to keep. There the part is begun
as much larger as its convolutions eat up, which is little beside the size of a token.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from studio.codebook.boxes import Box
from studio.codebook.recording import Recording

Shape = tuple[int, int]


def decode_part(decoder: Any, latents: Tensor, *, box: Box, shape: Shape, recording: Recording) -> Tensor:
    """Return the decoder's output (1, 3, bh * f, bw * f) for the tokens in `box`.

    Args:
        decoder: A diffusers decoder with ReplayedGroupNorms that replay `recording`, without attention.
        latents: What the decoder is given for the tokens in `box` and one around them, (1, c, h, w).
        shape: Rows and columns of the whole map.
    """
    starts = _starts(decoder, box, shape, recording.levels)
    kept = recording.kept
    x = _convolve(decoder.conv_in, latents, have=box.grown(1, shape), want=box, shape=shape)
    for resnet in decoder.mid_block.resnets:
        x = _kept_resnet(resnet, x, box, shape, kept)
    have = box
    for level, block in enumerate(decoder.up_blocks):
        is_kept = level < recording.levels
        for resnet in block.resnets:
            if is_kept:
                x = _kept_resnet(resnet, x, have, shape, kept)
            else:
                x, have = _shrinking_resnet(resnet, x, have, shape)
        if block.upsamplers is not None:
            upsampler, (fine, coarse) = block.upsamplers[0], starts[level + 1]
            if is_kept:
                x, have = _merged(upsampler, x, have, coarse, kept), coarse
            x, have = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest"), have.scaled(2)
            shape = shape[0] * 2, shape[1] * 2
            x, have = _convolve(upsampler.conv, x, have=have, want=fine, shape=shape), fine
    x = decoder.conv_act(decoder.conv_norm_out(x))
    factor = 2 ** (len(decoder.up_blocks) - 1)
    return _convolve(decoder.conv_out, x, have=have, want=box.scaled(factor), shape=shape)


def _starts(decoder: Any, box: Box, shape: Shape, levels: int) -> dict[int, tuple[Box, Box]]:
    """Return for each finer level the box that its first resnet is given, and that on the coarser grid before it."""
    last = len(decoder.up_blocks) - 1
    grids = [(shape[0] * 2**level, shape[1] * 2**level) for level in range(last + 1)]
    starts: dict[int, tuple[Box, Box]] = {}
    need = box.scaled(2**last).grown(1, grids[last])  # what the last convolution is given
    for level in range(last, 0, -1):
        kept = level < levels
        need = box.scaled(2**level) if kept else need.grown(2 * len(decoder.up_blocks[level].resnets), grids[level])
        coarse = need.grown(1, grids[level]).halved()
        starts[level] = need, coarse
        need = coarse
    return starts


def _kept_resnet(resnet: Any, x: Tensor, box: Box, shape: Shape, kept: dict[nn.Module, Tensor]) -> Tensor:
    around = box.grown(1, shape)
    hidden = resnet.nonlinearity(resnet.norm1(_merged(resnet.norm1, x, box, around, kept)))
    hidden = _convolve(resnet.conv1, hidden, have=around, want=box, shape=shape)
    hidden = resnet.nonlinearity(resnet.norm2(_merged(resnet.norm2, hidden, box, around, kept)))
    return _summed(resnet, x, _convolve(resnet.conv2, hidden, have=around, want=box, shape=shape))


def _shrinking_resnet(resnet: Any, x: Tensor, have: Box, shape: Shape) -> tuple[Tensor, Box]:
    """Return the resnet's output where it can be known from `x` on `have` alone, and that box."""
    once = have.shrunk(shape)
    twice = once.shrunk(shape)
    hidden = _convolve(resnet.conv1, resnet.nonlinearity(resnet.norm1(x)), have=have, want=once, shape=shape)
    hidden = resnet.nonlinearity(resnet.norm2(hidden))
    rows, columns = twice.within(have)
    hidden = _convolve(resnet.conv2, hidden, have=once, want=twice, shape=shape)
    return _summed(resnet, x[..., rows, columns], hidden), twice


def _summed(resnet: Any, x: Tensor, hidden: Tensor) -> Tensor:
    x = x if resnet.conv_shortcut is None else resnet.conv_shortcut(x)
    return (x + hidden) / resnet.output_scale_factor


def _merged(module: nn.Module, x: Tensor, box: Box, want: Box, kept: dict[nn.Module, Tensor]) -> Tensor:
    """Write `x` into what is kept for `module` at `box`, and return it with its surroundings as far as `want`."""
    whole = kept[module]
    whole[..., box.top : box.bottom, box.left : box.right] = x
    return whole[..., want.top : want.bottom, want.left : want.right]


def _convolve(conv: nn.Conv2d, x: Tensor, *, have: Box, want: Box, shape: Shape) -> Tensor:
    """Return the 3x3 convolution on `want` of `x` on `have`, which covers one more on each side but the edges'."""
    need = want.grown(1, shape)
    rows, columns = need.within(have)
    beyond = (
        need.left - want.left + 1,
        want.right + 1 - need.right,
        need.top - want.top + 1,
        want.bottom + 1 - need.bottom,
    )
    x = nn.functional.pad(x[..., rows, columns], beyond) if any(beyond) else x[..., rows, columns]
    return nn.functional.conv2d(x, conv.weight, conv.bias)
