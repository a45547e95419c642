"""Control pictures: a ControlNet beside the U-Net turns a picture into hints about where shapes are.

On the CPU in float32 the result equals that of the stock ControlNet pipelines, bit for bit (a test holds it). The
network runs in those steps alone in which it acts; outside them nothing is added, where the stock pipelines add zeros.

Source: "Adding Conditional Control to Text-to-Image Diffusion Models" (Zhang 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from studio.engine.addon_keys import BASE_TITLES
from studio.engine.addons import AddOn, find_addon, scan_addons
from studio.engine.checksums import Checksums
from studio.engine.prompts import Embedding
from studio.errors import InvalidRequest, ModelError
from studio.events import Loading
from studio.requests import Controlled, Sampled

_CANNY = (100, 200)  # hysteresis thresholds on 8-bit gradients, as ControlNet's own Canny annotator has them


@dataclass(frozen=True, slots=True)
class Control:
    """A run's control: the loop's `Steering`.

    Attributes:
        model: A loaded model of the Stable Diffusion family.
        net: A diffusers `ControlNetModel` that fits its U-Net.
        picture: (1, 3, H, W) in [0, 1], on the model's device and in its dtype.
        scale: How strongly it acts; 1 is as it was trained.
        begin, end: The share of the run, in [0, 1], in which it acts.
        facts: What it is, for the recipe.
        notes: What was done to the picture, for the artist.
    """

    model: Any
    net: Any
    picture: torch.Tensor
    scale: float
    begin: float
    end: float
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def acts(self, index: int, total: int) -> bool:
        """Whether it acts in step `index` (from 0) of `total`: the stock pipelines' rule."""
        return not (index / total < self.begin or (index + 1) / total > self.end)

    def predict(self, latents: torch.Tensor, timestep: torch.Tensor, embedding: Embedding) -> torch.Tensor:
        """Return the model's output for `latents` (n, c, h, w), steered by the picture."""
        added = {"text_embeds": embedding.pooled, "time_ids": embedding.sizes} if self.model.is_xl else None
        residuals = self.net(
            latents,
            timestep,
            encoder_hidden_states=embedding.text,
            controlnet_cond=self.picture.repeat(len(latents), 1, 1, 1),
            conditioning_scale=self.scale,
            added_cond_kwargs=added,
            return_dict=False,
        )
        return self.model.predict(latents, timestep, embedding, residuals)


class ControlRack:
    """A model's ControlNets: the one used last stays loaded."""

    def __init__(self) -> None:
        self._checksum, self._net = "", None

    @property
    def nets(self) -> tuple[torch.nn.Module, ...]:
        """The ControlNets in memory."""
        return () if self._net is None else (self._net,)

    def load(self, addon: AddOn, checksum: str, model: Any) -> Generator[Loading, None, Any]:
        """Yield Loading unless it is here; return the ControlNet, ready to run beside `model`. Raises ModelError."""
        if checksum != self._checksum:
            from studio.engine.families.addon_parts import load_controlnet

            self._checksum, self._net = "", None  # the one before goes first: two may not fit
            yield Loading(f"ControlNet {addon.id}")
            self._net, self._checksum = load_controlnet(addon, model), checksum
        return self._net


def control_of(
    request: Sampled,
    model: Any,
    size: tuple[int, int],
    *,
    read_picture: Callable[[str], Image.Image],
    folders: Sequence[Path],
    checksums: Checksums,
) -> Generator[Loading, None, Control | None]:
    """Yield Loading while a ControlNet is loaded; return the control that `request` asks for, None without one.

    Args:
        model: A loaded model.
        size: Width and height of the run, in pixels.
        read_picture: Content hash -> picture.
        folders: Where ControlNets are looked for.

    Raises:
        UnknownName, ModelError: There is no such ControlNet, none at all, or it does not fit the model.
        InvalidRequest: The steps in which it would act begin after they end.
        InvalidPicture: The control picture is gone.
    """
    if not isinstance(request, Controlled) or request.control is None:
        return None
    if request.control_start >= request.control_end:
        raise InvalidRequest(
            f"Control from {request.control_start:g} until {request.control_end:g} is no part of the run.",
            "Let it begin before it ends.",
            field="control_start",
        )
    if model.card.family != "stable_diffusion":
        raise ModelError(f"{model.card.name} takes no control picture.", "Leave it out, or choose an SD model.")
    picture, notes = prepared(read_picture(request.control), size, request.control_preprocessor)
    addon = _fitting(model, request.control_net, folders)
    checksum = checksums.of(addon.path)
    net = yield from model.controls.load(addon, checksum, model)
    return Control(
        model,
        net,
        as_tensor(picture).to(model.device, model.dtype),
        request.control_scale,
        request.control_start,
        request.control_end,
        facts={"control": {"name": addon.id, "checksum": checksum}},
        notes=notes,
    )


def prepared(picture: Image.Image, size: tuple[int, int], preprocessor: str) -> tuple[Image.Image, tuple[str, ...]]:
    """Return the control map (RGB, `size`) made of `picture`, and what to tell the artist of it.

    A picture of another shape is cut to the middle, never stretched; what is transparent counts as black.
    """
    notes: tuple[str, ...] = ()
    box = _middle(picture.size, size)
    cut = (picture.width - (box[2] - box[0])) + (picture.height - (box[3] - box[1]))
    if cut >= 2:
        notes = (f"The control picture was cut to the middle, to fit {size[0]}×{size[1]}.",)
    fitted = _over_black(picture).resize(size, Image.Resampling.LANCZOS, box=box)
    if preprocessor == "invert":
        return Image.fromarray(255 - np.asarray(fitted)), notes
    if preprocessor == "canny":
        edges = cv2.Canny(cv2.cvtColor(np.asarray(fitted), cv2.COLOR_RGB2GRAY), *_CANNY)  # (h, w)
        return Image.fromarray(np.repeat(edges[..., None], 3, axis=2)), notes
    return fitted, notes


def as_tensor(picture: Image.Image) -> torch.Tensor:
    """Return an RGB picture as (1, 3, H, W) float32 in [0, 1]."""
    values = np.asarray(picture, dtype=np.float32) / 255  # (H, W, 3)
    return torch.from_numpy(values).permute(2, 0, 1)[None].contiguous()


def _over_black(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    rgba = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "black"), rgba).convert("RGB")


def _middle(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the largest box in the middle of a picture of `size` that has the shape of `wanted`."""
    scale = min(size[0] / wanted[0], size[1] / wanted[1])
    left, top = (size[0] - wanted[0] * scale) / 2, (size[1] - wanted[1] * scale) / 2
    return left, top, left + wanted[0] * scale, top + wanted[1] * scale


def _fitting(model: Any, name: str, folders: Sequence[Path]) -> AddOn:
    """Return the ControlNet called `name`, or the first that reads text vectors as wide as the model's."""
    if name:
        return find_addon(folders, "controlnet", name)
    width = model.unet.config.cross_attention_dim
    fits = [addon for addon in scan_addons(folders, "controlnet") if not addon.problem and addon.width == width]
    if not fits:
        raise ModelError(
            f"There is no ControlNet for {BASE_TITLES.get(model.card.architecture, model.card.architecture)} models.",
            "Get one in the Models tab, or with studio models download.",
        )
    return fits[0]
