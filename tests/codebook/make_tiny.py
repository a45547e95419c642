"""Make models/tiny again: `PYTHONPATH=.:tests python -m codebook.make_tiny`, three minutes on one core.

The tests load the kept result, because learning it anew would take longer than all of them. Nothing depends on
its exact weights; a new one only changes checksums.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import VQModel
from PIL import Image
from scipy.cluster.vq import kmeans2

from codebook.drawing import CODES, drawn, untrained

STEPS = 700


def learn(model: VQModel, pictures: list[Image.Image], *, steps: int) -> None:
    """Overfit: an autoencoder first, then k-means codes, then the decoder on quantised vectors."""
    batch = torch.stack([torch.tensor(np.array(p)).permute(2, 0, 1).float() / 127.5 - 1 for p in pictures])
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(steps):
        z = model.encode(batch).latents
        if step == steps // 2:
            vectors = z.detach().permute(0, 2, 3, 1).flatten(0, 2).numpy()
            centres, _ = kmeans2(vectors, CODES, minit="++", rng=np.random.default_rng(0))
            model.quantize.embedding.weight.data.copy_(torch.tensor(centres))
        shown = model.decode(z, force_not_quantize=step < steps // 2).sample
        loss = (shown - batch).abs().mean()
        if step > steps // 2:
            quantised = model.quantize(z)[0].detach()
            loss = loss + 0.25 * (quantised - z).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 100 == 0:
            print(step, loss.item())


def main() -> None:
    """Learn eight drawn pictures and save the model in half precision."""
    model = untrained().train()
    learn(model, [drawn(64, 64, seed=i) for i in range(8)], steps=STEPS)
    model.half().save_pretrained(Path(__file__).parent / "models" / "tiny" / "vqvae")


if __name__ == "__main__":
    main()
