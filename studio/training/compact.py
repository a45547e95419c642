"""Making a model folder smaller: int8 weights for its large parts, and a text encoder without the words nobody says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from diffusers import UNet2DConditionModel
from transformers import BertModel, BertTokenizerFast

from studio.engine.compact import is_compact, write_compact
from studio.errors import InvalidRequest

_PARTS = ("unet", "bert")


def compact_parts(source: Path, target: Path, *, keep_words: Sequence[str] = ()) -> tuple[int, int]:
    """Make the copy `target` of the model folder `source` compact; return the word pieces before and after.

    Args:
        keep_words: Words and captions whose pieces stay; single characters and special pieces always do. Empty:
            all pieces stay.

    Raises:
        InvalidRequest: The model is compact already, or the tokenizer has no plain vocabulary to take words from.
    """
    if is_compact(source / "unet"):
        raise InvalidRequest(f'"{source.name}" is compact already.', "Shrink the model it was made from.")
    unet = UNet2DConditionModel.from_pretrained(source / "unet", local_files_only=True)
    bert = BertModel.from_pretrained(source / "bert", add_pooling_layer=False, local_files_only=True)
    before = after = bert.config.vocab_size
    if keep_words:
        after = _prune(bert, source / "tokenizer", target / "tokenizer", keep_words)
    for name, model in zip(_PARTS, (unet, bert), strict=True):
        shutil.rmtree(target / name)
        (target / name).mkdir()
        (model.save_config if name == "unet" else model.config.save_pretrained)(target / name)
        write_compact(model.state_dict(), target / name)
    return before, after


def _prune(bert: BertModel, source: Path, target: Path, words: Sequence[str]) -> int:
    """Keep the pieces that `words` need, in the encoder and in the tokenizer; return how many that are."""
    tokenizer = BertTokenizerFast.from_pretrained(source, local_files_only=True)
    pieces = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    if len(pieces) > bert.config.vocab_size:
        raise InvalidRequest(
            f"The tokenizer has {len(pieces)} pieces, the text encoder {bert.config.vocab_size}.",
            "Shrink without --words.",
        )
    needed = {id_ for ids in tokenizer(list(words), add_special_tokens=False)["input_ids"] for id_ in ids}
    special = set(tokenizer.all_special_tokens)
    kept = [i for i, it in enumerate(pieces) if i in needed or it in special or len(it.removeprefix("##")) == 1]
    table = bert.embeddings.word_embeddings.weight.detach()[kept].clone()
    bert.resize_token_embeddings(len(kept), mean_resizing=False)
    bert.embeddings.word_embeddings.weight.data.copy_(table)
    bert.config.pad_token_id = kept.index(tokenizer.pad_token_id)
    _write_tokenizer([pieces[i] for i in kept], target, lower=bool(getattr(tokenizer, "do_lower_case", True)))
    return len(kept)


def _write_tokenizer(pieces: Sequence[str], folder: Path, *, lower: bool) -> None:
    """Write a BERT tokenizer of `pieces`, in the form that every loader reads."""
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": lower, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    BertTokenizerFast.from_pretrained(folder, local_files_only=True).save_pretrained(folder)
