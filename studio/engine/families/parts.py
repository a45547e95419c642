"""Loading one part of a diffusers folder, safely: safetensors only, nothing from a hub, nothing left at random.

Every diffusers part is built without memory first (on the meta device) and its names and shapes are held
against the file's header, so that a checkpoint of another architecture is refused before a weight is read. The
weights then go into that same model: `from_pretrained` would build another, a third of the loading time of a small one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import BertModel

from studio.engine.checkpoint import Header, read_folder_headers, read_json, weight_files
from studio.engine.compact import is_compact, read_compact
from studio.errors import ModelError

logger = logging.getLogger(__name__)


def load_diffusers_part(
    make: Callable[[Mapping[str, Any]], torch.nn.Module],
    cls: Any,
    folder: Path,
    *,
    dtype: torch.dtype,
    quantization: Any = None,
) -> Any:
    """Return the diffusers model in `folder`, checked against its header, in `dtype` on the CPU, in eval mode.

    Args:
        quantization: From `studio.engine.quantization.config_of`.

    Raises:
        ModelError: The part is damaged, or its weights do not fit its configuration.
    """
    config = read_json(folder / "config.json")
    header = read_folder_headers(folder)
    model = _empty(lambda: make(config), what=folder)
    expected = _shapes_of(model)
    check_shapes(expected, header, what=folder)
    if is_compact(folder):
        return _filled(make(config), folder, dtype=dtype)
    if quantization is None and expected.keys() <= header.tensors.keys():
        return _with_weights(model, weight_files(folder), dtype=dtype)
    variant = weight_files(folder)[0].name.split(".")[1:-1]
    try:
        model = cls.from_pretrained(
            folder,
            torch_dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            variant=variant[0] if variant and variant[0] in ("fp16", "bf16", "non_ema") else None,
            **({"quantization_config": quantization} if quantization is not None else {}),
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise _not_loaded(folder, error) from error
    return model.eval().requires_grad_(False)


def load_transformers_part(cls: Any, folder: Path, *, dtype: torch.dtype) -> Any:
    """Return the transformers model in `folder` in `dtype` on the CPU, in eval mode; raises ModelError.

    A BERT without a pooler, which no diffusion model asks, is built without one: transformers would fill it at random
    and print a report of it.
    """
    header = read_folder_headers(folder)
    has_pooler = any(key.startswith("pooler.") for key in header.tensors)
    options = {"add_pooling_layer": has_pooler} if cls is BertModel else {}
    config = read_json(folder / "config.json")
    if "auto_map" in config:
        raise ModelError(f'"{folder.parent.name}/{folder.name}" asks to run its own code and was not opened.')
    if is_compact(folder):
        made = cls(cls.config_class.from_pretrained(folder, local_files_only=True), **options)
        return _filled(made, folder, dtype=dtype)
    variant = weight_files(folder)[0].name.split(".")[1:-1]
    try:
        model, info = cls.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            variant=variant[0] if variant and variant[0] in ("fp16", "bf16") else None,
            **options,
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise _not_loaded(folder, error) from error
    absent = [key for key in info["missing_keys"] if "position_ids" not in key]
    if absent or info["mismatched_keys"]:
        first = (absent or [str(info["mismatched_keys"][0])])[0]
        raise ModelError(
            f'"{folder.parent.name}/{folder.name}" does not fit its configuration '
            f'({len(absent) + len(info["mismatched_keys"])} weights, first "{first}").',
            "Download the model again.",
        )
    return model.eval().requires_grad_(False)


def check_shapes(expected: Mapping[str, tuple[int, ...]], header: Header, *, what: Path) -> None:
    """Raise ModelError when `header` lacks a weight of `expected` or has it in another shape."""
    name = f"{what.parent.name}/{what.name}" if what.suffix == "" else what.name
    old_attention = any(".mid_block.attentions.0.query.weight" in key for key in header.tensors)
    for key, shape in expected.items():
        if key not in header.tensors:
            if old_attention and ".attentions." in key:
                continue  # names of before diffusers 0.17, which diffusers converts itself
            raise ModelError(
                f'"{name}" does not fit its configuration: "{key}" is missing.', "Use the configuration stored with it."
            )
        found = header.tensors[key].shape
        if found != shape and not (old_attention and ".attentions." in key):
            raise ModelError(
                f'"{name}" does not fit its configuration: "{key}" is {found}, the configuration says {shape}.',
                "Use the configuration stored with it.",
            )


def place(model: Any, device: torch.device) -> Any:
    """Return `model` on `device`; convolutions in channels_last on a GPU."""
    if device.type == "cuda" and not getattr(model, "is_quantized", False):
        return model.to(device, memory_format=torch.channels_last)
    return model.to(device)


def nbytes_of(*models: torch.nn.Module) -> int:
    """Return the bytes that the models' weights take in memory."""
    return sum(value.nbytes for model in models for value in model.state_dict().values())


def _empty(make: Callable[[], torch.nn.Module], *, what: Path) -> torch.nn.Module:
    """Return the model that `make` builds, without building its weights; raises ModelError."""
    try:
        with init_empty_weights():
            return make()
    except (TypeError, ValueError, KeyError, RuntimeError, ZeroDivisionError) as error:
        raise ModelError(
            f'The configuration of "{what.parent.name}/{what.name}" makes no model: {str(error)[:200]}.',
            "Download the model again.",
        ) from error


def _shapes_of(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def _with_weights(model: Any, files: Sequence[Path], *, dtype: torch.dtype) -> Any:
    """Return the empty `model` with the weights in `files`, as `from_pretrained` gives it; raises ModelError."""
    state: dict[str, torch.Tensor] = {}
    try:
        for path in files:
            state.update(load_file(path))
        state = {name: value.to(dtype) if value.is_floating_point() else value for name, value in state.items()}
        model.load_state_dict(state, strict=False, assign=True)  # what is more in the file is another program's
    except (OSError, RuntimeError, SafetensorError) as error:
        raise _not_loaded(files[0].parent, error) from error
    torch.nn.Module.to(model, dtype)  # its buffers; diffusers' own `to` would warn of a cast that has been done
    return model.eval().requires_grad_(False)


def _filled(model: Any, folder: Path, *, dtype: torch.dtype) -> Any:
    """Return `model` with the compact weights in `folder`."""
    try:
        found = model.load_state_dict(read_compact(folder), strict=False)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise _not_loaded(folder, error) from error
    if absent := found.missing_keys or found.unexpected_keys:
        raise _not_loaded(folder, RuntimeError(f"{len(absent)} weights do not fit, first {absent[0]}"))
    return model.to(dtype).eval().requires_grad_(False)


def _not_loaded(folder: Path, error: Exception) -> ModelError:
    text = str(error).strip().splitlines()
    logger.info("could not load %s", folder, exc_info=error)
    return ModelError(
        f'"{folder.parent.name}/{folder.name}" could not be loaded: {(text or [type(error).__name__])[0][:200]}',
        "Download the model again.",
    )
