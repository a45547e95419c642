"""What `studio train tokens` saves, the engine paints with: a prior that has learned four pictures makes them again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from studio.engine.engine import Engine
from studio.engine.preview import SHIPPED_NAME, PreviewMap, save
from studio.requests import TextToImage
from studio.training.latents import encode_codes
from studio.training.stream import Batch
from tests.engine.run import loaded, settings_for
from tests.training.tiny import NAMES, SIDE, diffusion_task, pictures, tokens_task

CAPTIONS = [f"a {name} square" for name in NAMES]


@pytest.mark.thorough
def test_a_prior_that_learned_four_pictures_makes_them_from_their_captions(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "learned"
    diffusion_task(tmp_path / "text").export(folder)
    task = tokens_task(
        tmp_path / "text", steps=400, learning_rate=4e-3, label_smoothing=0.0, caption_drop=0.0, hidden_size=64
    )
    batch = Batch(pictures(), CAPTIONS, [0, 1, 2, 3])
    for step in range(260):
        task.step(batch, step)
    task.export(folder)
    expected = encode_codes(task.vqvae, pictures()).numpy()  # (4, 8, 8)

    engine = Engine(settings_for(tmp_path, folder.parent))
    model = engine.scan().find("learned-tokens")
    flat = PreviewMap(torch.zeros(3, 4, 1, 1), torch.zeros(3), 1, 0.0)  # spares the fit
    save(flat, engine.store.checksums.of(folder / "vqvae"), folder / SHIPPED_NAME)
    for caption, codes in zip(CAPTIONS, expected, strict=True):
        request = TextToImage(
            prompt=caption, model=model.id, scheduler="maskgit", steps=8, guidance_scale=1, temperature=0, seed=1
        )
        run = engine.sample(loaded(engine, model.id), request, SIDE, SIDE, should_stop=lambda: False)
        try:
            while True:
                next(run)
        except StopIteration as stop:
            made = stop.value.latents[0, 0].astype(int) - 1
        assert np.mean(made == codes) > 0.95, caption
