"""How many tokens a prompt has, counted as its model counts them, without loading the model or torch."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from studio.errors import InvalidRequest
from studio.languages import to_english
from studio.prompt.phrase import Phrase
from studio.prompt.timeline import timeline

ROOM = 75  # tokens a chunk has room for
CLIP_MERGES = Path(__file__).resolve().parent.parent / "engine" / "data" / "clip_merges.txt.gz"
_CLIP_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


@dataclass(frozen=True, slots=True)
class TokenCount:
    """How long a prompt is to its model.

    Attributes:
        tokens: Of the longest chunk's prompt: all chunks of one prompt together.
        chunks: How many chunks of 75 it takes.
        is_cut: The model does not read all of it.
    """

    tokens: int
    chunks: int = 1
    is_cut: bool = False

    @property
    def room(self) -> int:
        """How many tokens there is room for in these chunks."""
        return ROOM * self.chunks


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counts for one model.

    Attributes:
        count: Tokens of a piece of text, without start and end.
        reads_on: It reads long prompts in several chunks (Stable Diffusion).
        reads_english: Other languages are put into English first (our own models).
    """

    count: Callable[[str], int]
    reads_on: bool
    reads_english: bool

    def __call__(self, prompt: str, negative_prompt: str = "", *, steps: int = 1) -> TokenCount:
        """Return the count of `prompt` at its longest moment; a prompt that cannot be read counts as plain words."""
        try:
            moments = timeline(prompt, "", steps=max(steps, 1))
        except InvalidRequest:
            return TokenCount(self.count(prompt))
        counts = {phrase: self._of(phrase) for moment in moments for phrase, _ in moment.prompts}
        return max(counts.values(), key=lambda count: count.tokens)

    def _of(self, phrase: Phrase) -> TokenCount:
        if self.reads_english:
            phrase = phrase.map(lambda words: to_english(words).text)
        lengths = [sum(self.count(words.text) for words in chunk) for chunk in phrase.chunks]
        total = sum(lengths)
        if not self.reads_on:
            return TokenCount(total, is_cut=total > ROOM)
        return TokenCount(total, chunks=sum(max(1, -(-length // ROOM)) for length in lengths))


def counter_of(folder: Path, family: str) -> TokenCounter:
    """Return the counter of the model at `folder` (or file), of `family` "ldm" or "stable_diffusion".

    A folder's own `tokenizer/tokenizer.json` is read when it is first asked; where there is none, and for single
    files, CLIP's tokenizer is the one of every Stable Diffusion.
    """
    own = folder / "tokenizer" / "tokenizer.json"
    source = own if own.is_file() else None
    return TokenCounter(
        lambda text: len(_tokenizer(source).encode(text, add_special_tokens=False).ids),
        reads_on=family == "stable_diffusion",
        reads_english=family != "stable_diffusion",
    )


@cache
def _tokenizer(path: Path | None) -> Tokenizer:
    if path is None:
        return _clip()
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _clip() -> Tokenizer:
    """Build CLIP's tokenizer from the merges that come with the studio (Radford 2021, section 2.4)."""
    merges = [tuple(line.split(" ")) for line in gzip.decompress(CLIP_MERGES.read_bytes()).decode().split("\n")]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in merges)]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, end_of_word_suffix="</w>"))  # type: ignore[arg-type]
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CLIP_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer
