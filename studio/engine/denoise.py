"""The denoising loop: once, for every family whose parts we hold.

A family gives a `Denoiser`: what the latents look like, what the model predicts, and how to decode. The
schedulers are diffusers'. On the CPU in float32 the loop gives, bit for bit, what the stock pipeline gives
(a test holds it); on top of that it offers what pipelines do not: the predicted clean picture after every
step, a stop before every step, soft masks, guidance intervals, and runs that go on from any earlier step.

Known deviations from the stock pipelines, none of which changes a float32 result: the sampler's state is
float32 whatever the model's dtype, and `set_begin_index` is always called. On the CPU the pictures of a
batch are predicted one after another (each with its unconditional twin), because BLAS and oneDNN choose
their summation order by the batch size: only so is picture i of a batch the picture made alone.

Sources: classifier-free guidance, eq. 6 (Ho & Salimans 2022); SDEdit (Meng 2022) for image-to-image;
RePaint-style blending as in diffusers' inpainting pipeline; soft masks: Differential Diffusion
(Levin & Fried 2023); guidance interval (Kynkäänniemi 2024).
"""

from __future__ import annotations

import inspect
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from studio.engine.catalog import ModelCard
from studio.engine.guidance import Guidance, Predict, Question, mixed
from studio.engine.joint import Seat
from studio.engine.noise import draw, generators_of, slerp
from studio.engine.prompts import Embedding
from studio.engine.replay import Replay
from studio.errors import InvalidResult
from studio.prompt.phrase import Phrase


@dataclass(frozen=True, slots=True)
class Conditioning:
    """What a run asks of the model; without `negative` there is no guidance.

    Attributes:
        also: Further prompts with their weights, predicted beside `positive`, whose weight is `weight`: composable
            diffusion, eq. 11 (Liu 2022), negative + scale * sum of weight * (positive - negative). All have the
            same number of tokens.
    """

    positive: Embedding
    negative: Embedding | None
    guidance_scale: float
    weight: float = 1.0
    also: tuple[tuple[Embedding, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Script:
    """What one picture's run asks of the model, step by step: `conditionings[i]` from step `begins[i]` (from 0) on."""

    begins: tuple[int, ...]
    conditionings: tuple[Conditioning, ...]

    def at(self, index: int) -> Conditioning:
        """Return what step `index` asks for."""
        return self.conditionings[bisect_right(self.begins, index) - 1]


@dataclass(frozen=True, slots=True)
class Variation:
    """Start noise on the way from each picture's own to that of another seed; `strength` in (0, 1]."""

    seeds: tuple[int, ...]
    strength: float


class Denoiser(Protocol):
    """A loaded model, as the loop sees it."""

    card: ModelCard
    device: torch.device
    dtype: torch.dtype

    def new_scheduler(self, name: str, *, steps: int) -> Any:
        """Return a fresh diffusers scheduler; raises UnknownName or InvalidRequest."""

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """Return (c, h, w) of the latents of a picture of `width` x `height` pixels."""

    def condition(
        self, prompt: str | Phrase, negative_prompt: str | Phrase, *, guidance_scale: float, width: int, height: int
    ) -> Conditioning:
        """Encode the prompts (a str is read as a phrase: weights and BREAK); cached by phrase."""

    def predict(self, latents: torch.Tensor, timestep: torch.Tensor, embedding: Embedding) -> torch.Tensor:
        """Return the model's output for `latents` (n, c, h, w), one row of `embedding` each."""

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Return pictures (n, 3, H, W) in [-1, 1] for final latents (n, c, h, w)."""

    def encode(self, image_pm1: torch.Tensor) -> torch.Tensor:
        """Return latents (n, c, h, w) in the loop's scale for pictures (n, 3, H, W) in [-1, 1]."""


class Steering(Protocol):
    """What changes the model's prediction in some steps of a run (`studio.engine.control`)."""

    def predictor(self, index: int, total: int) -> Predict | None:
        """Return what predicts in the place of `Denoiser.predict` in step `index` (from 0) of `total`, or None."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: everything that decides the picture, apart from the model and the loop's options.

    `conditioning` is one for all pictures and steps, or a script for each picture.
    """

    conditioning: Conditioning | tuple[Script, ...]
    shape: tuple[int, int, int]
    scheduler: str
    steps: int
    seeds: tuple[int, ...]
    variation: Variation | None = None
    temperature: float = 1.0  # of models that draw tokens


@dataclass(frozen=True, slots=True)
class Start:
    """Begin from a picture: noise of the timestep that `strength` in (0, 1] picks is added to its latents."""

    latents: torch.Tensor  # (1 or b, c, h, w)
    strength: float


@dataclass(frozen=True, slots=True)
class Blend:
    """Keep what `latents` show wherever `mask` is 0, and repaint where it is 1.

    With `soft`, a value between is the strength at that place: it is held to the original until that share of
    the run is left (Differential Diffusion); without, it mixes linearly.
    """

    latents: torch.Tensor  # (1 or b, c, h, w)
    mask: torch.Tensor  # (1 or b, 1, h, w) in [0, 1]
    soft: bool = False


@dataclass(frozen=True, slots=True)
class LoopOptions:
    """What a plain text-to-image run leaves out.

    Attributes:
        start: Begin from a picture instead of noise.
        blend: Hold a part of the picture to given latents.
        guidance: The share of the run, from and until in [0, 1], in which guidance acts; it costs nothing outside.
        extra_channels: (1 or b, k, h, w) put behind the latents, for models that see a mask.
        replay: An earlier run's first steps: taken instead of running the model, so that the run goes on from
            there bit for bit, whatever state the scheduler or the generators carry.
        together: Predict all pictures of a batch in one call; None: on a GPU only (see the module's text).
        steering: Predicts in the model's place in the steps in which it acts.
        seat: Where the run is predicted together with others, in the steps that nothing steers.
    """

    start: Start | None = None
    blend: Blend | None = None
    guidance: tuple[float, float] = (0.0, 1.0)
    extra_channels: torch.Tensor | None = None
    replay: Replay | None = None
    together: bool | None = None
    steering: Steering | None = None
    seat: Seat | None = None


@dataclass(frozen=True, slots=True)
class LoopStep:
    """Step `index` of `total` (from 1) is done.

    `latents` is the sampler's state, `clean` the predicted clean latents, `output` what the scheduler was given
    (after guidance); all (b, c, h, w) float32 on the model's device. `is_replayed`: the model did not run.
    """

    index: int
    total: int
    latents: torch.Tensor
    clean: torch.Tensor
    output: torch.Tensor
    is_replayed: bool = False

    @property
    def is_last(self) -> bool:
        """Whether the latents are final."""
        return self.index == self.total


@torch.inference_mode()
def denoise(
    model: Denoiser, plan: Plan, options: LoopOptions | None = None, *, should_stop: Callable[[], bool]
) -> Iterator[LoopStep]:
    """Yield after every step, replayed or run; end early, before a step, when `should_stop()`.

    Raises:
        UnknownName, InvalidRequest: The scheduler does not exist or does not fit.
        InvalidResult: The model's output is NaN or infinite.
    """
    sampler = _Sampler(model, plan, options or LoopOptions())
    latents, replay = sampler.first_latents(), sampler.options.replay
    total = len(sampler.timesteps)
    for index in range(total):
        if should_stop():
            return
        is_replayed = replay is not None and index < len(replay)
        if replay is not None and is_replayed:
            output = replay.output(index, model.device)
        else:
            output = sampler.guided_output(latents, index)
        latents, clean = sampler.step(output, latents, index)
        if replay is not None:
            latents = sampler.rejoin(replay, latents, clean, index)
        if index + 1 == total:
            sampler.finish()
        elif replay is None or index + 1 >= len(replay):
            sampler.look_ahead(latents, index + 1)
        yield LoopStep(index + 1, total, latents, clean, output, is_replayed)


def rows_at_once(model: Denoiser, batch: int, options: LoopOptions | None = None) -> int:
    """Return how many pictures of a batch the model takes in one call."""
    together = options.together if options else None
    return batch if (model.device.type != "cpu" if together is None else together) else 1


class _Sampler:
    """The parts of one run: scheduler, generators, noise, embeddings."""

    def __init__(self, model: Denoiser, plan: Plan, options: LoopOptions) -> None:
        self.model, self.options, self.batch = model, options, len(plan.seeds)
        self.scheduler = model.new_scheduler(plan.scheduler, steps=plan.steps)
        if hasattr(self.scheduler, "temperature"):
            self.scheduler.temperature = plan.temperature
        self.scheduler.set_timesteps(plan.steps, device=model.device)
        skipped = _skipped_steps(plan.steps, options.start)
        self.timesteps = self.scheduler.timesteps[skipped * self.scheduler.order :]
        if hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(skipped * self.scheduler.order)
        self.pending: tuple[int, torch.Tensor] | None = None
        self.generators = generators_of(plan.seeds)
        self.noise = draw((self.batch, *plan.shape), self.generators, model.device)
        self.takes_generator = "generator" in inspect.signature(self.scheduler.step).parameters
        if plan.variation is not None:
            others = draw((self.batch, *plan.shape), generators_of(plan.variation.seeds), model.device)
            self.noise = slerp(self.noise, others, plan.variation.strength)
        self.chunk = rows_at_once(model, self.batch, options)
        always = plan.conditioning
        self.scripts = always if isinstance(always, tuple) else (Script((0,), (always,)),) * self.batch
        self.guidance = Guidance()

    def first_latents(self) -> torch.Tensor:
        """Return the noisy latents that the first step takes, (b, c, h, w)."""
        start, blend = self.options.start, self.options.blend
        pure = self.noise * self.scheduler.init_noise_sigma
        if start is not None:
            latents = self._add_noise(start.latents, self.timesteps[:1].repeat(self.batch))
        elif blend is not None and blend.soft:
            known = self._add_noise(blend.latents, self.timesteps[:1].repeat(self.batch))
            latents = torch.where(blend.mask < 1, known, pure)
        else:
            latents = pure
        return latents

    def guided_output(self, latents: torch.Tensor, index: int) -> torch.Tensor:
        """Return the model's output after guidance, (b, c, h, w) float32, for step `index` from 0."""
        steered, seat = self._steered_at(index), self.options.seat
        if steered is None and seat is not None:
            if not seat.has_asked:
                seat.ask(self.model, self._questions(latents, index))
            output = seat.take()
        else:
            predict = steered or self.model.predict
            asked = self._questions(latents, index)
            output = mixed(asked, [predict(one.latents, one.timestep, one.embedding) for one in asked])
        self._check(index, torch.isfinite(output).all())
        return output

    def look_ahead(self, latents: torch.Tensor, index: int) -> None:
        """Ask for the output of step `index` before it is needed, so that other runs' calls can take it along."""
        if self.options.seat is not None and self._steered_at(index) is None:
            self.options.seat.ask(self.model, self._questions(latents, index))

    def _questions(self, latents: torch.Tensor, index: int) -> list[Question]:
        """Return what the model is to be asked in step `index`."""
        timestep = self.timesteps[index]
        inputs = self.scheduler.scale_model_input(latents, timestep)
        if self.options.extra_channels is not None:
            extra = self.options.extra_channels.expand(self.batch, -1, -1, -1)
            inputs = torch.cat([inputs, extra], dim=1)  # (b, c + k, h, w)
        inputs = inputs.to(self.model.dtype)
        asked, is_on = [script.at(index) for script in self.scripts], self._is_guided(index)
        return [
            question
            for place, rows in zip(range(0, self.batch, self.chunk), inputs.split(self.chunk), strict=True)
            for question in self.guidance.questions(rows, timestep, asked[place : place + self.chunk], is_on=is_on)
        ]

    def finish(self) -> None:
        """Check what has not been checked yet."""
        if self.pending is not None:
            self._check(self.pending[0] + 1, None)

    def step(self, output: torch.Tensor, latents: torch.Tensor, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the next latents and the predicted clean latents."""
        extra = {"generator": self.generators} if self.takes_generator else {}
        result = self.scheduler.step(output, self.timesteps[index], latents, **extra)
        clean = getattr(result, "pred_original_sample", None)
        if clean is None:
            clean = getattr(result, "denoised", None)
        if clean is None:
            clean = self.scheduler.model_outputs[-1]  # multistep solvers keep their x0 predictions
        latents = result.prev_sample
        if self.options.blend is not None:
            latents = self._blended(self.options.blend, latents, index)
        return latents, clean

    def rejoin(self, replay: Replay, latents: torch.Tensor, clean: torch.Tensor, index: int) -> torch.Tensor:
        """Return the latents after step `index` of a run that took up another, with what the fork changes there."""
        following = index + 1
        if following <= len(replay):
            latents = replay.latents(index, latents)
        elif replay.hold is not None:
            latents = replay.hold(latents, index)
        if following in replay.reseeds and following < len(self.timesteps):
            self.generators = generators_of((replay.reseeds[following],) * self.batch)
            self.noise = draw(tuple(self.noise.shape), self.generators, self.model.device)
            if following == len(replay) and replay.renoise:
                latents = self._add_noise(clean, self.timesteps[following : following + 1])
        return latents

    def _check(self, index: int, is_finite: torch.Tensor | None) -> None:
        """Raise InvalidResult for NaN: at once on the CPU, one step late on a GPU.

        Asking a GPU waits for it. Asking for the step before keeps the launch queue filled, and still keeps this
        thread within a step of the GPU, so that a stop takes effect within a step.
        """
        asked, self.pending = self.pending, None if is_finite is None else (index, is_finite)
        if self.model.device.type == "cpu":
            asked, self.pending = self.pending, None
        if asked is not None and not bool(asked[1]):
            raise InvalidResult(
                f"The model produced invalid values (NaN) at step {asked[0] + 1} of {len(self.timesteps)}.",
                "Try another seed or scheduler; if it happens again, set dtype to float32 in the settings.",
            )

    def _steered_at(self, index: int) -> Predict | None:
        steering = self.options.steering
        return steering.predictor(index, len(self.timesteps)) if steering is not None else None

    def _is_guided(self, index: int) -> bool:
        begin, end = self.options.guidance
        share = index / len(self.timesteps)
        return begin <= share < end or (end >= 1 and begin <= share)

    def _blended(self, blend: Blend, latents: torch.Tensor, index: int) -> torch.Tensor:
        following = index + 1
        if following < len(self.timesteps):
            known = self._add_noise(blend.latents, self.timesteps[following : following + 1])
        else:
            known = blend.latents
        free = blend.mask
        if blend.soft:
            share = following / len(self.timesteps)
            free = ((free >= 1 - share) & (free > 0)).to(latents.dtype)
        return (1 - free) * known + free * latents

    def _add_noise(self, latents: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        rows = latents.to(self.model.device, torch.float32).expand(self.batch, -1, -1, -1)
        return self.scheduler.add_noise(rows, self.noise, timesteps)


def _skipped_steps(steps: int, start: Start | None) -> int:
    """Return how many of `steps` a start picture spares: diffusers' rule, but at least one step remains."""
    if start is None:
        return 0
    return min(steps - min(int(steps * start.strength), steps), steps - 1)


def steps_run(steps: int, start: Start | None = None) -> int:
    """Return how many of `steps` a run takes that begins at `start`."""
    return steps - _skipped_steps(steps, start)
