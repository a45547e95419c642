"""What kind of VQGAN a checkpoint holds, and its config: from the keys and shapes, checked against a YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from studio.errors import ModelError
from studio.interop.vqgan_keys import Layout

GROUPS = 32  # fixed in all three code bases
BLOCK_PREFIX: dict[Layout, str] = {"taming": "encoder.down.", "LlamaGen": "encoder.conv_blocks."}
BLOCK_KIND: dict[Layout, str] = {"taming": "block", "LlamaGen": "res"}
MAX_YAML_BYTES = 1_000_000


def recognise(weights: Mapping[str, Tensor]) -> Layout:
    """Return the layout of an autoencoder's weights; raises ModelError naming what was found instead."""
    if any(key.startswith(("encoder.down_blocks.", "decoder.up_blocks.")) for key in weights):
        raise ModelError("This is in diffusers layout already.", "Copy its folder into your model folder as it is.")
    if "quantize.embed.weight" in weights or any(key.startswith("quantize.proj.") for key in weights):
        raise ModelError(
            "This is a Gumbel VQGAN: its encoder does not choose the nearest code, as a VQModel does.",
            "It cannot be converted exactly.",
        )
    for layout, prefix in BLOCK_PREFIX.items():
        if f"{prefix}0.{BLOCK_KIND[layout]}.0.conv1.weight" in weights:
            if "quantize.embedding.weight" not in weights:
                raise ModelError("This autoencoder has no codebook (a KL autoencoder).", "Choose a VQGAN.")
            return layout
    found = ", ".join(sorted(weights)[:4]) or "no autoencoder"
    raise ModelError(
        f"This checkpoint is of no known kind; found {found}.",
        "VQGANs of taming-transformers, latent-diffusion (vq-f4, f8, f16) and LlamaGen can be converted.",
    )


def infer_config(weights: Mapping[str, Tensor], layout: Layout) -> dict[str, Any]:
    """Return the VQModel config that the shapes of `weights` say; raises ModelError when a part is missing."""
    prefix, kind = BLOCK_PREFIX[layout], BLOCK_KIND[layout]
    levels = _count(weights, prefix)
    layers = _count(weights, f"{prefix}0.{kind}.")
    try:
        channels = [weights[f"{prefix}{i}.{kind}.0.conv1.weight"].shape[0] for i in range(levels)]
        codes, dim = weights["quantize.embedding.weight"].shape
        latent = weights["encoder.conv_out.weight"].shape[0]
        in_channels = weights["encoder.conv_in.weight"].shape[1]
        out_channels = weights["decoder.conv_out.weight"].shape[0]
    except KeyError as error:
        raise ModelError(f"The checkpoint lacks {error.args[0]}.", "Download it again.") from error
    attends = [f"{prefix}{i}.attn.0.q.weight" in weights for i in range(levels)]
    middle = "encoder.mid.attn_1.q.weight" if layout == "taming" else "encoder.mid.1.q.weight"
    return {
        "in_channels": in_channels,
        "out_channels": out_channels,
        "down_block_types": tuple("AttnDownEncoderBlock2D" if a else "DownEncoderBlock2D" for a in attends),
        "up_block_types": tuple("AttnUpDecoderBlock2D" if a else "UpDecoderBlock2D" for a in reversed(attends)),
        "block_out_channels": tuple(channels),
        "layers_per_block": layers,
        "latent_channels": latent,
        "sample_size": 256,
        "num_vq_embeddings": codes,
        "norm_num_groups": GROUPS,
        "vq_embed_dim": dim,
        "scaling_factor": 1.0,
        "mid_block_add_attention": middle in weights,
    }


def check_against_yaml(source: Path, config: dict[str, Any]) -> str:
    """Compare `config` with the YAML beside `source` and return its name; "" when there is none.

    The resolution, which no weight tells, becomes the config's `sample_size`.

    Raises:
        ModelError: The YAML cannot be read, or says something else than the weights.
    """
    path = _yaml_beside(source)
    if path is None:
        return ""
    try:
        content = yaml.safe_load(path.read_bytes()[:MAX_YAML_BYTES])
    except (OSError, yaml.YAMLError) as error:
        raise ModelError(f'"{path.name}" is not valid YAML.', "Mend it, or move it away.") from error
    params = _vq_params(content)
    if params is None:
        return ""
    says = _yaml_config(params)
    for key, value in says.items():
        if key != "sample_size" and config[key] != value:
            raise ModelError(
                f'The checkpoint has {_WORDS[key]} {config[key]}, "{path.name}" says {value}.',
                "Use the config stored with the checkpoint, or move it away.",
            )
    config["sample_size"] = says.get("sample_size", config["sample_size"])
    return path.name


_WORDS = {
    "num_vq_embeddings": "a codebook of size",
    "vq_embed_dim": "code vectors of size",
    "latent_channels": "latent channels:",
    "block_out_channels": "channels",
    "layers_per_block": "blocks a level:",
}


def _yaml_config(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a VQModel config that a taming or latent-diffusion YAML states."""
    inner = params["ddconfig"]
    says: dict[str, Any] = {
        "num_vq_embeddings": params.get("n_embed"),
        "vq_embed_dim": params.get("embed_dim"),
        "latent_channels": inner.get("z_channels"),
        "layers_per_block": inner.get("num_res_blocks"),
        "sample_size": inner.get("resolution"),
    }
    if isinstance(inner.get("ch"), int) and isinstance(inner.get("ch_mult"), list):
        says["block_out_channels"] = tuple(inner["ch"] * multiple for multiple in inner["ch_mult"])
    return {key: value for key, value in says.items() if value is not None}


def _vq_params(content: Any) -> Mapping[str, Any] | None:
    """Return the innermost mapping with a "ddconfig" and "n_embed", wherever it is nested."""
    if not isinstance(content, Mapping):
        return None
    if isinstance(content.get("ddconfig"), Mapping) and "n_embed" in content:
        return content
    return next((found for value in content.values() if (found := _vq_params(value)) is not None), None)


def _yaml_beside(source: Path) -> Path | None:
    """Return the YAML of the same name, or the only one in the folder."""
    for suffix in (".yaml", ".yml"):
        if source.with_suffix(suffix).is_file():
            return source.with_suffix(suffix)
    others = sorted(p for p in source.parent.iterdir() if p.suffix in (".yaml", ".yml"))
    return others[0] if len(others) == 1 else None


def _count(weights: Mapping[str, Tensor], prefix: str) -> int:
    """Return how many numbered parts there are under `prefix`."""
    pattern = re.compile(re.escape(prefix) + r"(\d+)\.")
    return 1 + max((int(match[1]) for key in weights if (match := pattern.match(key))), default=-1)
