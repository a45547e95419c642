"""Reference-image conditioning: an IP-Adapter beside a Stable Diffusion checkpoint, through diffusers.

The adapter gives the U-Net a second cross-attention onto what an image encoder sees in the style pictures. Its
files (`ip-adapter*.safetensors` and an `image_encoder` folder beside it) are looked for in the model folders;
nothing is downloaded. Weights between style pictures mix what the encoder sees of them.

Source: Ye et al. 2023, "IP-Adapter: Text compatible image prompt adapter", section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError

from studio.engine.denoise import Conditioning
from studio.errors import ModelError
from studio.inpaint.context import Context
from studio.stylize import diffusion
from studio.stylize.task import ShouldStop, Stage, Task

_ENCODER = "image_encoder"
_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter's files: `folder / file`, with an `image_encoder` folder beside it."""

    folder: Path
    file: str


def find_adapter(folders: Iterable[Path], *, is_xl: bool) -> Adapter:
    """Return the plainest adapter for the architecture: the one with the shortest name.

    Raises:
        ModelError: There is none.
    """
    found = []
    for folder in folders:
        for depth in range(1, _DEPTH + 1):
            for path in folder.glob("/".join(["*"] * depth) + "/ip-adapter*.safetensors"):
                if ("sdxl" in path.name) == is_xl and (path.parent / _ENCODER / "config.json").is_file():
                    found.append(path)
    if not found:
        kind = "SDXL" if is_xl else "SD 1.5"
        raise ModelError(
            f"There is no IP-Adapter for {kind} models.",
            f"Put ip-adapter_{'sdxl' if is_xl else 'sd15'}.safetensors and its {_ENCODER} folder into a model folder.",
        )
    best = min(found, key=lambda path: (len(path.name), str(path)))
    return Adapter(best.parent, best.name)


@contextmanager
def attached(pipeline: Any, adapter: Adapter, *, scale: float) -> Iterator[None]:
    """Have `adapter` in the pipeline's U-Net meanwhile, acting by `scale` in [0, 1]; it leaves no trace.

    Raises:
        ModelError: The adapter is damaged or for another kind of model.
    """
    try:
        pipeline.load_ip_adapter(
            str(adapter.folder),
            subfolder="",
            weight_name=adapter.file,
            image_encoder_folder=_ENCODER,
            local_files_only=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        pipeline.unload_ip_adapter()
        raise ModelError(
            f'The IP-Adapter "{adapter.file}" does not fit this model: {str(error).splitlines()[0][:160]}',
            "Use the one made for it.",
        ) from error
    try:
        pipeline.image_encoder.to(pipeline.unet.device, pipeline.unet.dtype)
        pipeline.set_ip_adapter_scale(scale)
        yield
    finally:
        pipeline.unload_ip_adapter()


@torch.inference_mode()
def picture_prompt(pipeline: Any, references: Sequence[Image.Image], weights: Sequence[float]) -> torch.Tensor:
    """Return what the image encoder sees, (2, 1, width): nothing, then the weighted mean of the references."""
    total = sum(weights)
    seen = [
        weight
        / total
        * pipeline.prepare_ip_adapter_image_embeds(
            ip_adapter_image=picture,
            ip_adapter_image_embeds=None,
            device=pipeline.unet.device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=True,
        )[0]
        for picture, weight in zip(references, weights, strict=True)
    ]
    return torch.stack(seen).sum(dim=0)


class WithPicture:
    """A loaded model whose prompts carry a picture prompt as well: the loop's `Denoiser`."""

    def __init__(self, model: Any, prompt: torch.Tensor) -> None:
        self._model, self._prompt = model, prompt

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def condition(self, prompt: str, negative_prompt: str, **size: Any) -> Conditioning:
        """Encode the prompts, and add the picture to the positive one."""
        plain = self._model.condition(prompt, negative_prompt, **size)
        nothing, something = self._prompt.chunk(2)
        negative = plain.negative and replace(plain.negative, picture=nothing)
        return replace(plain, positive=replace(plain.positive, picture=something), negative=negative)


def run(task: Task, context: Context, should_stop: ShouldStop) -> Stage:
    """Method "reference": image-to-image with the style pictures as a prompt, one picture per seed."""
    loaded = yield from context.engine.load(task.request.model, task.request.vae)
    if loaded.card.family != "stable_diffusion":
        raise ModelError(
            f"{loaded.card.name} cannot take a picture as a prompt.",
            "Choose a Stable Diffusion model, or another method.",
        )
    adapter = find_adapter(context.model_folders, is_xl=loaded.card.architecture == "sdxl")
    pipeline = loaded.model.pipeline
    with attached(pipeline, adapter, scale=1.0):
        prompt = picture_prompt(pipeline, task.references, task.weights)
        seeing = replace(loaded, model=WithPicture(loaded.model, prompt))
        outcome = yield from diffusion.paint(task, context, seeing, should_stop)
    if outcome is None:
        return None
    return replace(outcome, facts={**outcome.facts, "ip_adapter": adapter.file})
