"""Each loss against a value worked out by hand, or a reference implementation."""

from __future__ import annotations

import math
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from scipy.stats import norm

from studio.training.diffusion import DiffusionTask, time_share
from studio.training.losses import (
    balance,
    chroma_loss,
    feature_matching_loss,
    hinge_discriminator_loss,
    isotropy_loss,
    laplacian_loss,
    pixel_loss,
    ssim,
)
from studio.training.tokens import fill_surest, mask_of, masked_loss


def flat(red: float, green: float, blue: float, *, size: int = 16) -> torch.Tensor:
    return torch.tensor([red, green, blue], dtype=torch.float32)[None, :, None, None].expand(1, 3, size, size).clone()


def test_pixel_loss_adds_absolute_and_squared_error() -> None:
    assert pixel_loss(flat(0.5, 0.5, 0.5), flat(0, 0, 0), l1=1.0, l2=2.0).item() == pytest.approx(0.5 + 2 * 0.25)


def test_chroma_loss_is_blind_to_brightness_and_sees_colour() -> None:
    assert chroma_loss(flat(0.3, 0.3, 0.3), flat(-0.2, -0.2, -0.2)).item() == pytest.approx(0, abs=1e-6)
    # A red error of 1: Cb -0.168736, Cr 0.5; their mean absolute value.
    assert chroma_loss(flat(1, 0, 0), flat(0, 0, 0)).item() == pytest.approx((0.168736 + 0.5) / 2, abs=1e-6)


def test_laplacian_loss_of_a_flat_error_is_its_size_and_sees_edges_more() -> None:
    assert laplacian_loss(flat(0.5, 0.5, 0.5), flat(0, 0, 0)).item() == pytest.approx(0.5)
    checks = flat(0, 0, 0)
    checks[..., ::2, ::2] = 1
    checks[..., 1::2, 1::2] = 1
    # Mean of every 2x2 is .5: a band of .5 on the first level (weight 1), nothing above, low-pass .5.
    assert laplacian_loss(checks, flat(0, 0, 0)).item() == pytest.approx(0.5 + 0.5)


def test_ssim_is_one_for_equal_pictures_and_has_the_known_value_for_flat_ones() -> None:
    noise = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert ssim(noise, noise).item() == pytest.approx(1, abs=1e-4)
    c1 = (0.01 * 2) ** 2
    expected = (2 * 0.5 * -0.5 + c1) / (0.25 + 0.25 + c1)
    assert ssim(flat(0.5, 0.5, 0.5), flat(-0.5, -0.5, -0.5)).item() == pytest.approx(expected, abs=1e-4)


def test_isotropy_is_zero_when_all_directions_are_used_alike_and_grows_when_one_is_not() -> None:
    even = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]]).T[None, :, :, None]  # (1, 2, 4, 1)
    assert isotropy_loss(even).item() == pytest.approx(0, abs=1e-6)
    one_line = torch.tensor([[1.0, 0], [-1, 0], [1, 0], [-1, 0]]).T[None, :, :, None]
    # 2 * covariance = diag(2, 0); minus the unit matrix diag(1, -1); mean square of four entries.
    assert isotropy_loss(one_line).item() == pytest.approx(0.5)


def test_hinge_loss_stops_at_the_margin() -> None:
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-2.0, 0.5])
    assert hinge_discriminator_loss(real, fake).item() == pytest.approx(0.5 * (0.25 + 0.75))


def test_feature_matching_averages_over_layers_and_leaves_the_real_side_alone() -> None:
    real = [torch.zeros(2, requires_grad=True), torch.zeros(4)]
    fake = [torch.ones(2, requires_grad=True), torch.full((4,), 3.0)]
    loss = feature_matching_loss(real, fake)
    loss.backward()
    assert loss.item() == pytest.approx(2.0)
    assert real[0].grad is None
    assert fake[0].grad is not None


def test_balance_scales_to_the_share_and_is_clamped() -> None:
    assert balance(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 0.0]), share=0.35).item() == pytest.approx(1.75)
    assert balance(torch.tensor([3.0, 4.0]), torch.tensor([1e-9, 0.0]), share=0.35, limit=10).item() == 10


def test_masked_loss_counts_hidden_codes_only() -> None:
    logits = torch.zeros(1, 4, 1, 2)
    logits[0, 2, 0, 0] = 100.0  # sure and right at the hidden place
    codes = torch.tensor([[[2, 1]]])
    assert masked_loss(logits, codes, torch.tensor([[[True, False]]]), smoothing=0).item() == pytest.approx(0, abs=1e-6)
    both = masked_loss(logits, codes, torch.tensor([[[True, True]]]), smoothing=0).item()
    assert both == pytest.approx(math.log(4) / 2, abs=1e-6)


def test_mask_hides_the_cosine_share_and_never_nothing() -> None:
    order = torch.rand(3, 100, generator=torch.Generator().manual_seed(0))
    hidden = mask_of(torch.tensor([0.0, 0.5, 0.9999]), order)
    assert hidden.sum(1).tolist() == [100, round(100 * math.cos(math.pi / 4)), 1]


def test_filling_keeps_known_codes_and_hides_the_asked_share_again() -> None:
    codes = torch.full((1, 4, 4), 9)
    codes[0, 0] = torch.tensor([1, 2, 3, 4])
    logits = torch.randn(1, 9, 4, 4, generator=torch.Generator().manual_seed(0))
    filled = fill_surest(codes, logits, mask=9, left=0.5, noise=1.0, generator=torch.Generator().manual_seed(1))
    assert filled[0, 0].tolist() == [1, 2, 3, 4]
    assert (filled == 9).sum().item() == 8
    done = fill_surest(filled, logits, mask=9, left=0.0, noise=0.0, generator=torch.Generator().manual_seed(1))
    assert (done == 9).sum().item() == 0


def test_times_are_alike_or_follow_scipys_logit_normal_law() -> None:
    uniform = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    torch.testing.assert_close(time_share(uniform, 0.3, 0.0), uniform)
    drawn = time_share(uniform, 0.3, 1.2)
    wanted = torch.from_numpy(norm.cdf((torch.logit(drawn).numpy() - 0.3) / 1.2))  # back through the law
    torch.testing.assert_close(wanted, uniform)
    assert drawn[499].item() == pytest.approx(1 / (1 + math.exp(-0.3)))
    assert time_share(torch.tensor([0.0]), 0.3, 1.2).item() > 0


@pytest.mark.parametrize(("gamma", "wanted"), [(0.0, (0.04 + 1) / 2), (1.0, (0.36 * 0.04 + 0.1 * 1) / 2)])
def test_diffusion_loss_is_that_of_v_and_weighted_by_min_snr(gamma: float, wanted: float) -> None:
    seen = []

    def unet(noisy: torch.Tensor, times: torch.Tensor, *, encoder_hidden_states: torch.Tensor) -> SimpleNamespace:
        seen.append(noisy)
        return SimpleNamespace(sample=torch.zeros_like(noisy))

    task = SimpleNamespace(
        alphas=torch.tensor([0.64, 0.0]),  # alpha .8 and sigma .6; nothing but noise
        unet=unet,
        accelerator=SimpleNamespace(autocast=nullcontext),
        config=SimpleNamespace(min_snr_gamma=gamma),
    )
    latents, noise = torch.ones(2, 1, 2, 2), torch.full((2, 1, 2, 2), 0.5)
    loss, error = DiffusionTask.loss(task, latents, noise, torch.tensor([0, 1]), torch.zeros(2, 1, 1))  # type: ignore[arg-type]
    assert seen[0][:, 0, 0, 0].tolist() == pytest.approx([0.8 * 1 + 0.6 * 0.5, 0.5])
    # v is .8 * .5 - .6 * 1 = -.2 and -1; the weights are min(snr, 1) / (snr + 1) with snr = .64 / .36, and the least.
    assert error.tolist() == pytest.approx([0.04, 1])
    assert loss.item() == pytest.approx(wanted)
