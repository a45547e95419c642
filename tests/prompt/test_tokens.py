"""Token counts without the model: the tokenizers' own numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from studio.engine.families.clip_tokenizer import clip_tokenizer
from studio.prompt.tokens import TokenCount, counter_of
from tests.engine.tiny import save_ldm

TEXTS = ("a red apple", "Ünïcödé 红色苹果 😀 déjà-vu", "x" * 50, "foo_bar  baz\n\tqux", "it's 1234!!! don't; <ink>", "")


@pytest.mark.parametrize("text", TEXTS)
def test_clip_counts_as_transformers_does(text: str, tmp_path: Path) -> None:
    counter = counter_of(tmp_path / "model.safetensors", "stable_diffusion")
    assert counter.count(text) == len(clip_tokenizer().tokenize(text))


def test_a_folders_own_tokenizer_is_the_one_that_counts(tmp_path: Path) -> None:
    folder = save_ldm(tmp_path / "ldm")
    reader = AutoTokenizer.from_pretrained(folder / "tokenizer")
    counter = counter_of(folder, "ldm")
    assert counter("a red apple").tokens == len(reader("a red apple", add_special_tokens=False).input_ids)
    assert counter("cat " * 90).is_cut


def test_chunks_are_counted_where_a_model_reads_on(tmp_path: Path) -> None:
    counter = counter_of(tmp_path / "model.safetensors", "stable_diffusion")
    assert counter("cat " * 75) == TokenCount(75, chunks=1)
    assert counter("cat " * 76) == TokenCount(76, chunks=2)
    assert counter("a cat BREAK a hat") == TokenCount(4, chunks=2)
    assert counter("a cat BREAK a hat").room == 150


def test_syntax_is_no_token_and_the_longest_moment_counts(tmp_path: Path) -> None:
    counter = counter_of(tmp_path / "model.safetensors", "stable_diffusion")
    assert counter("a (red:1.3) [apple]") == counter("a red apple")
    assert counter("[cat:one two three:0.5]", steps=10).tokens == 3
    assert counter("a cat AND one two three").tokens == 3
    assert counter("(a:99)").tokens > 0
