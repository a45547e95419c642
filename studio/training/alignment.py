"""Representation alignment: the middle of a U-Net also learns what a frozen image network sees in the clean picture.

Source: Yu et al. 2024, "Representation Alignment for Generation" (REPA), eq. 8, with EfficientNet features in place of
DINOv2 and the U-Net's middle block in place of a transformer layer. Only training needs it; nothing of it is exported.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from studio.training.perceptual import EfficientNetFeatures

FEATURE_CHANNELS = 320  # of EfficientNet-Lite0's last block
_LAST_BLOCK = 15


@torch.no_grad()
def features_of(network: EfficientNetFeatures, pictures: Tensor) -> Tensor:
    """Return the features (b, 320, h/32, w/32) of pictures (b, 3, h, w) in [-1, 1]."""
    return network.maps(pictures, blocks=(_LAST_BLOCK,))[0]


class Alignment(nn.Module):
    """Projects what ``unet``'s middle block put out last to the features, and measures how far it is from them."""

    def __init__(self, unet: UNet2DConditionModel, *, channels: int = FEATURE_CHANNELS) -> None:
        super().__init__()
        width = unet.config.block_out_channels[-1]
        self.project = nn.Sequential(nn.Conv2d(width, 2 * width, 1), nn.SiLU(), nn.Conv2d(2 * width, channels, 1))
        self._middle: list[Tensor] = []
        unet.mid_block.register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, given: object, output: Tensor) -> None:
        self._middle = [output]

    def forward(self, features: Tensor) -> Tensor:
        """Return 1 - the mean cosine similarity of the projection and ``features`` (b, c, h, w), a scalar in [0, 2]."""
        projected = self.project(self._middle.pop())
        height, width = projected.shape[-2:]
        wanted = F.adaptive_avg_pool2d(features, (height, width))
        return 1 - F.cosine_similarity(projected.float(), wanted.float(), dim=1).mean()
