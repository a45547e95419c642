"""Weights, long prompts, schedules, AND, random words and variation seeds, each against a recomputation.

The oracles are stock pipelines that are handed embeddings or noise computed here, in the plainest way there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from studio.engine.denoise import LoopOptions, Start, steps_run
from studio.engine.engine import Engine
from studio.engine.noise import draw, generators_of, slerp
from studio.engine.replay import Replay
from studio.engine.script import read_prompts
from studio.engine.trajectories import Trajectory
from studio.errors import InvalidRequest
from studio.events import Finished
from studio.prompt.phrase import read_phrase
from studio.requests import TextToImage
from tests.engine.run import arrays, finish, loaded, small
from tests.engine.stock import Stock, ours

SD = ("sd1", "sd2", "sdxl")
CPU = torch.device("cpu")


def ids_of(tokenizer: Any, *words: str) -> list[int]:
    return [token for text in words for token in tokenizer(text, add_special_tokens=False).input_ids]


def framed(tokenizer: Any, ids: list[int]) -> torch.Tensor:
    start, end = tokenizer("").input_ids
    return torch.tensor([[start, *ids, end, *[tokenizer.pad_token_id] * (75 - len(ids))]])


def clip_states(pipeline: Any, chunks: list[list[str]]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """What stock pipelines hand the U-Net of each chunk's words, side by side, (1, 77 n, width), and SDXL's pooled."""
    if not hasattr(pipeline, "text_encoder_2"):
        parts = [pipeline.text_encoder(framed(pipeline.tokenizer, ids_of(pipeline.tokenizer, *c)))[0] for c in chunks]
        return torch.cat(parts, dim=1), None
    rows, pooled = [], []
    for encoder, reader in (
        (pipeline.text_encoder, pipeline.tokenizer),
        (pipeline.text_encoder_2, pipeline.tokenizer_2),
    ):
        out = [encoder(framed(reader, ids_of(reader, *c)), output_hidden_states=True) for c in chunks]
        rows.append(torch.cat([o.hidden_states[-2] for o in out], dim=1))
        pooled.append(out[0][0])
    return torch.cat(rows, dim=-1), pooled[1]


def stock_with(
    stock: Stock, request: TextToImage, positive: tuple[Any, Any], negative: tuple[Any, Any], **extra: Any
) -> np.ndarray:
    """Run the stock pipeline on embeddings instead of words."""
    given: dict[str, Any] = {"prompt_embeds": positive[0], "negative_prompt_embeds": negative[0]}
    if positive[1] is not None:
        given |= {"pooled_prompt_embeds": positive[1], "negative_pooled_prompt_embeds": negative[1]}
    bare = request.model_copy(update={"prompt": None, "negative_prompt": ""})
    return stock(bare, **given, **extra)


@pytest.mark.parametrize("model", SD)
def test_brackets_that_mean_nothing_give_the_stock_picture(engine: Engine, stock: dict[str, Stock], model: str) -> None:
    """An escape, a weight of 1 and an unclosed bracket leave the plain path, which is the stock pipeline's."""
    plain = small(model=model, negative_prompt="blurry")
    for prompt in (r"a red apple", "a (red:1) apple", "[a red apple::1.0]", "{a red apple|a red apple}"):
        np.testing.assert_array_equal(
            ours(engine, small(model=model, prompt=prompt, negative_prompt="blurry")), stock[model](plain)
        )


@pytest.mark.parametrize("model", SD)
def test_weights_multiply_states_and_keep_their_mean(engine: Engine, stock: dict[str, Stock], model: str) -> None:
    request = small(model=model, prompt="a (red:1.4) apple", negative_prompt="dark")
    pipeline: Any = stock[model].pipeline
    states, pooled = clip_states(pipeline, [["a ", "red", " apple"]])
    count = len(ids_of(pipeline.tokenizer, "red"))
    before = len(ids_of(pipeline.tokenizer, "a "))
    weights = torch.ones(1, 77, 1)
    weights[:, 1 + before : 1 + before + count] = 1.4
    widths = (
        [states.shape[-1]]
        if pooled is None
        else [pipeline.text_encoder.config.hidden_size, pipeline.text_encoder_2.config.hidden_size]
    )
    parts = []
    for part in states.split(widths, dim=-1):
        scale = part.mean() / (part * weights).mean()
        parts.append(part * weights * (scale if 0.5 <= scale <= 2 else 1))
    expected = torch.cat(parts, dim=-1)
    found = loaded(engine, model).model.condition(request.prompt, "", guidance_scale=4.0, width=64, height=64)
    torch.testing.assert_close(found.positive.text, expected)
    assert not torch.equal(found.positive.text, states)
    picture = stock_with(stock[model], request, (found.positive.text, pooled), clip_states(pipeline, [["dark"]]))
    np.testing.assert_array_equal(ours(engine, request), picture)


@pytest.mark.parametrize("model", SD)
def test_a_break_and_a_long_prompt_become_chunks(engine: Engine, stock: dict[str, Stock], model: str) -> None:
    pipeline: Any = stock[model].pipeline
    prompt = "a cat BREAK a hat"
    request = small(model=model, prompt=prompt, negative_prompt="dark")
    positive = clip_states(pipeline, [["a cat"], ["a hat"]])
    negative = clip_states(pipeline, [["dark"], []])
    np.testing.assert_array_equal(ours(engine, request), stock_with(stock[model], request, positive, negative))


@pytest.mark.parametrize("model", SD)
def test_a_long_prompt_is_cut_behind_a_comma(engine: Engine, stock: dict[str, Stock], model: str) -> None:
    pipeline: Any = stock[model].pipeline
    reader = pipeline.tokenizer
    one = ids_of(reader, "zebra,")
    fits = 75 // len(one)
    assert fits * len(one) >= 75 - 20
    states, _ = clip_states(pipeline, [["zebra, " * fits], ["zebra, " * (3 * fits // 2 - fits)]])
    prompt = ("zebra, " * (3 * fits // 2)).strip()
    found = loaded(engine, model).model.condition(prompt, "", guidance_scale=1.0, width=64, height=64)
    torch.testing.assert_close(found.positive.text, states, rtol=0, atol=0)


def test_our_own_encoder_moves_words_away_from_nothing(engine: Engine) -> None:
    model = loaded(engine, "ldm").model
    plain, blank = model.prompts("a red apple").text, model.prompts("").text
    weighted = model.prompts("a (red:1.5) apple").text
    before = len(model.tokenizer("a", add_special_tokens=False).input_ids) + 1
    count = len(model.tokenizer("red", add_special_tokens=False).input_ids)
    here = slice(before, before + count)
    torch.testing.assert_close(weighted[:, here], (blank + 1.5 * (plain - blank))[:, here])
    assert torch.equal(weighted[:, :before], plain[:, :before])
    assert torch.equal(weighted[:, before + count :], plain[:, before + count :])
    assert torch.equal(model.prompts("a (red:1) apple").text, plain)
    assert weighted.shape == plain.shape
    assert model.prompts("cat " * 90 + "(dog:1.2)").text.shape == plain.shape


@pytest.mark.usefixtures("heeding")
@pytest.mark.parametrize("model", ["sd1", "ldm"])
def test_a_schedule_is_one_prompt_and_then_the_other(engine: Engine, model: str) -> None:
    """Oracle: the loop of the first prompt to its third step, replayed under the second."""
    values = {"model": model, "steps": 6, "scheduler": "euler", "negative_prompt": "dark"}
    steps = outputs(engine, prompt="a [cat:dog:0.5]", **values)
    first = outputs(engine, prompt="a cat", **values)
    for mixed, plain in zip(steps[:3], first[:3], strict=True):
        assert torch.equal(mixed, plain)
    assert not torch.equal(steps[3], first[3])
    replay = LoopOptions(replay=Replay(Trajectory(tuple(output.numpy() for output in first[:3]))))
    continued = ours(engine, small(prompt="a dog", **values), replay)
    mixed = ours(engine, small(prompt="a [cat:dog:0.5]", **values))
    np.testing.assert_array_equal(continued, mixed)
    other = ours(engine, small(prompt="a dog", **values))
    assert np.abs(mixed.astype(int) - other).mean() > 3, "the first prompt is seen: the equality means something"


@pytest.fixture
def heeding(engine: Engine, model: str) -> Iterator[None]:
    """Let words count ten times as much in a tiny model, whose random weights hardly tell one prompt from another."""
    unet: Any = loaded(engine, model).model.unet  # type: ignore[attr-defined]
    told = [weight for name, weight in unet.named_parameters() if "attn2.to_out" in name or "attn2.to_v" in name]
    before = [weight.detach().clone() for weight in told]
    for weight in told:
        weight.data.mul_(10)
    yield
    for weight, plain in zip(told, before, strict=True):
        weight.data.copy_(plain)
    engine.trajectories.clear()


def outputs(engine: Engine, **values: Any) -> list[torch.Tensor]:
    """What the scheduler was given at each step."""
    request = small(**values)
    ready = loaded(engine, request.model)
    finished(engine, request)
    kept = engine.trajectory(request, ready)
    assert kept is not None
    return [torch.from_numpy(output) for output in kept.outputs]


def finished(engine: Engine, request: TextToImage) -> Finished:
    ending = list(engine.run(request, lambda: False))[-1]
    assert isinstance(ending, Finished)
    return ending


@pytest.mark.parametrize("model", ["sd1", "sdxl", "ldm"])
def test_composed_prompts_add_their_guidance(engine: Engine, model: str) -> None:
    """Oracle: eq. 11 of Liu 2022 on the first step, from runs of one prompt each."""
    values = {"model": model, "steps": 2, "guidance_scale": 5.0, "negative_prompt": "dark"}
    negative = outputs(engine, **{**values, "prompt": "dark", "guidance_scale": 1.0})[0]
    cat, hat = (outputs(engine, **{**values, "prompt": p, "guidance_scale": 1.0})[0] for p in ("a cat", "a hat"))
    expected = negative + 5 * 0.7 * (cat - negative) + 5 * -0.4 * (hat - negative)
    composed = outputs(engine, **{**values, "prompt": "a cat:0.7 AND a hat:-0.4"})[0]
    torch.testing.assert_close(composed, expected, rtol=1e-3, atol=1e-4)


def test_composed_prompts_of_different_length_are_filled_up(engine: Engine) -> None:
    """A prompt of two chunks beside one of one: the shorter gets an empty chunk, as A1111 fills it."""
    model = loaded(engine, "sd1").model
    reading = read_prompts(model, [("a cat BREAK a hat AND a dog", "")], steps=1, guidance_scale=4, size=(64, 64))
    conditioning = reading.scripts[0].at(0)
    dog, blank = model.prompts("a dog").text, model.prompts("").text
    assert torch.equal(conditioning.also[0][0].text, torch.cat([dog, blank], dim=1))
    assert conditioning.negative is not None
    assert conditioning.negative.text.shape == conditioning.positive.text.shape


def test_without_guidance_composed_prompts_are_averaged(engine: Engine) -> None:
    values = {"model": "sd1", "steps": 1, "guidance_scale": 1.0}
    cat, hat = (outputs(engine, **{**values, "prompt": p})[0] for p in ("a cat", "a hat"))
    both = outputs(engine, **{**values, "prompt": "a cat:3 AND a hat"})[0]
    torch.testing.assert_close(both, 0.75 * cat + 0.25 * hat, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", ["sd1", "ldm"])
def test_every_picture_of_a_batch_draws_its_own_words(engine: Engine, model: str) -> None:
    """Picture i made alone with its seed and its drawn words is the same picture."""
    ending = finish(engine, model=model, prompt="a {cat|dog|hat} {2$$red|blue|green}", batch=4)
    drawn = [ending.facts_of(place)["drawn"]["prompt"] for place in range(4)]
    assert len(set(drawn)) > 1
    for place, seed in enumerate(ending.seeds):
        alone = finish(engine, model=model, prompt=drawn[place], seed=seed)
        np.testing.assert_array_equal(arrays(alone.images)[0], np.asarray(ending.images[place]))


def test_prompts_of_any_form_share_a_batch_that_is_predicted_together(engine: Engine) -> None:
    """On a GPU rows go in one call; rows that differ in length or number of prompts go alone."""
    values = {"model": "sd1", "prompt": "{a cat AND a dog|a cat BREAK a hat|a tree}", "batch": 4}
    together = ours(engine, small(**values), LoopOptions(together=True))
    apart = ours(engine, small(**values), LoopOptions(together=False))
    assert np.abs(together.astype(int) - apart.astype(int)).max() <= 1


def test_a_repeated_prompt_is_encoded_once(engine: Engine) -> None:
    model = loaded(engine, "sd1").model
    finish(engine, model="sd1", prompt="a (very:1.3) rare [owl|fox]", steps=6)
    before = model.prompts.encoder_runs
    finish(engine, model="sd1", prompt="a (very:1.3) rare [owl|fox]", steps=6, seed=99)
    assert model.prompts.encoder_runs == before


def test_a_weight_out_of_range_is_said_before_the_first_step(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match="A weight of 40 is out of range"):
        finish(engine, model="sd1", prompt="a (cat:40)")


def test_words_in_another_language_keep_their_weights(engine: Engine) -> None:
    read = loaded(engine, "ldm").model.read_prompt(read_phrase("(红色:1.3)苹果"))
    assert [(words.text.strip(), words.weight) for words in read.phrase.chunks[0]] == [("red", 1.3), ("apple", 1.0)]
    assert read.notes[0].startswith("Understood as: red")


@pytest.mark.parametrize("model", ["sd1", "sdxl"])
def test_a_variation_starts_between_two_seeds(engine: Engine, stock: dict[str, Stock], model: str) -> None:
    request = small(model=model, variation_strength=0.3, variation_seed=5, batch=2)
    ending = finished(engine, request)
    assert ending.seeds == (7, 7)
    assert [ending.facts_of(place)["variation_seed"] for place in (0, 1)] == [5, 6]
    shape = (1, *loaded(engine, model).model.latent_shape(64, 64))
    for place, other in enumerate((5, 6)):
        start = slerp(draw(shape, generators_of([7]), CPU), draw(shape, generators_of([other]), CPU), 0.3)
        one = stock[model](request.model_copy(update={"batch": 1}), latents=start)
        np.testing.assert_array_equal(one[0], np.asarray(ending.images[place]))


def test_a_whole_variation_is_the_other_seed(engine: Engine) -> None:
    whole = finish(engine, model="sd1", scheduler="euler", variation_strength=1, variation_seed=5)
    other = finish(engine, model="sd1", scheduler="euler", seed=5)
    np.testing.assert_array_equal(arrays(whole.images), arrays(other.images))


def test_slerp_keeps_the_length_of_noise() -> None:
    a, b = (draw((2, 4, 32, 32), generators_of([s, s + 1]), CPU) for s in (1, 9))
    for strength in (0.1, 0.5, 0.9):
        mixed = slerp(a, b, strength)
        assert abs(mixed.std().item() - 1) < 0.03
        assert ((1 - strength) * a + strength * b).std() < mixed.std() - 0.02
    assert torch.equal(slerp(a, b, 0), a)
    assert torch.equal(slerp(a, b, 1), b)
    assert torch.equal(slerp(a, a, 0.5), a)


def test_shares_of_a_schedule_are_of_the_steps_that_are_run() -> None:
    assert steps_run(20) == 20
    assert steps_run(20, Start(torch.zeros(1), strength=0.5)) == 10
