"""Teaching a model an artist's own pictures: what can be taught, how long, and with which recipe. No torch.

`codebook` gives a VQGAN codes for the new pictures (k-means on its encoder's output) and trains decoder and
codebook on them; the encoder stays. `diffusion` trains the U-Net of a text-to-picture model of ours further.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from studio.errors import InvalidRequest

Kind = Literal["codebook", "diffusion"]
Effort = Literal["probe", "short", "standard", "long"]
KINDS: tuple[Kind, ...] = get_args(Kind)
EFFORTS: tuple[Effort, ...] = ("short", "standard", "long")
STEPS: dict[Kind, dict[Effort, int]] = {
    "codebook": {"probe": 8, "short": 150, "standard": 500, "long": 2000},
    "diffusion": {"probe": 6, "short": 150, "standard": 600, "long": 3000},
}
LEAST_PICTURES = 5
ORDER = "order.json"


@dataclass(frozen=True, slots=True)
class Order:
    """What a run was asked to do; kept in its folder.

    Attributes:
        kind: What learns.
        effort: How long; "probe" only measures the speed.
        pictures: The folder of the pictures.
        model: The model's folder to begin with.
    """

    kind: Kind
    effort: Effort
    pictures: str
    model: str

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return STEPS[self.kind][self.effort]

    def write(self, run: Path) -> None:
        """Keep the order in the run's folder."""
        run.mkdir(parents=True, exist_ok=True)
        (run / ORDER).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, run: Path) -> Order:
        """Return the order of a run; raises InvalidRequest when the folder holds none."""
        try:
            return cls(**json.loads((run / ORDER).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InvalidRequest(f'"{run.name}" is no run of own pictures.', "Begin a new one.") from error


def recipe(order: Order, *, data: Path) -> dict[str, Any]:
    """Return the values of the run's configuration that differ from the task's recipe; `data` is the pack."""
    steps, model = order.steps, Path(order.model)
    often = {"log_every": max(1, steps // 100), "grid_every": max(4, steps // 8), "save_every": max(4, steps // 8)}
    common = {"data": str(data), "steps": steps, "warmup_steps": min(30, steps // 4), "workers": 1, **often}
    if order.kind == "diffusion":
        parts = {"vqvae": str(model / "vqvae"), "text_encoder": str(model), "init": str(model)}
        rate = {"learning_rate": 1e-4, "ema_decay": 0.995, "constant_until": 0.3}
        return {**common, **parts, **rate, "phases": ({"until": 1.0, "size": 256, "batch_size": 8},)}
    return {
        **common,
        "init": str(model),
        "refresh_codes": True,
        "freeze_encoder": True,
        "unquantised_steps": min(16, steps // 4),
        "phases": ({"until": 1.0, "size": 128, "batch_size": 8},),
        "learning_rate": 4e-4,
        "ema_decay": 0.99,
        "perceptual": "pyramid",
        "perceptual_weight": 0.5,
    }


def has_begun(run: Path) -> bool:
    """Whether `run` is a folder of such a run."""
    return (run / ORDER).is_file()


def begin(run: Path, *, kind: Kind, pictures: Path, model: Path, effort: Effort) -> Order:
    """Write down what a new run is to do.

    Raises:
        InvalidRequest: A folder is missing, or the model has not the parts that learn.
    """
    for folder in (pictures, model):
        if not folder.is_dir():
            raise InvalidRequest(f"There is no folder {folder}.", "Choose another one.")
    part = "unet" if kind == "diffusion" else ""
    base = next((it for it in (model / part, model / "vqvae") if (it / "config.json").is_file()), None)
    if base is None or (kind == "diffusion" and not (model / "bert").is_dir()):
        need = "unet, bert, tokenizer and vqvae" if kind == "diffusion" else "a VQModel"
        raise InvalidRequest(f'"{model.name}" cannot be taught: it takes {need}.', "Choose another model.")
    order = Order(kind, effort, str(pictures), str(model if kind == "diffusion" else base))
    order.write(run)
    return order
