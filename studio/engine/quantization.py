"""Weights in 8 or 4 bits, as an option: the denoiser alone, through diffusers and a library that is not always there.

int8 and fp8 are torchao's weight-only forms, nf4 is bitsandbytes' (for NVIDIA GPUs). They are lossy and change
the picture a little; without compilation they save memory, not time.

Sources: LLM.int8 (Dettmers 2022), QLoRA's NF4 (Dettmers 2023), torchao's quantize_.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch

from studio.errors import ModelError

LIBRARIES: Mapping[str, str] = {"int8": "torchao", "fp8": "torchao", "nf4": "bitsandbytes"}


def config_of(name: str, *, device: torch.device, dtype: torch.dtype) -> Any:
    """Return diffusers' quantization configuration for `name`, or None for "none".

    Raises:
        ModelError: Its library is missing, or it does not work on `device`.
    """
    if name == "none":
        return None
    library = LIBRARIES[name]
    if find_spec(library) is None:
        raise ModelError(
            f'The setting quantization = "{name}" needs {library}, which is not installed.',
            f"Run: pip install {library}, or set quantization to none.",
        )
    if name == "nf4":
        if device.type != "cuda":
            raise ModelError("nf4 works on NVIDIA GPUs only.", "Set quantization to int8 or none.")
        from diffusers import BitsAndBytesConfig

        return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    from diffusers import TorchAoConfig
    from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig

    return TorchAoConfig(Int8WeightOnlyConfig() if name == "int8" else Float8WeightOnlyConfig())
