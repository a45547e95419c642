"""Control pictures: ControlNets beside the U-Net turn pictures into hints about where shapes are.

What several networks add is summed. On the CPU in float32 the result equals that of the stock ControlNet pipelines, bit
for bit (a test holds it). A network runs in those steps alone in which it acts; outside them nothing is added, where
the stock pipelines add zeros.

Source: "Adding Conditional Control to Text-to-Image Diffusion Models" (Zhang 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import torch
from PIL import Image

from studio.engine.addon_keys import BASE_TITLES
from studio.engine.addons import AddOn, find_addon, scan_addons
from studio.engine.checksums import Checksums
from studio.engine.control_maps import fitted, prepared
from studio.engine.guidance import Predict
from studio.engine.prompts import Embedding
from studio.errors import InvalidRequest, ModelError
from studio.events import Loading
from studio.requests import Controlled, ControlUse, Sampled

LayControl: TypeAlias = Callable[[Image.Image], tuple[Image.Image, tuple[str, ...]]]
"""Returns what of a control picture a run sees, at the run's size, and what to tell the artist of it.

The picture is RGB, or RGBA where the run paints a part alone: that has no alpha."""


@dataclass(frozen=True, slots=True)
class Hint:
    """One network with its picture.

    Attributes:
        net: A diffusers `ControlNetModel` that fits the model's U-Net.
        picture: (1, 3, H, W) in [0, 1], or -1 where there is none, on the model's device and in its dtype.
        scale: How strongly it acts; 1 is as it was trained.
        begin, end: The share of the run, in [0, 1], in which it acts.
    """

    net: Any
    picture: torch.Tensor
    scale: float
    begin: float
    end: float

    def acts(self, index: int, total: int) -> bool:
        """Whether it acts in step `index` (from 0) of `total`: the stock pipelines' rule."""
        return not (index / total < self.begin or (index + 1) / total > self.end)


@dataclass(frozen=True, slots=True)
class Control:
    """A run's control: the loop's `Steering`.

    Attributes:
        model: A loaded model of the Stable Diffusion family.
        hints: What steers it, summed in this order.
        facts: What they are, for the recipe.
        notes: What was done to the pictures, for the artist.
    """

    model: Any
    hints: tuple[Hint, ...]
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def predictor(self, index: int, total: int) -> Predict | None:
        """Return what predicts in step `index` (from 0) of `total`; None where no hint acts."""
        acting = [hint for hint in self.hints if hint.acts(index, total)]
        return partial(self._predict, acting) if acting else None

    def _predict(
        self, acting: Sequence[Hint], latents: torch.Tensor, timestep: torch.Tensor, embedding: Embedding
    ) -> torch.Tensor:
        """Return the model's output for `latents` (n, c, h, w), steered by the hints that act."""
        added = {"text_embeds": embedding.pooled, "time_ids": embedding.sizes} if self.model.is_xl else None
        down: list[torch.Tensor] = []
        middle: Any = None
        for hint in acting:
            further, here = hint.net(
                latents[:, : hint.net.config.in_channels].contiguous(),  # an inpainting U-Net's mask lies behind
                timestep,
                encoder_hidden_states=embedding.text,
                controlnet_cond=hint.picture.repeat(len(latents), 1, 1, 1),
                conditioning_scale=hint.scale,
                added_cond_kwargs=added,
                return_dict=False,
            )
            down = [a + b for a, b in zip(down, further, strict=True)] if down else list(further)
            middle = here if middle is None else middle + here
        return self.model.predict(latents, timestep, embedding, (down, middle))


class ControlRack:
    """A model's ControlNets: those used last stay loaded."""

    def __init__(self) -> None:
        self._nets: dict[str, Any] = {}

    @property
    def nets(self) -> tuple[torch.nn.Module, ...]:
        """The ControlNets in memory."""
        return tuple(self._nets.values())

    def load(self, wanted: Sequence[tuple[AddOn, str]], model: Any) -> Generator[Loading, None, list[Any]]:
        """Yield Loading for those that are not here; return the ControlNets, ready to run beside `model`.

        Args:
            wanted: Pairs of an add-on and its checksum; one may be there twice.

        Raises:
            ModelError: One does not fit, or is damaged.
        """
        checksums = [checksum for _, checksum in wanted]
        for unused in self._nets.keys() - set(checksums):  # those before go first: all may not fit
            del self._nets[unused]
        for addon, checksum in wanted:
            if checksum not in self._nets:
                from studio.engine.families.addon_parts import load_controlnet

                yield Loading(f"ControlNet {addon.id}")
                self._nets[checksum] = load_controlnet(addon, model)
        return [self._nets[checksum] for checksum in checksums]


def control_of(
    request: Sampled,
    model: Any,
    size: tuple[int, int],
    *,
    read_picture: Callable[[str], Image.Image],
    lay: LayControl | None = None,
    folders: Sequence[Path],
    checksums: Checksums,
) -> Generator[Loading, None, Control | None]:
    """Yield Loading while ControlNets are loaded; return the control that `request` asks for, None without one.

    Args:
        model: A loaded model.
        size: Width and height of the run, in pixels.
        read_picture: Content hash -> picture.
        lay: Fits a control picture to the run; None: over all of it.
        folders: Where ControlNets are looked for.

    Raises:
        UnknownName, ModelError: There is no such ControlNet, too few of them, or one does not fit the model.
        InvalidRequest: The steps in which one would act begin after they end.
        InvalidPicture: A control picture is gone.
    """
    uses = request.controls if isinstance(request, Controlled) else ()
    if not uses:
        return None
    _check_times(uses)
    if model.card.family != "stable_diffusion":
        raise ModelError(f"{model.card.name} takes no control picture.", "Leave it out, or choose an SD model.")
    laid = [(lay or partial(fitted, size=size))(read_picture(use.picture)) for use in uses]
    wanted = [(addon, checksums.of(addon.path)) for addon in _chosen(model, uses, folders)]
    nets = yield from model.controls.load(wanted, model)
    hints = [
        Hint(net, _as_map(picture, use).to(model.device, model.dtype), use.scale, use.start, use.end)
        for net, (picture, _), use in zip(nets, laid, uses, strict=True)
    ]
    first, *more = ({"name": addon.id, "checksum": checksum} for addon, checksum in wanted)
    facts = {"control": first, **({"more_controls": more} if more else {})}
    notes = dict.fromkeys(note for _, said in laid for note in said)
    return Control(model, tuple(hints), facts, tuple(notes))


def _check_times(uses: Sequence[ControlUse]) -> None:
    for use in uses:
        if use.start >= use.end:
            raise InvalidRequest(
                f"Control from {use.start:g} until {use.end:g} is no part of the run.",
                "Let it begin before it ends.",
                field="control_start",
            )


def _as_map(picture: Image.Image, use: ControlUse) -> torch.Tensor:
    """Return the control map made of a picture as (1, 3, H, W) float32 in [0, 1], -1 where there is none."""
    return torch.from_numpy(prepared(picture, use.preprocessor)).permute(2, 0, 1)[None].contiguous()


def _chosen(model: Any, uses: Sequence[ControlUse], folders: Sequence[Path]) -> list[AddOn]:
    """Return the ControlNet of each picture: the one it names, or the next that fits and that no other picture has."""
    named = {use.net: find_addon(folders, "controlnet", use.net) for use in uses if use.net}
    unnamed = sum(not use.net for use in uses)
    fits = _that_fit(model, folders) if unnamed else []
    free = [addon for addon in fits if addon not in named.values()]
    if len(free) < unnamed:
        raise _too_few(len(uses), len(fits), BASE_TITLES.get(model.card.architecture, model.card.architecture))
    rest = iter(free)
    return [named[use.net] if use.net else next(rest) for use in uses]


def _too_few(pictures: int, nets: int, base: str) -> ModelError:
    if not nets:
        return ModelError(
            f"There is no ControlNet for {base} models.", "Get one in the Models tab, or with studio models download."
        )
    return ModelError(
        f"The {pictures} control pictures need a ControlNet each, and the studio has {nets} for {base} models.",
        "Leave a picture out, name for each the ControlNet to use, or get another in the Models tab.",
    )


def _that_fit(model: Any, folders: Sequence[Path]) -> list[AddOn]:
    """Return the ControlNets that read text vectors as wide as the model's."""
    width = model.unet.config.cross_attention_dim
    return [addon for addon in scan_addons(folders, "controlnet") if not addon.problem and addon.width == width]
