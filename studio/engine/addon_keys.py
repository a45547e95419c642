"""What kind of add-on is a .safetensors file, and for which models? Told from its names and shapes alone.

Knows no torch. An add-on is anything that is not a whole model: LoRA, embedding, ControlNet, IP-Adapter,
autoencoder, preview decoder, upscaler. Its base follows from the width of the text vectors it reads: 768 in
SD 1.x, 1024 in SD 2.x, 2048 in SDXL.

Sources: key names of kohya-ss/sd-scripts and diffusers (LoRA), AUTOMATIC1111 (embeddings), lllyasviel/ControlNet,
tencent-ailab/IP-Adapter, madebyollin/taesd, and the detection keys of chaiNNer-org/spandrel (upscalers).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

from studio.engine.checkpoint import Header, Tensor

Kind: TypeAlias = Literal[
    "lora", "embedding", "controlnet", "ip_adapter", "vae", "tiny_vae", "vqgan", "upscaler", "encoder", "motion"
]
KINDS: tuple[str, ...] = get_args(Kind)
WIDTHS: Mapping[int, str] = {768: "sd1", 1024: "sd2", 2048: "sdxl"}
BASE_TITLES: Mapping[str, str] = {
    "sd1": "SD 1.x",
    "sd2": "SD 2.x",
    "sdxl": "SDXL",
    "sd3": "SD 3",
    "flux": "FLUX",
}

_ENCODER_WIDTHS, _MAX_VECTORS = (768, 1024, 1280), 256
_LYCORIS = (".hada_w1_a", ".lokr_w1", ".lokr_w2", ".oft_diag", ".oft_blocks")
_LORA = (".lora_down.", ".lora_up.", ".lora_A.", ".lora_B.", "_lora.down.", "_lora.up.", ".lora.down.", ".lora.up.")
_DENOISER_LORA = ("lora_unet_", "unet.", "transformer.", "lora_transformer_")
_UPSCALERS: tuple[tuple[str, ...], ...] = (
    ("model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"),  # ESRGAN, three generations of names
    ("RRDB_trunk.0.RDB1.conv1.weight",),
    ("conv_first.weight", "body.0.rdb1.conv1.weight"),
    ("body.0.weight", "body.1.weight"),  # Compact
    ("conv_first.weight", "layers.0.residual_group.blocks.0.norm1.weight"),  # SwinIR, Swin2SR, HAT
    ("conv_first.weight", "layers.0.residual_group.td"),  # ATD
    ("conv_first.weight", "layers.0.swin1.norm1.weight"),  # DRCT
    ("conv_first.weight", "before_RG.1.weight"),  # DAT
    ("conv_1.sk.weight", "block_1.c1_r.sk.weight"),  # SPAN
    ("feats.0.weight", "feats.1.lk.conv.weight"),  # PLKSR
    ("unet1.conv1.conv.0.weight", "unet2.conv1.conv.0.weight"),  # Real-CUGAN
    ("residual_layer.0.residual_layer.0.layer.0.fn.0.weight",),  # OmniSR
)
_WRAPPERS = ("params_ema.", "params.", "model_state_dict.", "module.", "netG.")


def kind_of(header: Header) -> Kind | None:
    """Return what kind of add-on the file with `header` is; None for whole models and unknown files."""
    tensors = header.tensors
    if any(key.startswith("model.diffusion_model.") for key in tensors):
        return None
    if is_lycoris(header) or _any(tensors, _LORA):
        return "lora"
    for kind, markers in _MARKED:
        if any(key.startswith(markers) for key in tensors):
            return kind
    if _any(tensors, (".motion_modules.",)):
        return "motion"
    if _is_embedding(tensors):
        return "embedding"
    if _is_tiny(tensors):
        return "tiny_vae"
    if _has_all(tensors, ("encoder.conv_in.weight", "decoder.conv_in.weight")):
        return "vqgan" if _any(tensors, ("quantize.embedding",)) else "vae"
    return "upscaler" if _is_upscaler(tensors) else None


def is_lycoris(header: Header) -> bool:
    """Return whether the file is a LoRA of a form that diffusers cannot read (LoHa, LoKr, OFT)."""
    return _any(header.tensors, _LYCORIS)


def text_width(header: Header, kind: Kind) -> int:
    """Return the width of the text vectors an add-on works on, or 0 where the file does not tell."""
    shapes = {key: tensor.shape for key, tensor in header.tensors.items()}
    if kind == "embedding":
        return 2048 if "clip_g" in shapes else max((shape[-1] for shape in shapes.values()), default=0)
    if kind == "ip_adapter":
        return next((s[1] for k, s in shapes.items() if k.endswith("to_k_ip.weight") and len(s) == 2), 0)
    if kind == "controlnet":
        return next((s[1] for k, s in shapes.items() if k.endswith("attn2.to_k.weight") and len(s) == 2), 0)
    if kind == "lora":
        return _lora_width(shapes)
    return 0


def base_of(header: Header, kind: Kind) -> str:
    """Return the models an add-on is for ("sd1", "sd2", "sdxl", "sd3", "flux"), or "" where the file does not tell."""
    said = (
        header.metadata.get("modelspec.architecture", "").lower()
        + header.metadata.get("ss_base_model_version", "").lower()
    )
    for marker, base in _SAID:
        if marker in said:
            return base
    if kind == "lora" and _any(header.tensors, ("joint_transformer_blocks", "lora_unet_joint_blocks")):
        return "sd3"
    if kind == "lora" and _any(header.tensors, ("single_transformer_blocks", "double_blocks", "single_blocks")):
        return "flux"
    if kind == "lora" and _any(header.tensors, ("lora_te1_", "lora_te2_", "text_encoder_2.")):
        return "sdxl"
    if kind == "vae" and _latent_channels(header) == 16:
        return ""  # SD 3 and FLUX share the shape
    return WIDTHS.get(text_width(header, kind), "")


_SAID = (
    ("stable-diffusion-xl", "sdxl"), ("sdxl", "sdxl"), ("stable-diffusion-3", "sd3"), ("sd3", "sd3"), ("flux", "flux"),
    ("stable-diffusion-v2", "sd2"), ("sd_v2", "sd2"), ("stable-diffusion-v1", "sd1"), ("sd_v1", "sd1"), ("sd1", "sd1"),
)  # fmt: skip
_MARKED: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    ("ip_adapter", ("ip_adapter.", "image_proj.")),
    ("controlnet", ("control_model.", "controlnet_cond_embedding.", "controlnet_down_blocks.", "zero_convs.")),
    ("encoder", ("text_model.encoder.", "vision_model.", "encoder.block.0.layer.0.SelfAttention")),
)


def _lora_width(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """A LoRA's down matrix of a key projection reads the text: its input width is the text vectors'."""
    for key, shape in shapes.items():
        is_down = any(name in key for name in ("lora_down", "lora_A", "lora.down"))
        if is_down and re.search(r"attn2[._](processor\.)?to_k", key) and any(p in key for p in _DENOISER_LORA):
            return shape[1]
    for key, shape in shapes.items():  # no cross-attention in it: a text encoder's own width says the same
        is_down = any(name in key for name in ("lora_down", "lora_A", "lora.down"))
        if is_down and ("lora_te_" in key or key.startswith("text_encoder.")) and "q_proj" in key:
            return shape[1]
    return 0


def _latent_channels(header: Header) -> int:
    tensor = header.tensors.get("decoder.conv_in.weight")
    return tensor.shape[1] if tensor and len(tensor.shape) == 4 else 0


def _is_embedding(tensors: Mapping[str, Tensor]) -> bool:
    """A1111's name, one table for each encoder of SDXL, or diffusers' one vector or table under the token's name."""
    if set(tensors) in ({"emb_params"}, {"clip_l", "clip_g"}):
        return True
    shapes = [tensor.shape for tensor in tensors.values()]
    if len(shapes) != 1 or len(shapes[0]) not in (1, 2):
        return False
    return shapes[0][-1] in _ENCODER_WIDTHS and math.prod(shapes[0][:-1]) <= _MAX_VECTORS


def _is_tiny(tensors: Mapping[str, Tensor]) -> bool:
    """AutoencoderTiny's names, or those of TAESD's own files (a plain sequence; the encoder starts at 0)."""
    return _has_all(tensors, ("decoder.layers.0.weight",)) or _has_all(tensors, ("1.weight", "3.conv.0.weight"))


def _is_upscaler(tensors: Mapping[str, Tensor]) -> bool:
    for prefix in ("", *_WRAPPERS):
        if any(_has_all(tensors, tuple(prefix + key for key in keys)) for keys in _UPSCALERS):
            return True
    return False


def _any(tensors: Mapping[str, Tensor], markers: tuple[str, ...]) -> bool:
    return any(marker in key for key in tensors for marker in markers)


def _has_all(tensors: Mapping[str, Tensor], keys: tuple[str, ...]) -> bool:
    return all(key in tensors for key in keys)
