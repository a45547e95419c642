"""Feature statistics: what the transforms promise, and what the whole pass does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from studio.codebook.vqgan import Vqgan
from studio.stylize import features
from studio.stylize.features import Statistics
from tests.stylize.waves import waves


def random_features(seed: int, *, scale: float = 1.0) -> torch.Tensor:
    """Correlated features (1, 6, 9, 11)."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(6, 6, generator=generator)
    points = mix @ torch.randn(6, 99, generator=generator) * scale + torch.randn(6, 1, generator=generator)
    return points.view(1, 6, 9, 11)


def test_wct_gives_the_features_the_styles_mean_and_covariance() -> None:
    style = features.statistics(random_features(2, scale=3))
    result = features.statistics(features.wct(random_features(1), style))
    assert torch.allclose(result.mean, style.mean, atol=1e-3)
    assert torch.allclose(result.covariance, style.covariance, atol=0.02 * float(style.covariance.abs().max()))


def test_adain_gives_each_channel_the_styles_mean_and_spread_and_nothing_more() -> None:
    content, style = random_features(1), features.statistics(random_features(2, scale=3))
    result = features.adain(content, style)
    found = features.statistics(result)
    assert torch.allclose(found.mean, style.mean, atol=1e-3)
    assert torch.allclose(found.covariance.diagonal(), style.covariance.diagonal(), rtol=0.02)
    before, after = torch.corrcoef(content[0].flatten(1)), torch.corrcoef(result[0].flatten(1))
    assert torch.allclose(before, after, atol=1e-4)


def test_dead_channels_stay_finite() -> None:
    content, style = random_features(1), random_features(2)
    content[:, 3], style[:, 4] = 0, 0
    for transform in (features.adain, features.wct):
        assert torch.isfinite(transform(content, features.statistics(style))).all()


def test_pooled_statistics_are_those_of_the_pictures_side_by_side() -> None:
    one, two = random_features(1), random_features(2, scale=2)
    pooled = features.pooled([features.statistics(one), features.statistics(two)], [1, 1])
    together = features.statistics(torch.cat([one, two], dim=3))
    assert torch.allclose(pooled.mean, together.mean, atol=1e-5)
    assert torch.allclose(pooled.covariance, together.covariance, rtol=1e-3, atol=1e-4)


def test_a_weight_of_zero_leaves_a_reference_out() -> None:
    one, two = features.statistics(random_features(1)), features.statistics(random_features(2))
    pooled = features.pooled([one, two], [0, 5])
    assert torch.allclose(pooled.covariance, two.covariance, atol=1e-4)


def test_no_strength_is_the_autoencoder_alone(vqgan: Vqgan) -> None:
    content = waves(61, 45, seed=1)
    style = features.measure(vqgan, waves(80, 64, seed=2), features.default_layers(vqgan))
    plain = vqgan.decode_vectors(vqgan.encode_vectors(content))[0][:45, :61]
    restyled = np.asarray(features.restyle(vqgan, content, style, strength=0))
    assert restyled.shape == (45, 61, 3)
    assert np.abs(restyled.astype(int) - plain).max() <= 1


@pytest.mark.parametrize("transform", [features.adain, features.wct])
def test_full_strength_brings_the_latents_to_the_styles(vqgan: Vqgan, transform: features.Transform) -> None:
    content, picture = waves(64, 64, seed=1), waves(64, 64, seed=2)
    style = features.measure(vqgan, picture, (features.LATENTS,))
    seen: dict[str, Statistics] = {}
    original = vqgan.decode_vectors

    def spy(vectors: torch.Tensor) -> np.ndarray:
        seen["latents"] = features.statistics(vectors)
        return original(vectors)

    vqgan.decode_vectors = spy  # type: ignore[method-assign]
    try:
        features.restyle(vqgan, content, style, transform=transform)
    finally:
        del vqgan.decode_vectors
    assert torch.allclose(seen["latents"].mean, style[features.LATENTS].mean, atol=1e-3)
    assert torch.allclose(
        seen["latents"].covariance.diagonal(), style[features.LATENTS].covariance.diagonal(), rtol=0.05, atol=1e-4
    )


def test_the_model_is_left_as_it_was(vqgan: Vqgan) -> None:
    content = waves(64, 64, seed=1)
    before = vqgan.decode(vqgan.encode(content)).tobytes()
    features.restyle(vqgan, content, features.measure(vqgan, waves(64, 64, seed=2), features.default_layers(vqgan)))
    assert vqgan.decode(vqgan.encode(content)).tobytes() == before
