"""The diffusers pipelines that run as they are, by class name: what the page needs to know of each. No torch.

They make pictures from prompts and nothing else here: our loop does not hold their parts, so they take no masks,
start pictures, forks or schedulers of our choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class StockKind:
    """A pipeline class.

    Attributes:
        architecture: Short name for the card.
        steps, guidance_scale: What its makers recommend.
        size: Side it was trained for, in pixels, where its configuration does not say.
        grid: Width and height must be multiples of this.
        guidance_name: What its call names the guidance scale.
        blank: The negative prompt that stands for none, where guidance acts only beside a negative prompt.
        always: Arguments that its call is always given.
    """

    architecture: str
    steps: int
    guidance_scale: float
    size: int = 1024
    grid: int = 16
    guidance_name: str = "guidance_scale"
    blank: str = ""
    always: Mapping[str, Any] = field(default_factory=dict)


_ANY_SIZE = {"use_resolution_binning": False}  # else another size than the one asked for comes back
STOCK_KINDS: Mapping[str, StockKind] = {
    "StableDiffusion3Pipeline": StockKind("sd3", 28, 7.0),
    "FluxPipeline": StockKind("flux", 28, 3.5),
    "ChromaPipeline": StockKind("chroma", 35, 5.0),
    "AuraFlowPipeline": StockKind("auraflow", 30, 3.5),
    "PixArtAlphaPipeline": StockKind("pixart", 20, 4.5, grid=8),
    "PixArtSigmaPipeline": StockKind("pixart", 20, 4.5, grid=8),
    "SanaPipeline": StockKind("sana", 20, 4.5, grid=32),
    "Lumina2Pipeline": StockKind("lumina2", 30, 4.0),
    "HunyuanDiTPipeline": StockKind("hunyuan", 30, 5.0, always=_ANY_SIZE),
    "CogView4Pipeline": StockKind("cogview4", 30, 3.5, grid=32),
    "ZImagePipeline": StockKind("z-image", 9, 1.0),
    "QwenImagePipeline": StockKind("qwen-image", 30, 4.0, guidance_name="true_cfg_scale", blank=" "),
    "AmusedPipeline": StockKind("amused", 12, 10.0, size=512),
    "LatentConsistencyModelPipeline": StockKind("lcm", 4, 8.5, size=512, grid=8),
}
