"""Feature statistics: the content's features inside the VQGAN given the statistics of the style's.

Both pictures go through the autoencoder, without quantisation. At several layers the content's features,
seen as a cloud of points over the picture, get the style's mean and spread (AdaIN) or mean and covariance
(whitening and colouring, WCT) before they go on, so that every layer works on features that are already
styled. No network is trained for it, and nothing outside the VQGAN is needed.

Known deviation from the papers: they use VGG and decoders trained to invert its layers; here one autoencoder
does both, and the layers are transformed within one pass instead of one pass per layer.

Source: Huang & Belongie 2017, "Arbitrary style transfer in real-time with adaptive instance normalization",
eq. 8; Li et al. 2017, "Universal style transfer via feature transforms", eq. 1-3.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor, nn

from studio.events import Loading, Step
from studio.inpaint.context import Context
from studio.stylize.task import Outcome, ShouldStop, Stage, Task

if TYPE_CHECKING:
    from studio.codebook.vqgan import Vqgan

LATENTS = "quant_conv"
_RIDGE = 1e-4  # share of the mean variance added to every direction, so that dead ones are not blown up


@dataclass(frozen=True, slots=True)
class Statistics:
    """Mean (c,) and covariance (c, c) of one layer's features over a picture, in float32."""

    mean: Tensor
    covariance: Tensor


Transform = Callable[[Tensor, Statistics], Tensor]


def adain(features: Tensor, style: Statistics) -> Tensor:
    """Return `features` (1, c, h, w) with the style's mean and standard deviation per channel."""
    own = statistics(features)
    scale = torch.sqrt(_ridged(style.covariance).diagonal() / _ridged(own.covariance).diagonal())
    return _affine(features, own.mean, torch.diag(scale), style.mean)


def wct(features: Tensor, style: Statistics) -> Tensor:
    """Return `features` (1, c, h, w) whitened, then coloured with the style's covariance and mean."""
    own = statistics(features)
    whiten = _power(_ridged(own.covariance), -0.5)
    colour = _power(_ridged(style.covariance), 0.5)
    return _affine(features, own.mean, colour @ whiten, style.mean)


def statistics(features: Tensor) -> Statistics:
    """Return the mean and covariance of `features` (1, c, h, w) over its positions."""
    points = features[0].flatten(1).float()  # (c, n)
    mean = points.mean(dim=1)
    centred = points - mean[:, None]
    return Statistics(mean, centred @ centred.T / points.shape[1])


def pooled(parts: Sequence[Statistics], weights: Sequence[float]) -> Statistics:
    """Return the statistics of several references as one picture, each counted by its weight."""
    shares = [weight / sum(weights) for weight in weights]
    mean = torch.stack([share * part.mean for share, part in zip(shares, parts, strict=True)]).sum(dim=0)
    second = [
        share * (part.covariance + torch.outer(part.mean, part.mean)) for share, part in zip(shares, parts, strict=True)
    ]
    return Statistics(mean, torch.stack(second).sum(dim=0) - torch.outer(mean, mean))


@torch.inference_mode()
def measure(vqgan: Vqgan, picture: Image.Image, layers: Sequence[str]) -> dict[str, Statistics]:
    """Return the statistics of `picture` at each of `layers` (see `default_layers`)."""
    found: dict[str, Statistics] = {}

    def look(name: str, features: Tensor) -> Tensor:
        found[name] = statistics(features)
        return features

    with _watched(vqgan.model, layers, look):
        vqgan.decode_vectors(vqgan.encode_vectors(picture))
    return found


@torch.inference_mode()
def restyle(
    vqgan: Vqgan,
    picture: Image.Image,
    style: dict[str, Statistics],
    *,
    transform: Transform = wct,
    strength: float = 1.0,
) -> Image.Image:
    """Return `picture` with the layers named in `style` given its statistics, mixed in by `strength` in [0, 1].

    Raises:
        InvalidResult: The decoder made NaN or infinity.
    """

    def change(name: str, features: Tensor) -> Tensor:
        styled = transform(features.float(), style[name])
        return torch.lerp(features.float(), styled, strength).to(features.dtype)

    with _watched(vqgan.model, tuple(style), change):
        pixels = vqgan.decode_vectors(vqgan.encode_vectors(picture))
    return Image.fromarray(pixels[0][: picture.height, : picture.width])


def default_layers(vqgan: Vqgan) -> tuple[str, ...]:
    """Return the layers that are transformed: the encoder's levels, the latents, and the decoder's first levels."""
    levels = len(vqgan.model.config.block_out_channels)
    encoder = [f"encoder.down_blocks.{level}" for level in range(levels)]
    return (*encoder, LATENTS, *(f"decoder.up_blocks.{level}" for level in range(levels - 1)))


def run_adain(task: Task, context: Context, should_stop: ShouldStop) -> Stage:
    """Method "adain": mean and spread per channel."""
    return _run(task, context, should_stop, transform=adain)


def run_wct(task: Task, context: Context, should_stop: ShouldStop) -> Stage:
    """Method "wct": whitening and colouring."""
    return _run(task, context, should_stop, transform=wct)


def _run(task: Task, context: Context, should_stop: ShouldStop, *, transform: Transform) -> Stage:
    """Measure the references, show the whole at half size, then do it."""
    yield Loading("VQGAN")
    vqgan = context.vqgan(task.request.model)
    layers = default_layers(vqgan)
    total, began = len(task.references) + 2, time.perf_counter()
    measured = []
    for index, picture in enumerate(task.references, 1):
        if should_stop():
            return None
        measured.append(measure(vqgan, picture, layers))
        yield Step(index, total, seconds=time.perf_counter() - began)
    style = {layer: pooled([found[layer] for found in measured], task.weights) for layer in layers}
    preview = restyle(vqgan, _half(task.content), style, transform=transform, strength=task.request.strength)
    yield Step(total - 1, total, preview=preview, seconds=time.perf_counter() - began)
    if should_stop():
        return None
    picture = restyle(vqgan, task.content, style, transform=transform, strength=task.request.strength)
    yield Step(total, total, preview=picture, seconds=time.perf_counter() - began)
    return Outcome((picture,), facts={"vqgan": vqgan.name, "vqgan_checksum": vqgan.checksum})


def _half(picture: Image.Image) -> Image.Image:
    return picture.resize((max(picture.width // 2, 1), max(picture.height // 2, 1)), Image.Resampling.BILINEAR)


@contextmanager
def _watched(model: nn.Module, layers: Sequence[str], see: Callable[[str, Tensor], Tensor]) -> Iterator[None]:
    """Hand the output of every one of `layers` to `see` and let what it returns go on in its place."""
    modules = dict(model.named_modules())

    def hook(name: str) -> Callable[[nn.Module, object, Tensor], Tensor]:
        return lambda module, inputs, output: see(name, output)

    handles = [modules[name].register_forward_hook(hook(name)) for name in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _affine(features: Tensor, mean: Tensor, matrix: Tensor, new_mean: Tensor) -> Tensor:
    _, channels, height, width = features.shape
    points = features[0].flatten(1) - mean[:, None]  # (c, n)
    return (matrix @ points + new_mean[:, None]).view(1, channels, height, width)


def _ridged(covariance: Tensor) -> Tensor:
    size = len(covariance)
    ridge = _RIDGE * covariance.diagonal().mean() + 1e-8
    return covariance + ridge * torch.eye(size, device=covariance.device)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix.double())
    return ((vectors * values.clamp_min(1e-12) ** exponent) @ vectors.T).float()
