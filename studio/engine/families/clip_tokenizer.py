"""CLIP's tokenizer, from the merges that come with the studio: single-file checkpoints carry none.

Source: "Learning Transferable Visual Models From Natural Language Supervision" (Radford 2021), section 2.4;
the vocabulary is bytes, bytes at a word's end, one token per merge, then start and end of text.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import Any

from transformers import CLIPTokenizer

MERGES = Path(__file__).resolve().parent.parent / "data" / "clip_merges.txt.gz"
START, END = "<|startoftext|>", "<|endoftext|>"


def clip_tokenizer(*, pad_token: str = END) -> CLIPTokenizer:
    """Return CLIP's tokenizer of 77 tokens; SD 2.x and SDXL's second encoder pad with "!"."""
    merges = _merges()
    letters = _byte_letters()
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in merges), START, END]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    values: dict[str, Any] = {"vocab": vocabulary, "merges": list(merges)}  # its annotation has forgotten pairs
    return CLIPTokenizer(**values, pad_token=pad_token, model_max_length=77)


@cache
def _merges() -> tuple[tuple[str, str], ...]:
    lines = gzip.decompress(MERGES.read_bytes()).decode("utf-8").split("\n")
    return tuple((left, right) for left, right in (line.split(" ") for line in lines))


def _byte_letters() -> list[str]:
    """Return GPT-2's printable stand-in for each byte: printable ones first, as themselves, then the rest."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]
