"""Initial weights that let colour through a deep, thin autoencoder from the first step.

The default weights shrink the residual path by about 1/sqrt(3) per convolution, so that after four levels nothing but
the normalised branches is left, and those do not know absolute colour: training then spends its first ten minutes in
shades of orange and blue. Here the branches start at zero and the path between the levels keeps lengths.
Sources: Goyal et al. 2017 (zero-initialised residual branches); Saxe et al. 2014 (orthogonal weights).
"""

from __future__ import annotations

import torch
from diffusers import VQModel
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import nn


@torch.no_grad()
def initialise_autoencoder(model: VQModel) -> None:
    """Set the convolutions of ``model`` in place; norms keep their default."""
    for module in model.modules():
        if isinstance(module, ResnetBlock2D):
            nn.init.zeros_(module.conv2.weight)
            nn.init.zeros_(module.conv2.bias)
            if module.conv_shortcut is not None:
                _orthogonal_centre(module.conv_shortcut)
        elif isinstance(module, Downsample2D):
            module.conv.weight.mul_(0.3)
            channels = torch.arange(module.conv.out_channels)
            module.conv.weight[channels, channels, :2, :2] += 0.25  # the mean of the four pixels that become one
            nn.init.zeros_(module.conv.bias)
        elif isinstance(module, Upsample2D):
            module.conv.weight.mul_(0.3)
            channels = torch.arange(module.conv.out_channels)
            module.conv.weight[channels, channels, 1, 1] += 1.0
            nn.init.zeros_(module.conv.bias)
    for conv in (model.encoder.conv_in, model.decoder.conv_in, model.quant_conv, model.post_quant_conv):
        _orthogonal_centre(conv)


def _orthogonal_centre(conv: nn.Conv2d) -> None:
    """Make the middle tap a rotation (or projection), keep a little of the default around it."""
    conv.weight.mul_(0.3)
    middle = conv.kernel_size[0] // 2
    rotation = nn.init.orthogonal_(torch.empty(conv.out_channels, conv.in_channels))
    conv.weight[:, :, middle, middle] = rotation
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
