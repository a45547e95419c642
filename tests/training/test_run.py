"""The loop: exact resume, one batch learned by heart, and runs that go wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from diffusers import LDMTextToImagePipeline, UNet2DConditionModel, UVit2DModel, VQModel
from numpy.typing import NDArray

from studio.errors import StudioError
from studio.training.checkpoint import load_checkpoint
from studio.training.config import TaskConfig
from studio.training.run import train
from studio.training.stream import Batch, to_pm1
from studio.training.task import Task, Trained, TrainingCollapsed, rate_at
from tests.training.tiny import (
    SIDE,
    Squares,
    autoencoder_config,
    autoencoder_task,
    diffusion_task,
    pictures,
    tokens_task,
)


def run(task: Task, out: Path, **options: object) -> None:
    given = {"task": task, "source": Squares(), "accelerator": Accelerator(cpu=True), **options}
    train(task.config, out, **given)  # type: ignore[arg-type]


def tensors_of(state: object) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []

    def collect(value: object) -> None:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, dict):
            for part in value.values():
                collect(part)
        elif isinstance(value, list | tuple):
            for part in value:
                collect(part)

    collect(state)
    return found


def weights(out: Path) -> list[torch.Tensor]:
    return tensors_of(load_checkpoint(out / "state.pt"))


def stops_after(steps: int) -> object:
    asked = iter(range(10_000))
    return lambda: next(asked) >= steps - 1


@pytest.mark.parametrize("kind", ["vqvae", "vqgan", "diffusion", "tokens"])
def test_a_run_cut_and_resumed_equals_the_uninterrupted_one(kind: str, tmp_path: Path) -> None:
    def fresh() -> Task:
        if kind == "diffusion":
            return diffusion_task(tmp_path / "text", steps=6)
        if kind == "tokens":
            return tokens_task(tmp_path / "text", steps=6)
        return autoencoder_task(autoencoder_config(task=kind, gan_start=0.5, steps=8))

    run(fresh(), tmp_path / "whole")
    run(fresh(), tmp_path / "cut", should_stop=stops_after(3))
    assert load_checkpoint(tmp_path / "cut" / "state.pt")["step"] == 3
    run(fresh(), tmp_path / "cut")
    for one, other in zip(weights(tmp_path / "whole"), weights(tmp_path / "cut"), strict=True):
        assert torch.equal(one, other)


@pytest.fixture
def half() -> Iterator[Accelerator]:
    """An accelerator in bfloat16; accelerate has one precision for a whole process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield Accelerator(mixed_precision="bf16", cpu=True)
    AcceleratorState._reset_state(reset_partial_state=True)


def test_a_run_in_bfloat16_stays_finite_and_resumes_exactly(tmp_path: Path, half: Accelerator) -> None:
    def fresh() -> Task:
        return autoencoder_task(autoencoder_config(task="vqgan", gan_start=0.5, steps=8, precision="bf16"), half)

    run(fresh(), tmp_path / "whole", accelerator=half)
    run(fresh(), tmp_path / "cut", accelerator=half, should_stop=stops_after(5))
    run(fresh(), tmp_path / "cut", accelerator=half)
    for one, other in zip(weights(tmp_path / "whole"), weights(tmp_path / "cut"), strict=True):
        assert torch.isfinite(one).all() and torch.equal(one, other)
    task = fresh()
    with half.autocast():
        assert task.model.decoder(task.model.post_quant_conv(torch.zeros(1, 4, 8, 8))).dtype == torch.bfloat16


class Elsewhere(Accelerator):
    """Stands in for a GPU: everything lies on the meta device, where a tensor has a place and no numbers."""

    device = torch.device("meta")


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")
@pytest.mark.parametrize("steps", [2, 6])  # before and after the first codebook
def test_a_resumed_run_has_everything_on_its_own_device(steps: int) -> None:
    begun = autoencoder_task(autoencoder_config(task="vqgan", gan_start=0.0))
    learn(begun, steps=steps)
    resumed = autoencoder_task(begun.config, Elsewhere(cpu=True))
    resumed.restore(begun.state())
    assert len(resumed.state()["recent"]) == len(begun.state()["recent"])
    assert {tensor.device.type for tensor in tensors_of(resumed.state())} == {"meta"}


def learn(task: Task, *, steps: int) -> list[float]:
    batch = Batch(pictures(), [f"a {name} square" for name in ("red", "green", "blue", "yellow")], [0, 1, 2, 3])
    figures = [task.step(batch, step) for step in range(steps)]
    return [float(f["psnr"] if "psnr" in f else f["loss"]) for f in figures]


@pytest.mark.thorough
def test_the_autoencoder_learns_one_batch_by_heart() -> None:
    config = autoencoder_config(
        steps=200, learning_rate=3e-3, unquantised_steps=60, ema_decay=0.5, block_out_channels=(16, 32)
    )
    assert learn(autoencoder_task(config), steps=160)[-1] > 24


@pytest.mark.thorough
def test_a_vqgan_learns_one_batch_by_heart_beside_its_discriminator() -> None:
    config = autoencoder_config(
        task="vqgan", steps=200, learning_rate=3e-3, unquantised_steps=60, ema_decay=0.5, block_out_channels=(16, 32),
        gan_start=0.5, gan_ramp=0.1,
    )  # fmt: skip
    assert learn(autoencoder_task(config), steps=160)[-1] > 22


def test_the_adversarial_part_trains_both_sides(tmp_path: Path) -> None:
    task = autoencoder_task(autoencoder_config(task="vqgan", gan_start=0.0, gan_ramp=0.0))
    before = [p.clone() for p in task.discriminator.parameters()]
    figures = task.step(Batch(pictures(), ["", "", "", ""], [0, 1, 2, 3]), 0)
    assert {"gan", "gan_factor", "discriminator"} <= set(figures)
    assert any(not torch.equal(a, b) for a, b in zip(before, task.discriminator.parameters(), strict=True))


def test_the_adversarial_part_begins_and_rises_when_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    task = autoencoder_task(autoencoder_config(task="vqgan", steps=8, gan_start=0.5, gan_ramp=0.25))
    ramps: dict[int, float] = {}

    def note(leaf: torch.Tensor, *given: object) -> torch.Tensor:
        ramps[step] = float(given[2])  # type: ignore[arg-type]
        return torch.zeros_like(leaf)

    monkeypatch.setattr(task, "_adversarial", note)
    for step in range(8):
        task._backward(pictures(), torch.zeros(4, dtype=torch.bool), step, share=1.0)
    assert ramps == pytest.approx({4: 0, 5: 0.5, 6: 1, 7: 1})


@pytest.mark.parametrize("kind", ["vqgan", "diffusion", "tokens"])
def test_fine_tuning_begins_with_the_weights_it_is_given(kind: str, tmp_path: Path) -> None:
    def fresh(**given: object) -> tuple[Task, torch.nn.Module, Trained]:
        if kind == "vqgan":
            coder = autoencoder_task(autoencoder_config(task=kind, gan_start=0.0, **given))
            return coder, coder.model, coder.generator_weights
        if kind == "diffusion":
            painter = diffusion_task(tmp_path / "text", **given)
            return painter, painter.unet, painter.weights
        prior = tokens_task(tmp_path / "text", **given)
        return prior, prior.prior, prior.weights

    given, _, average = fresh()
    for shadow in average.average.shadow_params:
        shadow.add_(0.25)  # tells them from the weights that the seed gives
    given.export(tmp_path / "given")
    tuned, model, _ = fresh(init=str(tmp_path / "given"))
    begun = [parameter for parameter in model.parameters() if parameter.requires_grad]  # the codes do not
    with average:
        for one, other in zip(average.parameters, begun, strict=True):
            assert torch.allclose(one, other, atol=2e-3)  # stored in half precision
    assert math.isfinite(float(tuned.step(Batch(pictures(), ["a red square"] * 4, [0] * 4), 0)["gradient"]))


def test_frozen_codes_stay_as_they_are(tmp_path: Path) -> None:
    autoencoder_task(autoencoder_config()).export(tmp_path)
    task = autoencoder_task(autoencoder_config(init=str(tmp_path), freeze_codes=True))
    codes, _ = task.codebook.codes.clone(), learn(task, steps=3)
    assert torch.equal(task.codebook.codes, codes)
    stored = VQModel.from_pretrained(tmp_path).encoder.parameters()
    assert all(torch.equal(a, b) for a, b in zip(task.model.encoder.parameters(), stored, strict=True))


def test_diffusion_learns_one_batch_by_heart(tmp_path: Path) -> None:
    task = diffusion_task(tmp_path, steps=400, learning_rate=4e-3, block_out_channels=(32, 64), caption_drop=0.0)
    losses = learn(task, steps=150)
    assert sum(losses[-40:]) / 40 < 0.5 * sum(losses[:5]) / 5


@pytest.mark.thorough
def test_tokens_learn_one_batch_by_heart(tmp_path: Path) -> None:
    task = tokens_task(tmp_path, steps=400, learning_rate=4e-3, label_smoothing=0.0, caption_drop=0.0, hidden_size=64)
    losses = learn(task, steps=200)
    assert sum(losses[-20:]) / 20 < 0.4 * losses[0]


@pytest.mark.parametrize("parts", [2, 3])
def test_micro_batches_give_the_gradient_of_the_whole_batch(parts: int) -> None:
    outcomes = []
    for accumulate in (1, parts):
        task = autoencoder_task(autoencoder_config(accumulate=accumulate, isotropy=0.0, unquantised_steps=0))
        learn(task, steps=2)
        outcomes.append([p.detach().clone() for p in task.model.parameters()])
    for one, other in zip(*outcomes, strict=True):
        assert torch.allclose(one, other, atol=2e-4)


def test_what_diffusion_training_saves_the_stock_pipeline_runs(tmp_path: Path) -> None:
    task = diffusion_task(tmp_path / "text")
    run(task, tmp_path / "run")
    pipeline = LDMTextToImagePipeline.from_pretrained(tmp_path / "run" / "export", torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    prompt, options = "a red square", {"num_inference_steps": 3, "guidance_scale": 4.0, "output_type": "pt"}
    ours = task.sample([prompt], seed=3, steps=3, guidance_scale=4.0)
    theirs = pipeline([prompt], height=64, width=64, latents=latents, **options).images
    assert torch.allclose((ours / 2 + 0.5).clamp(0, 1), theirs, atol=0.02)  # stored in half precision
    UNet2DConditionModel.from_pretrained(tmp_path / "run" / "export", subfolder="unet")


def test_what_the_others_save_the_stock_classes_load(tmp_path: Path) -> None:
    run(autoencoder_task(autoencoder_config()), tmp_path / "vq")
    model = VQModel.from_pretrained(tmp_path / "vq" / "export")
    assert model.decode(model.encode(pictures()).latents).sample.shape == (4, 3, SIDE, SIDE)
    assert torch.allclose(model.quantize.embedding.weight.norm(dim=1), torch.ones(16), atol=1e-4)
    run(tokens_task(tmp_path / "text"), tmp_path / "tokens")
    UVit2DModel.from_pretrained(tmp_path / "tokens" / "export", subfolder="transformer")
    lines = [json.loads(line) for line in (tmp_path / "vq" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [4, 8, 12]
    assert list((tmp_path / "vq" / "grids").glob("*.png"))


class Broken:
    """A task whose figures are told from outside."""

    def __init__(self, gradient: float, problem: str | None = None) -> None:
        self.config: TaskConfig = autoencoder_config(steps=60, log_every=5)
        self.gradient, self.problem = gradient, problem

    def step(self, batch: Batch, step: int) -> dict[str, torch.Tensor | float]:
        return {"gradient": self.gradient}

    def health(self, figures: dict[str, float]) -> str | None:
        return self.problem

    def state(self) -> dict[str, object]:
        return {}


def test_a_run_without_finite_gradients_is_stopped_with_advice(tmp_path: Path) -> None:
    with pytest.raises(TrainingCollapsed, match="lower learning rate"):
        run(Broken(float("nan")), tmp_path)  # type: ignore[arg-type]


class Spoiled:
    """Squares whose pictures hold a number that is none, after the first ``good`` ones."""

    def __init__(self, *, good: int) -> None:
        self.left = good

    def sample(self, rng: np.random.Generator, size: int) -> tuple[NDArray[np.float32], str, int]:
        picture, caption, number = Squares().sample(rng, size)
        values = to_pm1(torch.from_numpy(picture)[None])[0].numpy()
        self.left -= 1
        if self.left < 0:
            values[0, 0, 0] = np.nan
        return values, caption, number


@pytest.mark.parametrize("good_steps", [1, 8])  # before and after the first codebook is made
def test_a_codebook_outlives_pictures_that_are_no_numbers(good_steps: int, tmp_path: Path) -> None:
    config = autoencoder_config(steps=60, save_every=1, revive_every=1, unquantised_steps=2)
    with pytest.raises(TrainingCollapsed, match=r"learning_rate=0\.00027"):
        run(autoencoder_task(config), tmp_path, source=Spoiled(good=4 * good_steps))
    assert load_checkpoint(tmp_path / "state.pt")["step"] == good_steps
    run(autoencoder_task(config), tmp_path, should_stop=stops_after(2))
    after = load_checkpoint(tmp_path / "state.pt")
    assert after["step"] == good_steps + 2
    assert after["task"]["codebook"]["is_ready"]
    assert all(tensor.isfinite().all() for tensor in tensors_of(after))


def test_one_spoiled_batch_changes_nothing_but_the_time(tmp_path: Path) -> None:
    task = autoencoder_task(autoencoder_config(unquantised_steps=0, revive_every=1))
    good = Batch(pictures(), [""] * 4, [0] * 4)
    spoiled = Batch(torch.full_like(good.pictures, float("nan")), good.captions, good.indices)
    assert not math.isfinite(task.step(spoiled, 0)["gradient"])
    assert not task.codebook.is_ready  # k-means waits for numbers
    task.step(good, 1)
    before = [tensor.clone() for tensor in tensors_of(task.state())]
    task.step(spoiled, 2)
    assert all(torch.equal(a, b) for a, b in zip(before, tensors_of(task.state()), strict=True))


def test_a_collapsed_run_is_stopped_with_the_task_s_advice(tmp_path: Path) -> None:
    with pytest.raises(TrainingCollapsed, match="more codes please"):
        run(Broken(1.0, "more codes please"), tmp_path)  # type: ignore[arg-type]


def test_a_codebook_with_two_codes_in_use_is_called_collapsed() -> None:
    task = autoencoder_task(autoencoder_config())
    task.codebook.is_ready.fill_(True)
    assert "revive" in str(task.health({"batch_perplexity": 2.0}))
    assert task.health({"batch_perplexity": 9.0}) is None


def test_a_step_without_a_finite_gradient_changes_nothing() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    trained = Trained([parameter], autoencoder_config(), Accelerator(cpu=True))
    parameter.grad = torch.tensor([float("inf"), 0.0])
    trained.update(5)
    assert torch.equal(parameter.detach(), torch.ones(2))


def test_the_rate_rises_holds_and_falls() -> None:
    config = autoencoder_config(steps=100, warmup_steps=10, constant_until=0.5, final_rate=0.1)
    assert [rate_at(s, config) for s in (0, 4, 30, 49)] == pytest.approx([0.1, 0.5, 1, 1])
    assert rate_at(75, config) == pytest.approx(0.1 + 0.9 * 0.5)
    assert rate_at(100, config) == pytest.approx(0.1)


def test_a_damaged_checkpoint_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(StudioError, match="cannot be read"):
        load_checkpoint(tmp_path / "state.pt")
