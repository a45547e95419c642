"""LoRAs and embeddings on a loaded model: put on for a run, changed without loading again, taken off without trace.

Both go through the stock pipeline's own loaders (peft's layers, the tokenizer's added tokens), so a run equals
stock diffusers with the same adapters. A LoRA stays loaded after its run, switched off, until `keep` others
were used since; without any switched on, the model computes what it computed before.

Sources: LoRA (Hu 2021); textual inversion (Gal 2022).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from studio.engine.addon_keys import BASE_TITLES
from studio.engine.addons import AddOn, find_addon, scan_addons
from studio.engine.checksums import Checksums
from studio.engine.prompt_addons import cut_loras, together
from studio.errors import ModelError
from studio.requests import LoraUse

_NOT_LOADED = (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError)


@dataclass(frozen=True, slots=True)
class Worn:
    """A run's prompts as the model reads them, with its adapters in place.

    Attributes:
        prompts: (prompt, negative prompt) of each picture, without LoRA tokens, with embeddings under their tokens.
        facts: What was put on, with checksums, for the recipe; empty when nothing was.
        notes: Plain sentences for the artist.
    """

    prompts: tuple[tuple[str, str], ...]
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@torch.inference_mode()
def put_on(
    model: Any,
    prompts: Sequence[tuple[str, str]],
    listed: Sequence[LoraUse],
    *,
    folders: Sequence[Path],
    checksums: Checksums,
) -> Worn:
    """Put on the LoRAs and embeddings that a run names, and take off all others.

    Args:
        model: A loaded model; its `adapters` are changed, and its prompt cache is emptied when that may matter.
        prompts: (prompt, negative prompt) of each picture. They share the model, so the LoRAs that the first one
            names, on either side, count for all.
        listed: LoRAs beside those.
        folders: Where add-ons are looked for.

    Raises:
        UnknownName: There is no such LoRA.
        ModelError: One is damaged, or made for another kind of model.
    """
    cut = [(cut_loras(prompt), cut_loras(negative)) for prompt, negative in prompts]
    plain = tuple((prompt[0], negative[0]) for prompt, negative in cut)
    uses = together((*cut[0][0][1], *cut[0][1][1], *listed))
    adapters: Adapters | None = model.adapters
    if adapters is None:
        if uses:
            raise ModelError(f"{model.card.name} takes no LoRAs.", "Leave them out, or choose another model.")
        return Worn(plain)
    wanted = [(_fitting(find_addon(folders, "lora", use.name), model), use.weight) for use in uses]
    text = "\n".join(side for both in plain for side in both)
    words = adapters.embeddings.within(text, scan_addons(folders, "embedding"))
    changed = adapters.loras.use(wanted)
    changed |= adapters.embeddings.learn(words)
    if changed:
        model.prompts.clear()
    rewrite = adapters.embeddings.rewrite
    facts = {
        "loras": [{"name": a.id, "weight": w, "checksum": checksums.of(a.path)} for a, w in wanted],
        "embeddings": [{"name": a.id, "checksum": checksums.of(a.path)} for a in words],
    }
    return Worn(
        tuple((rewrite(prompt), rewrite(negative)) for prompt, negative in plain),
        {key: value for key, value in facts.items() if value},
        _notes(wanted, text),
    )


class Adapters:
    """What a stock pipeline can put on: `loras` and `embeddings`."""

    def __init__(self, pipeline: Any) -> None:
        self.loras, self.embeddings = LoraRack(pipeline), EmbeddingTable(pipeline)


class LoraRack:
    """The LoRAs of one pipeline: loaded once, then switched.

    Args:
        pipeline: Has diffusers' `load_lora_weights`, `set_adapters`, `disable_lora` and `delete_adapters`.
        keep: LoRAs that stay loaded.
    """

    def __init__(self, pipeline: Any, *, keep: int = 8) -> None:
        self._pipeline, self._keep = pipeline, keep
        self._names: OrderedDict[tuple[str, int, int], str] = OrderedDict()  # stamp -> adapter name, oldest first
        self._numbers = 0
        self.active: tuple[tuple[str, float], ...] = ()

    @property
    def loaded(self) -> int:
        """How many LoRAs are loaded, switched on or not."""
        return len(self._names)

    def use(self, wanted: Sequence[tuple[AddOn, float]]) -> bool:
        """Switch on exactly `wanted`, each with its weight; return whether anything changed. Raises ModelError."""
        active = tuple((self._load(addon), weight) for addon, weight in wanted)
        if active == self.active:
            return False
        if not active:
            self._pipeline.disable_lora()
        else:
            if not self.active:
                self._pipeline.enable_lora()
            self._pipeline.set_adapters([name for name, _ in active], [weight for _, weight in active])
        self.active = active
        self._forget_oldest()
        return True

    def _load(self, addon: AddOn) -> str:
        stamp = addon.stamp()
        if stamp in self._names:
            self._names.move_to_end(stamp)
            return self._names[stamp]
        self._numbers += 1
        name = f"lora{self._numbers}"  # names become module names, where dots are not allowed
        try:
            self._pipeline.load_lora_weights(
                str(addon.path.parent),
                weight_name=addon.path.name,
                adapter_name=name,
                local_files_only=True,
                use_safetensors=True,
            )
            listed = {known for names in self._pipeline.get_list_adapters().values() for known in names}
            fits = name in listed
        except _NOT_LOADED as error:
            self._start_over()
            raise _not_fitting("LoRA", addon, str(error)) from error
        if not fits:
            raise _not_fitting("LoRA", addon, "none of its layers is in this model")
        self._names[stamp] = name
        self.active = (("", 0.0),)  # a LoRA just loaded is switched on, whatever was before
        return name

    def _forget_oldest(self) -> None:
        using = {name for name, _ in self.active}
        for stamp, name in list(self._names.items()):
            if len(self._names) <= self._keep:
                return
            if name not in using:
                self._pipeline.delete_adapters(name)
                del self._names[stamp]

    def _start_over(self) -> None:
        """A LoRA that failed halfway leaves layers behind: take all off, so that the model is as it was."""
        self._pipeline.unload_lora_weights()
        self._names.clear()
        self.active = ()


class EmbeddingTable:
    """The embeddings a pipeline's text encoders have learnt, each under a token of its own."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._tokens: dict[str, tuple[str, tuple[str, int, int]]] = {}  # id -> token, stamp

    def within(self, text: str, known: Iterable[AddOn]) -> list[AddOn]:
        """Return those of `known` that are words of `text` and fit this pipeline's text encoders."""
        encoders = [part["text_encoder"] for part in self._parts()]
        if not hasattr(self._pipeline, "load_textual_inversion") or not all(_is_clip(encoder) for encoder in encoders):
            return []  # embeddings are vectors of CLIP's: an artist's word means only itself here
        width, second = encoders[0].get_input_embeddings().weight.shape[1], len(encoders) > 1
        fitting = [a for a in known if not a.problem and (a.width == 2048 if second else a.width == width)]
        return [addon for addon in fitting if _word(addon.id).search(text)]

    def learn(self, addons: Iterable[AddOn]) -> bool:
        """Add what is not known yet to tokenizers and encoders; return whether there was any. Raises ModelError."""
        changed = False
        for addon in addons:
            token, stamp = self._tokens.get(addon.id, ("", None))
            if stamp == addon.stamp():
                continue
            if token:
                self._unlearn(token)
            self._add(addon, f"<{re.sub(r'[^a-z0-9-]', '-', addon.id.lower())}>")
            changed = True
        return changed

    def rewrite(self, text: str) -> str:
        """Return `text` with each learnt embedding's name replaced by its token."""
        for name in sorted(self._tokens, key=len, reverse=True):
            text = _word(name).sub(self._tokens[name][0], text)
        return text

    def _add(self, addon: AddOn, token: str) -> None:
        try:
            tables = load_file(addon.path)
            keys = ("clip_l", "clip_g") if "clip_g" in tables else (next(iter(tables)),)
            for key, parts in zip(keys, self._parts(), strict=True):
                self._pipeline.load_textual_inversion({token: tables[key]}, token=token, **parts)
        except _NOT_LOADED as error:
            raise _not_fitting("embedding", addon, str(error)) from error
        self._tokens[addon.id] = (token, addon.stamp())

    def _parts(self) -> list[dict[str, Any]]:
        pipeline = self._pipeline
        parts = [{"text_encoder": pipeline.text_encoder, "tokenizer": pipeline.tokenizer}]
        if getattr(pipeline, "text_encoder_2", None) is not None:
            parts.append({"text_encoder": pipeline.text_encoder_2, "tokenizer": pipeline.tokenizer_2})
        return parts

    def _unlearn(self, token: str) -> None:
        for parts in self._parts():
            known = parts["tokenizer"].added_tokens_encoder
            vectors = [name for name in known if re.fullmatch(re.escape(token) + r"(_\d+)?", name)]
            self._pipeline.unload_textual_inversion(vectors, **parts)


def _is_clip(encoder: Any) -> bool:
    return type(encoder).__name__.startswith("CLIP")


def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w<-])(?:embedding:)?{re.escape(name)}(?![\w>-])", re.IGNORECASE)


def _fitting(addon: AddOn, model: Any) -> AddOn:
    """Return `addon`; raises ModelError when it reads text vectors of another width than the model's."""
    own = model.unet.config.cross_attention_dim if hasattr(model, "unet") else 0
    if addon.width and isinstance(own, int) and own and addon.width != own:
        made_for = BASE_TITLES.get(addon.base, "other models")
        raise ModelError(
            f'The LoRA "{addon.id}" was made for {made_for} (text vectors {addon.width} wide); '
            f"{model.card.name} reads {own} wide.",
            "Use one made for this kind of model.",
        )
    return addon


def _notes(wanted: Sequence[tuple[AddOn, float]], prompt: str) -> tuple[str, ...]:
    """Return a hint for each LoRA whose trigger words the prompt lacks."""
    said = prompt.casefold()
    return tuple(
        f'The LoRA "{addon.id}" answers to: {", ".join(addon.triggers[:4])}'
        for addon, _ in wanted
        if addon.triggers and not any(word.casefold() in said for word in addon.triggers)
    )


def _not_fitting(kind: str, addon: AddOn, why: str) -> ModelError:
    lines = why.strip().splitlines() or ["unknown"]
    return ModelError(
        f'The {kind} "{addon.id}" does not fit this model: {lines[0][:200]}', "Use one made for this kind of model."
    )
