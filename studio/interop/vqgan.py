"""Other people's VQGANs as a diffusers `VQModel` folder: taming-transformers, latent-diffusion, LlamaGen.

A checkpoint is recognised by its keys and its config inferred from the shapes; a YAML beside it is compared. The
conversion is strict: every weight of the encoder, decoder and codebook finds its place or the checkpoint is
refused, and every key that is not used (losses, averages, the diffusion model around it) is listed.

Sources: CompVis/taming-transformers and CompVis/latent-diffusion (`modules/diffusionmodules/model.py`),
FoundationVision/LlamaGen (`tokenizer/tokenizer_image/vq_model.py`).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import VQModel
from torch import Tensor

from studio.errors import InvalidRequest, ModelError
from studio.interop.pickles import load_checkpoint
from studio.interop.vqgan_config import Layout, check_against_yaml, infer_config, recognise
from studio.interop.vqgan_keys import diffusers_key

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MODEL_PARTS = ("encoder.", "decoder.", "quantize.", "quant_conv.", "post_quant_conv.")
NOT_WEIGHTS = ("quantize.codebook_used",)
FIRST_STAGE = "first_stage_model."
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What came of a conversion: the new folder, the layout found, the config, and the keys not used."""

    folder: Path
    layout: Layout
    config: dict[str, Any]
    unused: tuple[str, ...]
    yaml: str = ""

    def describe(self) -> list[str]:
        """Say it in lines for the terminal."""
        config = self.config
        factor = 2 ** (len(config["block_out_channels"]) - 1)
        lines = [
            f"{self.folder}",
            f"A {self.layout} checkpoint: {config['num_vq_embeddings']} codes of {config['vq_embed_dim']} numbers, "
            f"{factor} pixels a token, channels {config['block_out_channels']}.",
            f'The config agrees with "{self.yaml}".' if self.yaml else "The config was read from the weights.",
        ]
        if self.unused:
            lines.append(f"{len(self.unused)} keys were not used:")
            lines += [f"  {key}" for key in self.unused]
        return lines


def convert(source: Path, name: str, *, folder: Path) -> Conversion:
    """Convert the checkpoint `source` into `folder/name/vqvae`, whole or not at all.

    Raises:
        InvalidRequest: `name` is not a plain folder name.
        ModelError: `folder/name` exists, or `source` is damaged, holds code, is of no known layout, or does not
            agree with the YAML beside it.
    """
    if not NAME.fullmatch(name):
        raise InvalidRequest(
            f'"{name[:80]}" cannot be a model\'s name.',
            "Use letters, digits, dots, dashes and underscores.",
            field="to",
        )
    target = folder / name
    if target.exists():
        raise ModelError(f'There is a model "{name}" already.', "Choose another name, or remove that one.")
    weights = load_checkpoint(source)
    layout, state, config, unused = translate(weights)
    yaml = check_against_yaml(source, config)
    model = build(state, config)
    facts = {"source": source.name, "sha256": _sha256(source), "layout": layout, "unused_keys": unused}
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".converting-", dir=folder) as temporary:
        made = Path(temporary) / name
        model.save_pretrained(made / "vqvae", safe_serialization=True)
        (made / "conversion.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        shutil.move(made, target)
    return Conversion(target, layout, config, tuple(unused), yaml)


def translate(weights: dict[str, Tensor]) -> tuple[Layout, dict[str, Tensor], dict[str, Any], list[str]]:
    """Return the layout, the VQModel state, its config, and the unused keys of a checkpoint's tensors.

    Raises:
        ModelError: No known layout, or a weight of the autoencoder that has no place.
    """
    prefix = FIRST_STAGE if any(key.startswith(FIRST_STAGE) for key in weights) else ""
    parts = tuple(prefix + part for part in MODEL_PARTS)
    inside = {k[len(prefix) :]: v for k, v in weights.items() if k.startswith(parts)}
    unused = sorted(k for k in weights if not k.startswith(parts))
    unused += [prefix + key for key in NOT_WEIGHTS if inside.pop(key, None) is not None]
    layout = recognise(inside)
    config = infer_config(inside, layout)
    levels = len(config["block_out_channels"])
    state: dict[str, Tensor] = {}
    homeless = []
    for key, tensor in inside.items():
        new = diffusers_key(key, layout=layout, levels=levels)
        if new is None:
            homeless.append(key)
            continue
        is_projection = ".attentions." in new and tensor.ndim == 4
        state[new] = (tensor[:, :, 0, 0] if is_projection else tensor).float().contiguous()
    if homeless:
        raise ModelError(
            f"{len(homeless)} weights of this {layout} checkpoint are not known: {', '.join(sorted(homeless)[:8])}.",
            "It is of a variant that cannot be converted exactly.",
        )
    if layout == "LlamaGen":  # its lookup and decoder see unit codes; with unit codes L2 and cosine agree
        key = "quantize.embedding.weight"
        state[key] = torch.nn.functional.normalize(state[key], dim=-1)
    return layout, state, config, unused


def build(state: dict[str, Tensor], config: dict[str, Any]) -> Any:
    """Return the VQModel of a translated state; raises ModelError when a weight is missing, wrong or not finite."""
    broken = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise ModelError(f"{broken[0]} holds values that are not numbers.", "The checkpoint is damaged.")
    with torch.device("meta"):
        model: Any = VQModel(**config)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        first = wrong[0]
        raise ModelError(
            f"{len(wrong)} weights do not fit, {first} first: expected {expected.get(first, 'none')}, "
            f"found {found.get(first, 'none')}.",
            "The checkpoint is incomplete or of a variant that cannot be converted exactly.",
        )
    model.load_state_dict(state, strict=True, assign=True)
    return model.eval()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
