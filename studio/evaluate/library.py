"""FID, Inception score, CLIP score and LPIPS through torchmetrics, where it and the weights they need are at hand.

Nothing is fetched: each metric says what it lacks and where that belongs. They are asked for beside the studio's own
figures (`studio eval prompts --metric`, `studio eval autoencoder --lpips`).

Sources: FID (Heusel 2017), IS (Salimans 2016), CLIP score (Hessel 2021), LPIPS (Zhang 2018).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from studio.errors import InvalidRequest, StudioError
from studio.training.grids import to_uint8
from studio.training.lpips import require

INSTALL = 'pip install "tessera-studio[metrics]"'
WEIGHTS = {
    "fid": "weights-inception-2015-12-05-6726825d.pth of torch-fidelity's releases",
    "is": "weights-inception-2015-12-05-6726825d.pth of torch-fidelity's releases",
    "clip": "a folder with a CLIP model, as openai/clip-vit-base-patch16 on the hub",
}
_ROWS = 8  # pictures a network sees at once


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric by name ("fid", "is", "clip"), and the file or folder of its weights."""

    name: str
    weights: Path


def read_metric(text: str) -> Metric:
    """Return the metric of "NAME=PATH".

    Raises:
        InvalidRequest: There is none of this name, or nothing at the path.
        StudioError: A library that it needs is not installed.
    """
    name, _, place = text.partition("=")
    name, weights = name.strip().lower(), Path(place.strip()).expanduser()
    if name not in WEIGHTS:
        raise InvalidRequest(
            f'There is no metric "{name[:40]}".', f"Choose one of {', '.join(WEIGHTS)}, as in fid=FILE."
        )
    if not place.strip() or not weights.exists():
        raise InvalidRequest(
            f'The weights of "{name}" are not at "{place}".', f"Write {name}=PATH; they are {WEIGHTS[name]}."
        )
    require("torchmetrics", *(("torch_fidelity",) if name in ("fid", "is") else ()), install=INSTALL)
    return Metric(name, weights)


@torch.inference_mode()
def measure(metric: Metric, made: Tensor, prompts: Sequence[str], real: Iterable[Tensor]) -> float:
    """Return the value of `metric`: lower is better for FID, higher for the others (CLIP score: 0 to 100).

    Args:
        made: Pictures (b, 3, h, w) in [-1, 1].
        prompts: What each of them should show.
        real: Batches of real pictures, in the same form; read for FID alone.

    Raises:
        StudioError: The weights are damaged or of another kind.
    """
    try:
        instrument = _MAKERS[metric.name](metric.weights)
    except (OSError, ValueError, RuntimeError, KeyError, ModuleNotFoundError) as error:
        raise StudioError(
            f'"{metric.weights}" cannot be used for "{metric.name}": {" ".join(str(error).split())[:200]}',
            hint=f"It should be {WEIGHTS[metric.name]}.",
        ) from error
    if metric.name == "fid":
        for batch in real:
            instrument.update(_bytes(batch), real=True)
    for part, words in zip(made.split(_ROWS), _parts(prompts), strict=True):
        if metric.name == "fid":
            instrument.update(_bytes(part), real=False)
        elif metric.name == "is":
            instrument.update(_bytes(part))
        else:
            instrument.update(list(_bytes(part)), list(words))
    value = instrument.compute()
    return float(value[0] if isinstance(value, tuple) else value)


def _parts(prompts: Sequence[str]) -> list[Sequence[str]]:
    return [prompts[start : start + _ROWS] for start in range(0, len(prompts), _ROWS)]


def _bytes(pictures: Tensor) -> Tensor:
    """Return pictures in [-1, 1] as (b, 3, h, w) uint8."""
    return torch.from_numpy(to_uint8(pictures)).permute(0, 3, 1, 2).contiguous()


def _inception(weights: Path, layer: str) -> Any:
    network = import_module("torchmetrics.image.fid").NoTrainInceptionV3
    return network(name="inception-v3-compat", features_list=[layer], feature_extractor_weights_path=str(weights))


def _fid(weights: Path) -> Any:
    return import_module("torchmetrics.image.fid").FrechetInceptionDistance(feature=_inception(weights, "2048"))


def _inception_score(weights: Path) -> Any:
    return import_module("torchmetrics.image.inception").InceptionScore(feature=_inception(weights, "logits_unbiased"))


def _clip(weights: Path) -> Any:
    from transformers import CLIPModel, CLIPProcessor

    class Model(CLIPModel):
        """Gives features as tensors, which torchmetrics expects and transformers did until its version 5."""

        def get_image_features(self, *args: Any, **kwargs: Any) -> Any:
            return super().get_image_features(*args, **kwargs).pooler_output

        def get_text_features(self, *args: Any, **kwargs: Any) -> Any:
            return super().get_text_features(*args, **kwargs).pooler_output

    def load() -> tuple[Any, Any]:
        model = Model.from_pretrained(weights, local_files_only=True, use_safetensors=True)
        return model.eval(), CLIPProcessor.from_pretrained(weights, local_files_only=True)

    return import_module("torchmetrics.multimodal.clip_score").CLIPScore(model_name_or_path=load)


_MAKERS = {"fid": _fid, "is": _inception_score, "clip": _clip}
