"""LPIPS through torchmetrics, where it, torchvision and the weights of its backbone are on this machine.

As a loss (`--set perceptual=lpips`) and as a figure (`studio eval autoencoder --lpips`). Nothing is fetched.

Source: "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (Zhang 2018).
"""

from __future__ import annotations

from importlib import import_module, util
from pathlib import Path

import torch
from torch import Tensor, nn

from studio.errors import StudioError

BACKBONE = "alexnet-owt-7be5be79.pth"  # torchvision's file name for ImageNet weights of AlexNet
_INSTALL = 'pip install "tessera-studio[metrics]"'


def require(*packages: str, install: str = _INSTALL) -> None:
    """Raise StudioError for the first of `packages` that is not installed."""
    for name in packages:
        if util.find_spec(name) is None:
            raise StudioError(f"The package {name.replace('_', '-')} is not installed.", hint=f"Run: {install}")


def backbone_place() -> Path:
    """Return where torchvision looks for the backbone's weights."""
    return Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE


class LpipsDistance(nn.Module):
    """LPIPS with AlexNet, frozen.

    Raises:
        StudioError: A package or the backbone's weights are missing.
    """

    def __init__(self) -> None:
        super().__init__()
        require("torchmetrics", "torchvision")
        if not backbone_place().is_file():
            raise StudioError(
                f"The weights of LPIPS's backbone are not at {backbone_place()}.",
                hint=f"Put torchvision's {BACKBONE} there, or use perceptual=pyramid, which needs no weights.",
            )
        metric = import_module("torchmetrics.image.lpip").LearnedPerceptualImagePatchSimilarity(net_type="alex")
        self.net = metric.net.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> LpipsDistance:
        """Stay in evaluation mode whatever the surrounding training does."""
        return super().train(False)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return a scalar for pictures (b, 3, h, w) in [-1, 1]; 0 when they are equal."""
        return self.net(output, target).mean()
