"""The key table: where each weight of a taming, latent-diffusion or LlamaGen VQGAN lives in a diffusers VQModel.

taming counts the decoder's levels from fine to coarse, diffusers in the order they run; LlamaGen already lists its
decoder blocks in running order. Attention weights are 1x1 convolutions there and linear layers here.
"""

from __future__ import annotations

import re
from typing import Literal

Layout = Literal["taming", "LlamaGen"]

_UNCHANGED = re.compile(
    r"(quant_conv|post_quant_conv|quantize\.embedding|(encoder|decoder)\.conv_(in|out))\.(weight|bias)"
)
_RESNET = {"norm1": "norm1", "conv1": "conv1", "norm2": "norm2", "conv2": "conv2", "nin_shortcut": "conv_shortcut"}
_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
_MID = {
    "taming": {"block_1": "resnets.0", "attn_1": "attentions.0", "block_2": "resnets.1"},
    "LlamaGen": {"0": "resnets.0", "1": "attentions.0", "2": "resnets.1"},
}
_LEVEL = {
    "taming": re.compile(
        r"(?:encoder\.(?P<down>down)|decoder\.(?P<up>up))\.(?P<level>\d+)\.(?P<kind>block|attn)\.(?P<n>\d+)\.(?P<rest>.+)"
    ),
    "LlamaGen": re.compile(
        r"(?:(?P<down>encoder)|(?P<up>decoder))\.conv_blocks\.(?P<level>\d+)\.(?P<kind>res|attn)\.(?P<n>\d+)\.(?P<rest>.+)"
    ),
}
_RESIZE = {
    "taming": re.compile(
        r"(?:encoder\.(?P<down>down)|decoder\.(?P<up>up))\.(?P<level>\d+)\.(?:down|up)sample\.conv\.(?P<rest>weight|bias)"
    ),
    "LlamaGen": re.compile(
        r"(?:(?P<down>encoder)|(?P<up>decoder))\.conv_blocks\.(?P<level>\d+)\.(?:down|up)sample\.conv\.(?P<rest>weight|bias)"
    ),
}


def diffusers_key(key: str, *, layout: Layout, levels: int) -> str | None:
    """Return the VQModel name of `key`, or None when it has no place there."""
    if _UNCHANGED.fullmatch(key):
        return key
    if match := re.fullmatch(r"(encoder|decoder)\.norm_out\.(weight|bias)", key):
        return f"{match[1]}.conv_norm_out.{match[2]}"
    if match := re.fullmatch(r"(encoder|decoder)\.mid\.(\w+?)\.(.+)", key):
        place = _MID[layout].get(match[2])
        inner = _inner(match[3], attention=place == "attentions.0")
        return f"{match[1]}.mid_block.{place}.{inner}" if place and inner else None
    if match := _RESIZE[layout].fullmatch(key):
        name = "downsamplers" if match["down"] else "upsamplers"
        return f"{_block(match, layout, levels)}.{name}.0.conv.{match['rest']}"
    if match := _LEVEL[layout].fullmatch(key):
        is_attention = match["kind"] == "attn"
        inner = _inner(match["rest"], attention=is_attention)
        place = "attentions" if is_attention else "resnets"
        return f"{_block(match, layout, levels)}.{place}.{match['n']}.{inner}" if inner else None
    return None


def _block(match: re.Match[str], layout: Layout, levels: int) -> str:
    level = int(match["level"])
    if match["down"]:
        return f"encoder.down_blocks.{level}"
    return f"decoder.up_blocks.{levels - 1 - level if layout == 'taming' else level}"


def _inner(rest: str, *, attention: bool) -> str | None:
    """Return the name inside a residual or attention block, or None."""
    name, _, kind = rest.rpartition(".")
    new = (_ATTENTION if attention else _RESNET).get(name)
    return f"{new}.{kind}" if new and kind in ("weight", "bias") else None
