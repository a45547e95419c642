"""The losses of the autoencoder. Pictures are (b, 3, h, w) in [-1, 1]; every function returns a scalar."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Cb and Cr of ITU-R BT.601 for RGB in [-1, 1].
_CHROMA = ((-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def pixel_loss(output: Tensor, target: Tensor, *, l1: float, l2: float) -> Tensor:
    """Return ``l1`` times the mean absolute plus ``l2`` times the mean squared difference."""
    difference = output - target
    return l1 * difference.abs().mean() + l2 * difference.square().mean()


def chroma_loss(output: Tensor, target: Tensor, *, pool: int = 4) -> Tensor:
    """Return the mean absolute error of colour alone: Cb and Cr of the difference, averaged over ``pool`` squares.

    Without it small autoencoders learn brightness first and leave greens and purples grey.
    """
    matrix = torch.tensor(_CHROMA, device=output.device)[:, :, None, None]
    return F.conv2d(F.avg_pool2d(output - target, pool), matrix).abs().mean()


def laplacian_loss(output: Tensor, target: Tensor, *, levels: int = 4) -> Tensor:
    """Return the L1 distance of Laplacian pyramids, a weight-free stand-in for perceptual features.

    Source: Bojanowski et al. 2018, "Optimizing the Latent Space of Generative Networks", eq. 2. The low-pass is a 2x2
    mean instead of a Gaussian. Pictures smaller than 2**levels get fewer levels.
    """
    residual = output - target  # the pyramid is linear: that of the difference is the difference of both
    total = residual.new_zeros(())
    for level in range(levels):
        if min(residual.shape[-2:]) < 2:
            break
        small = F.avg_pool2d(residual, 2)
        band = residual - F.interpolate(small, size=residual.shape[-2:], mode="nearest")
        total = total + 2.0**level * band.abs().mean()
        residual = small
    return total + residual.abs().mean()


def ssim(output: Tensor, target: Tensor, *, window: int = 11, data_range: float = 2.0) -> Tensor:
    """Return the mean structural similarity with a uniform window.

    Source: Wang et al. 2004, eq. 13, K1 = .01, K2 = .03.
    """
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_x, mean_y = F.avg_pool2d(output, window, 1), F.avg_pool2d(target, window, 1)
    var_x = F.avg_pool2d(output * output, window, 1) - mean_x**2
    var_y = F.avg_pool2d(target * target, window, 1) - mean_y**2
    cov = F.avg_pool2d(output * target, window, 1) - mean_x * mean_y
    top = (2 * mean_x * mean_y + c1) * (2 * cov + c2)
    return (top / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean()


def isotropy_loss(z: Tensor) -> Tensor:
    """Return how far the encoder's output (b, d, h, w) is from using its ``d`` directions equally; 0 at best.

    The mean squared difference between ``d`` times the covariance and the unit matrix. A code that sits in two or
    three directions has no room for a third axis of colour. Source: the covariance and variance terms of Bardes et
    al. 2022, VICReg, eq. 1 and 3, as one matrix.
    """
    d = z.shape[1]
    flat = z.transpose(0, 1).reshape(d, -1)
    flat = flat - flat.mean(dim=1, keepdim=True)
    covariance = flat @ flat.T / flat.shape[1]
    return (d * covariance - torch.eye(d, device=z.device)).square().mean()


def hinge_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return half the hinge loss of a discriminator's scores. Source: Lim and Ye 2017."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())


def feature_matching_loss(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Return the mean L1 distance of discriminator features. Source: Wang et al. 2018, pix2pixHD, eq. 4."""
    return torch.stack([F.l1_loss(f, r.detach()) for r, f in zip(real, fake, strict=True)]).mean()


def balance(reference: Tensor, adversarial: Tensor, *, share: float, limit: float = 10.0) -> Tensor:
    """Return the factor that makes ``adversarial`` ``share`` times as long as ``reference``, at most ``limit``.

    Both are gradients with respect to the decoded picture. This is the adaptive weight of Esser et al. 2021 (VQGAN,
    eq. 7), taken at the picture instead of the last layer (one backward pass less) and clamped low: the original
    limit of 1e4 lets a vanishing gradient explode.
    """
    return (share * reference.norm() / (adversarial.norm() + 1e-8)).clamp(max=limit)
