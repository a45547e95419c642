"""The masked-token prior in the engine's loop: the codes of MaskGIT written down plainly, and all the loop gives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UVit2DModel
from transformers import AutoTokenizer, BertModel

from studio.engine.catalog import scan
from studio.engine.denoise import LoopOptions, Start
from studio.engine.engine import Engine
from studio.engine.families.masked_tokens import MICRO_CONDITIONS, MaskedTokens
from studio.engine.maskgit import HIDDEN, MaskGit
from studio.engine.priors import prior_for, prior_in
from studio.engine.replay import Replay
from studio.errors import InvalidRequest, ModelError, UnknownName
from studio.events import Cancelled, Decoding, Finished, Step
from studio.requests import TextToImage
from studio.settings import Settings
from studio.training import tokens as training
from tests.engine import tiny
from tests.engine.prior import maskgit, save_prior
from tests.engine.run import arrays, events_of, loaded, settings_for

PRIOR = "model-tokens"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with one in it, which has a U-Net and a prior."""
    models = tmp_path_factory.mktemp("models")
    save_prior(tiny.save_ldm(models / "model"))
    tiny.ship_preview(models / "model")
    return models


@pytest.fixture(scope="module")
def studio(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    data = tmp_path_factory.mktemp("data")
    return Engine(settings_for(data, folder, memory_gb=4))


@pytest.fixture(scope="module")
def model(studio: Engine) -> MaskedTokens:
    return loaded(studio, PRIOR).model


@pytest.fixture(scope="module")
def parts(folder: Path) -> dict[str, Any]:
    """The stock classes, without the studio."""
    where = folder / "model"
    return {
        "transformer": UVit2DModel.from_pretrained(where / "transformer").eval(),
        "bert": BertModel.from_pretrained(where / "bert").eval(),
        "tokenizer": AutoTokenizer.from_pretrained(where / "tokenizer"),
    }


def asked(**values: Any) -> TextToImage:
    """A request of 64 x 64 pixels, 16 tokens, in 4 steps."""
    given = {"model": PRIOR, "scheduler": "maskgit", "guidance_scale": 3.0, "steps": 4, "seed": 7}
    return TextToImage(**{"prompt": "a red apple", "width": 64, "height": 64, **given, **values})


def finish(studio: Engine, **values: Any) -> Finished:
    ending = events_of(studio, asked(**values))[-1]
    assert isinstance(ending, Finished)
    return ending


def codes_of(studio: Engine, request: TextToImage, options: LoopOptions | None = None) -> np.ndarray:
    """Return the codes (b, h, w) of a run."""
    run = studio.sample(
        loaded(studio, PRIOR), request, request.width, request.height, should_stop=lambda: False, options=options
    )
    while True:
        try:
            next(run)
        except StopIteration as stop:
            return stop.value.latents[:, 0].astype(int) - 1


def test_a_folder_with_a_prior_offers_it_as_a_fast_model_beside_the_first(folder: Path) -> None:
    cards = scan([folder]).models
    assert [card.id for card in cards] == ["model", PRIOR]
    first, prior = cards
    assert "fast" in prior.name and prior.path == first.path
    assert (prior.width, prior.grid) == (64, 16) and prior.bytes > 0
    assert [choice.id for choice in prior.schedulers] == ["maskgit", "maskgit_linear"]
    assert {preset.scheduler for preset in prior.presets} == {"maskgit"}
    assert [preset.steps for preset in prior.presets] == [6, 12, 24]


def test_the_makers_presets_for_the_prior_are_read(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder / "model", tmp_path / "copy"))
    (copy / "studio.toml").write_text(
        'name = "Mine"\ndescription = "Slow."\nprior_description = "Quick."\n'
        '[prior_presets.standard]\nsteps = 9\nscheduler = "maskgit"\nguidance_scale = 5.0\n'
    )
    prior = scan([tmp_path]).find("copy-tokens")
    assert (prior.description, scan([tmp_path]).find("copy").description) == ("Quick.", "Slow.")
    assert prior.name == "Mine, fast" and prior.preset("standard").steps == 9
    assert prior.preset("standard").guidance_scale == 5.0 and prior.preset("draft").steps == 6


def test_a_damaged_prior_costs_only_itself(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder / "model", tmp_path / "copy"))
    config = copy / "transformer" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "_class_name": "FluxTransformer2DModel"}))
    found = scan([tmp_path])
    assert [card.id for card in found.models] == ["copy"]
    with pytest.raises(ModelError, match="FluxTransformer2DModel; a prior is a UVit2DModel"):
        found.find("copy-tokens")


def test_a_prior_for_another_codebook_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder / "model", tmp_path / "copy"))
    save_prior(copy, codes=48)
    engine = Engine(Settings(data_dir=tmp_path, model_folders=(tmp_path,), device="cpu", dtype="float32"))
    with pytest.raises(ModelError, match=r"is for 48 codes .* the model has 64 codes"):
        loaded(engine, "copy-tokens")


def test_which_prior_a_model_name_means(folder: Path) -> None:
    found = scan([folder])
    assert prior_for(found, "model")[0].id == prior_for(found, PRIOR)[0].id == prior_for(found, "")[0].id == PRIOR
    assert prior_for(found, "model")[1] and prior_in(found, folder / "model").id == PRIOR
    with pytest.raises(UnknownName, match="model-tokens"):
        prior_for(found, "model-token")
    with pytest.raises(ModelError, match="has no masked-token prior"):
        prior_in(found, folder)


@pytest.mark.parametrize(
    ("steps", "temperature", "guidance"), [(1, 1.0, 3.0), (5, 1.0, 3.0), (8, 0.4, 6.0), (6, 0.0, 2.0), (6, 2.0, 1.5)]
)
def test_the_codes_are_those_of_maskgit_written_down_plainly(
    studio: Engine, parts: dict[str, Any], steps: int, temperature: float, guidance: float
) -> None:
    for seed in (1, 2):
        request = asked(seed=seed, steps=steps, temperature=temperature, guidance_scale=guidance)
        plain = maskgit(
            parts, "a red apple", side=4, seed=seed, steps=steps, guidance=guidance, temperature=temperature
        )
        np.testing.assert_array_equal(codes_of(studio, request)[0], plain.numpy())


def test_only_hidden_cells_are_filled_in_as_written_down_plainly(studio: Engine, parts: dict[str, Any]) -> None:
    start = torch.arange(16).view(4, 4)
    start[1:3, 1:4] = -1
    options = LoopOptions(start=Start((start + 1).float()[None, None], strength=1.0))
    found = codes_of(studio, asked(steps=5), options)[0]
    plain = maskgit(parts, "a red apple", side=4, seed=7, steps=5, guidance=3.0, start=start)
    np.testing.assert_array_equal(found, plain.numpy())
    known = (start >= 0).numpy()
    np.testing.assert_array_equal(found[known], start.numpy()[known])


def test_the_conditioning_is_that_of_training() -> None:
    assert MICRO_CONDITIONS == training._MICRO


def test_a_run_says_every_step_with_a_preview_then_decoding_then_finished(studio: Engine, model: MaskedTokens) -> None:
    events = events_of(studio, asked(batch=2))
    assert [type(event) for event in events] == [Step] * 4 + [Decoding, Finished]
    previews = [event.preview for event in events if isinstance(event, Step)]
    assert all(preview is not None and preview.size == (2 * 16, 16) for preview in previews)
    assert len({preview.tobytes() for preview in previews if preview}) == 4
    ending = events[-1]
    assert isinstance(ending, Finished) and [picture.size for picture in ending.images] == [(64, 64)] * 2
    assert ending.facts["model"] == PRIOR


def test_the_picture_is_what_the_autoencoder_makes_of_the_codes(studio: Engine, model: MaskedTokens) -> None:
    codes = torch.from_numpy(codes_of(studio, asked()))  # (1, 4, 4)
    vectors = model.autoencoder.quantize.embedding(codes).permute(0, 3, 1, 2)
    with torch.no_grad():
        pixels = model.autoencoder.decode(vectors, force_not_quantize=True).sample
    expected = ((pixels[0].permute(1, 2, 0) / 2 + 0.5).clamp(0, 1) * 255).round().byte().numpy()
    np.testing.assert_allclose(arrays(finish(studio).images)[0].astype(int), expected.astype(int), atol=1)


def test_the_same_request_gives_the_same_picture_also_in_a_fresh_engine(studio: Engine) -> None:
    first = arrays(finish(studio).images)
    np.testing.assert_array_equal(first, arrays(finish(Engine(studio.settings)).images))
    assert not np.array_equal(first, arrays(finish(studio, seed=8).images))


def test_picture_i_of_a_batch_is_the_picture_made_alone(studio: Engine) -> None:
    batch = finish(studio, batch=3)
    for picture, seed in zip(batch.images, batch.seeds, strict=True):
        np.testing.assert_array_equal(arrays([picture]), arrays(finish(studio, seed=seed).images))


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_cancelled_run_stops_before_the_next_step(studio: Engine, model: MaskedTokens, after: int) -> None:
    seen: list[Any] = []
    for event in studio.run(asked(), lambda: len(seen) >= after):
        seen.append(event)
    assert seen[-1] == Cancelled(at_step=after) and len(seen) == after + 1


def test_a_run_goes_on_from_any_step_bit_for_bit(studio: Engine) -> None:
    request = asked()
    whole = codes_of(studio, request)
    kept = studio.trajectory(request, loaded(studio, PRIOR))
    assert kept is not None and len(kept.outputs) == 4
    replay = Replay(kept.until(2))
    np.testing.assert_array_equal(codes_of(studio, request, LoopOptions(replay=replay)), whole)


def test_wide_and_tall_pictures_are_made_too(studio: Engine) -> None:
    assert finish(studio, width=96, height=64).images[0].size == (96, 64)
    with pytest.raises(InvalidRequest, match="multiple of 16"):
        events_of(studio, asked(width=72))


def test_a_diffusion_scheduler_does_not_fit_a_prior_and_the_other_way_round(studio: Engine) -> None:
    with pytest.raises(InvalidRequest, match=r'"ddim" does not fit this model \(tokens\). Use maskgit'):
        events_of(studio, asked(scheduler="ddim"))
    with pytest.raises(InvalidRequest, match='"maskgit" does not fit this model'):
        events_of(studio, asked(model="model"))


def test_encoding_a_picture_gives_the_codes_that_decode_to_it(model: MaskedTokens) -> None:
    latents = torch.randint(64, (1, 1, 4, 4), generator=torch.Generator().manual_seed(1)).float() + 1
    with torch.no_grad():
        encoded = model.encode(model.decode(latents))
    assert encoded.shape == (1, 1, 4, 4) and encoded.min() >= 1 and encoded.max() <= 64
    assert torch.equal(encoded, encoded.round())


def test_noise_hides_a_share_and_leaves_a_partly_hidden_map_alone() -> None:
    schedule = MaskGit("maskgit", torch.eye(8))
    schedule.set_timesteps(4)
    full = torch.randint(1, 9, (2, 1, 8, 8), generator=torch.Generator().manual_seed(0)).float()
    noise = torch.randn(full.shape, generator=torch.Generator().manual_seed(1))
    hidden = [int((schedule.add_noise(full, noise, t[None]) == HIDDEN).sum()) / 2 for t in schedule.timesteps]
    assert hidden == [
        64,
        round(64 * np.cos(np.pi / 8)),
        round(64 * np.cos(np.pi / 4)),
        round(64 * np.cos(3 * np.pi / 8)),
    ]
    partly = full.clone()
    partly[0, 0, 0, 0] = HIDDEN
    assert torch.equal(schedule.add_noise(partly, noise, schedule.timesteps[:1]), partly)
    vectors = torch.eye(8)[(full[:, 0] - 1).long()].permute(0, 3, 1, 2)
    assert torch.equal(
        schedule.add_noise(vectors, noise, schedule.timesteps[1:2]),
        schedule.add_noise(full, noise, schedule.timesteps[1:2]),
    )


def test_every_step_decides_some_cells_and_the_last_all() -> None:
    for name, steps in ((name, steps) for name in ("maskgit", "maskgit_linear") for steps in (1, 3, 6, 7, 12)):
        schedule = MaskGit(name, torch.eye(8))
        schedule.set_timesteps(steps)
        sample, counts = torch.zeros(1, 1, 8, 8), []
        for t in schedule.timesteps:
            generators = [torch.Generator().manual_seed(int(t * steps))]
            sample = schedule.step(torch.randn(1, 8, 8, 8), t, sample, generators).prev_sample
            counts.append(int((sample == HIDDEN).sum()))
        assert counts == sorted(set(counts), reverse=True) and counts[-1] == 0
