"""The compiled norm agrees with torch, and leaves a plain diffusers model behind."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel, VQModel
from torch import nn

from studio.training.group_norm import NormSilu, accelerate_norms, can_compile
from tests.training.tiny import vqmodel

needs_compiler = pytest.mark.skipif(not can_compile(), reason="needs g++ and a CPU with AVX-512 (apt install g++)")


@needs_compiler
@pytest.mark.parametrize("shape", [(2, 8, 16, 16), (3, 24, 5, 7), (1, 64, 1, 1), (4, 96, 8, 8)])
def test_forward_and_backward_agree_with_torch(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(shape, generator=generator) * 2 + 0.7).bfloat16().contiguous(memory_format=torch.channels_last)
    slope = torch.randn(shape, generator=generator).bfloat16()
    norm = nn.GroupNorm(4, shape[1])
    nn.init.normal_(norm.weight, 1, 0.3)
    nn.init.normal_(norm.bias)
    results = []
    for layer in (lambda v: F.silu(norm(v.float())), NormSilu(norm)):
        norm.zero_grad()
        leaf = x.clone().requires_grad_()
        out = layer(leaf)
        out.backward(slope.to(out.dtype))
        results.append([out.float(), leaf.grad.float(), norm.weight.grad.clone(), norm.bias.grad.clone()])
    for reference, ours in zip(*results, strict=True):
        assert (reference - ours).norm() <= 0.01 * reference.norm() + 1e-4


@needs_compiler
def test_a_model_keeps_its_parameter_names_and_its_output() -> None:
    model, plain = vqmodel(), vqmodel()
    names = list(model.state_dict())
    assert accelerate_norms(model) > 0
    assert list(model.state_dict()) == names
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(model.encode(x).latents, plain.encode(x).latents, atol=1e-5)  # float32 goes through torch


@needs_compiler
def test_a_unet_with_time_embedding_keeps_its_output() -> None:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), block_out_channels=(16, 32), layers_per_block=1,
        norm_num_groups=4, cross_attention_dim=16, attention_head_dim=8,
    )  # fmt: skip
    inputs = (torch.randn(2, 4, 8, 8), torch.tensor([10, 500]), torch.randn(2, 7, 16))
    before = unet(*inputs).sample
    accelerate_norms(unet)
    assert torch.allclose(unet(*inputs).sample, before, atol=1e-5)


@needs_compiler
def test_what_is_saved_is_a_plain_model(tmp_path) -> None:  # type: ignore[no-untyped-def]
    model = vqmodel()
    accelerate_norms(model)
    model.save_pretrained(tmp_path)
    x = torch.randn(1, 3, 32, 32)
    assert torch.allclose(VQModel.from_pretrained(tmp_path).encode(x).latents, vqmodel().encode(x).latents, atol=1e-5)
