"""The codebook while it is learned, and that the plain VQModel agrees with it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from studio.training.quantizer import Codebook, usage
from tests.training.tiny import vqmodel


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clusters(*, count: int = 400) -> torch.Tensor:
    """Return vectors around four directions, (4 * count, 4)."""
    return torch.eye(4).repeat(count, 1) + 0.05 * torch.randn(4 * count, 4, generator=generator())


def test_k_means_finds_the_directions_that_are_there() -> None:
    book = Codebook(4, 4)
    book.initialise(clusters(), generator=generator())
    assert (book.codes @ torch.eye(4)).max(dim=0).values.min() > 0.99
    assert torch.allclose(book.codes.norm(dim=1), torch.ones(4), atol=1e-5)


def test_lookup_returns_codes_and_passes_gradients_straight_through() -> None:
    book = Codebook(8, 4)
    z = torch.randn(2, 4, 3, 3, generator=generator(), requires_grad=True)
    found = book(z)
    assert torch.allclose(found.vectors.permute(0, 2, 3, 1), F.embedding(found.indices, book.codes), atol=1e-6)
    found.vectors.sum().backward()
    assert torch.equal(z.grad, torch.ones_like(z))


def test_commitment_is_the_squared_distance_to_the_code_and_pulls_the_encoder_alone() -> None:
    book = Codebook(2, 2)
    book.codes.copy_(torch.eye(2))
    z = torch.tensor([3.0, 0.5])[None, :, None, None].requires_grad_()
    commitment = book(z).commitment
    commitment.backward()
    assert commitment.item() == pytest.approx(2**2 + 0.5**2)
    assert z.grad.flatten().tolist() == pytest.approx([2 * 2, 2 * 0.5])


def test_the_plain_model_picks_the_same_codes() -> None:
    model = vqmodel()
    book = Codebook(16, 4)
    book.codes.copy_(model.quantize.embedding.weight.detach())
    z = torch.randn(2, 4, 8, 8, generator=generator()) * 3  # of any length
    assert torch.equal(model.quantize(z)[2][2], book(z).indices.flatten())


def test_codes_move_to_the_mean_direction_of_what_chose_them() -> None:
    book = Codebook(2, 2, decay=0.5)
    book.codes.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    book.sums.copy_(book.codes)
    z = F.normalize(torch.tensor([1.0, 1.0]), dim=0)[None, :, None, None]
    book.update(z, torch.zeros(1, 1, 1, dtype=torch.int64))
    expected = F.normalize(torch.tensor([0.5 + 0.5 * 0.70711, 0.5 * 0.70711]), dim=0)
    assert torch.allclose(book.codes[0], expected, atol=1e-4)
    assert torch.allclose(book.codes[1], torch.tensor([-1.0, 0.0]))


def test_unused_codes_are_seeded_again_from_the_data() -> None:
    book = Codebook(4, 2)
    book.counts.copy_(torch.tensor([10.0, 10.0, 0.0, 0.0]))
    z = F.normalize(torch.randn(1, 2, 8, 8, generator=generator()), dim=1)
    assert book.revive(z, below=0.1, generator=generator()) == 2
    vectors = z.permute(0, 2, 3, 1).reshape(-1, 2)
    assert ((book.codes[2:, None] - vectors).norm(dim=-1).min(dim=1).values < 1e-6).all()
    assert book.revive(z, below=0.1, generator=generator()) == 0


def test_usage_counts_codes_and_perplexity() -> None:
    used, perplexity, top = usage(torch.tensor([0, 0, 1, 1]), 4)
    assert (used, top) == (0.5, 0.5)
    assert perplexity == pytest.approx(2.0)
