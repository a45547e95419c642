"""Starting points for each task: what the shipped models were made with. Every value can be overridden."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from studio.errors import InvalidRequest, UnknownName
from studio.training.config import AnyConfig, AutoencoderConfig, DiffusionConfig, TokensConfig

_AUTOENCODER: dict[str, Any] = {
    "steps": 12_000,
    "phases": ({"until": 0.6, "size": 128, "batch_size": 8}, {"until": 1.0, "size": 256, "batch_size": 4}),
    "block_out_channels": (24, 48, 96, 160, 192),
    "norm_groups": 4,
    "learning_rate": 8e-4,
    "unquantised_steps": 900,
    "chroma_weight": 4.0,
    "perceptual": "efficientnet",
    "perceptual_weight": 0.15,
    "gan_start": 0.7,
}
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "vqvae": _AUTOENCODER,
    "vqgan": _AUTOENCODER,
    "diffusion": {
        "block_out_channels": (128, 256),
        "steps": 60_000,
        "phases": ({"until": 1.0, "size": 256, "batch_size": 32},),
        "learning_rate": 1e-3,
        "betas": (0.9, 0.98),
        "weight_decay": 0.01,
        "warmup_steps": 500,
        "constant_until": 0.9,
        "ema_decay": 0.9995,
        "log_every": 50,
        "grid_every": 2000,
    },
    "tokens": {
        "steps": 60_000,
        "phases": ({"until": 1.0, "size": 256, "batch_size": 32},),
        "learning_rate": 5e-4,
        "betas": (0.9, 0.98),
        "weight_decay": 0.03,
        "warmup_steps": 500,
        "constant_until": 0.5,
        "ema_decay": 0.9995,
        "log_every": 50,
        "grid_every": 2000,
    },
}
_ADAPTER: TypeAdapter[AutoencoderConfig | DiffusionConfig | TokensConfig] = TypeAdapter(AnyConfig)


def make_config(
    task: str, given: Mapping[str, Any], *, assignments: Sequence[str] = ()
) -> AutoencoderConfig | DiffusionConfig | TokensConfig:
    """Return the recipe of ``task`` with ``given`` values and ``NAME=VALUE`` assignments (JSON values) on top.

    Raises UnknownName or InvalidRequest when the task, a name or a value is not valid.
    """
    if task not in RECIPES:
        raise UnknownName("task", task, RECIPES)
    return checked({**RECIPES[task], "task": task, **given}, assignments)


def checked(
    values: Mapping[str, Any], assignments: Sequence[str]
) -> AutoencoderConfig | DiffusionConfig | TokensConfig:
    """Validate ``values`` with ``NAME=VALUE`` assignments on top."""
    try:
        return _ADAPTER.validate_json(_as_json({**values, **dict(map(_assignment, assignments))}))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][1:])
        raise InvalidRequest(
            f"{name}: {first['msg']}.", "Names and bounds: studio train options.", field=name
        ) from error


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidRequest(f'"{text}" is no setting.', "Write NAME=VALUE, as in --set steps=2000.")
    try:
        return name.strip(), json.loads(value)
    except json.JSONDecodeError:
        return name.strip(), value


def _as_json(values: Mapping[str, Any]) -> str:
    return json.dumps(values)
