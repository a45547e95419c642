"""PatchGAN discriminator: says for every patch whether it looks decoded or real. Isola et al. 2017, pix2pix."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class PatchDiscriminator(nn.Module):
    """Four stride-2 convolutions and a score map; spectral norm instead of BatchNorm, so batches may be small."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        widths = (3, channels, channels * 2, channels * 4, channels * 4)
        self.convs = nn.ModuleList(spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1)) for a, b in pairwise(widths))
        self.score = spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))
        self.activation = nn.LeakyReLU(0.2)

    def forward(self, pictures: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return (scores: (b, 1, h/16, w/16), features of each convolution) of ``pictures`` (b, 3, h, w) in [-1, 1]."""
        features, x = [], pictures
        for conv in self.convs:
            x = self.activation(conv(x))
            features.append(x)
        return self.score(x), features
