"""A tiny random prior beside the tiny latent diffusion model, and MaskGIT written down plainly as its oracle."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from diffusers import UVit2DModel

MICRO = (256.0, 256.0, 0.0, 0.0, 6.0)


def save_prior(folder: Path, *, codes: int = 64, width: int = 32) -> Path:
    """Put a `transformer` of random weights into a saved latent diffusion folder: 4 x 4 cells of 16 pixels."""
    torch.manual_seed(4)
    prior = UVit2DModel(
        hidden_size=32, cond_embed_dim=width, micro_cond_encode_dim=8, micro_cond_embed_dim=40,
        encoder_hidden_size=width, vocab_size=codes + 1, codebook_size=codes, in_channels=32, block_out_channels=32,
        num_res_blocks=1, block_num_heads=2, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        sample_size=4,
    )  # fmt: skip
    for parameter in prior.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)  # diffusers starts it so close to zero that all codes are alike
    prior.save_pretrained(folder / "transformer", safe_serialization=True)
    return folder


@torch.no_grad()
def maskgit(
    parts: dict[str, Any],
    prompt: str,
    *,
    side: int,
    seed: int,
    steps: int,
    guidance: float,
    temperature: float = 1.0,
    start: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return codes (h, w): section 3.2 of Chang et al. 2022 for one picture, cell by cell.

    Args:
        parts: "transformer", "bert", "tokenizer".
        start: (h, w) codes of which some are -1: those are filled in; None: all are.
    """
    prior, tokenizer = parts["transformer"], parts["tokenizer"]
    ids = tokenizer(["", prompt], padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    text = parts["bert"](ids)[0]
    micro = torch.tensor(MICRO).repeat(2, 1)
    generator = torch.Generator().manual_seed(seed)
    torch.randn(1, side, side, generator=generator)  # the loop draws every run's noise first, wanted or not
    hidden_code = prior.config.codebook_size
    codes = torch.full((side, side), -1) if start is None else start.clone()
    cells = [(r, c) for r in range(side) for c in range(side)]
    total = int((codes == -1).sum())
    for step in range(steps):
        shown = torch.where(codes < 0, hidden_code, codes)
        without, given = prior(shown.repeat(2, 1, 1), text, text.mean(1), micro)  # (codes, h, w) each
        scores = (without + guidance * (given - without)).permute(1, 2, 0).flatten(0, 1)
        likely = scores.softmax(-1)
        drawn = torch.multinomial((scores / (temperature or 1)).softmax(-1), 1, generator=generator)[:, 0]
        if temperature == 0:
            drawn = likely.argmax(1)
        uniform = torch.rand(side * side, generator=generator).clamp(1e-9, 1 - 1e-7)
        sureness = {}
        for place, cell in enumerate(cells):
            if codes[cell] < 0:
                gumbel = -math.log(-math.log(float(uniform[place])))
                noise = 4.5 * temperature * (1 - step / steps)
                sureness[cell] = math.log(max(float(likely[place, drawn[place]]), 1e-9)) + noise * gumbel
        left = math.floor(math.cos(math.pi / 2 * (step + 1) / steps) * total + 1e-6)
        for cell in sorted(sureness, key=lambda cell: sureness[cell], reverse=True)[: len(sureness) - left]:
            codes[cell] = drawn[cells.index(cell)]
    return codes
