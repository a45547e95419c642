"""The add-ons there are: LoRAs, embeddings, ControlNets, autoencoders, upscalers, found below the model folders.

Other studios' folders work as they are (`models/Lora`, `embeddings`, `ControlNet`, `ESRGAN`): a file's kind is
read from its keys, never from its place. Words about it come from the file's own metadata, from a NAME.toml
beside it, and from what other studios leave there (NAME.json, NAME.civitai.info). Knows no torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from studio.engine.addon_keys import KINDS, Kind, base_of, is_lycoris, kind_of, text_width
from studio.engine.catalog import DEPTH, visible
from studio.engine.checkpoint import Header, read_folder_headers, read_header
from studio.engine.recognise import read_words
from studio.errors import ModelError, UnknownName

_FOLDER_KINDS: Mapping[str, Kind] = {
    "ControlNetModel": "controlnet",
    "AutoencoderKL": "vae",
    "AutoencoderTiny": "tiny_vae",
    "VQModel": "vqgan",
}
_NO_USE: Mapping[str, str] = {
    "encoder": "a text or image encoder alone, which the studio loads only as part of a model.",
    "motion": "a motion module for video, which the studio does not make.",
}
_TITLES: Mapping[str, str] = {"lora": "LoRA", "controlnet": "ControlNet", "vae": "VAE"}
_DEFAULT_NAMES = ("pytorch_lora_weights", "adapter_model", "diffusion_pytorch_model", "model", "learned_embeds")
_MAX_TRIGGERS, _MAX_SIDECAR_BYTES = 12, 2**20


@dataclass(frozen=True, slots=True)
class AddOn:
    """What can be said of an add-on without loading it.

    Attributes:
        id: What a prompt or request calls it: the file's or folder's name.
        kind: One of `addon_keys.KINDS`.
        path: A .safetensors file, or a folder with config.json.
        base: The models it is for: "sd1", "sd2", "sdxl", "sd3", "flux", or "" where the file does not tell.
        width: Width of the text vectors it works on; 0 where the file does not tell.
        bytes: Size of its weights.
        name, description, licence: Its maker's words.
        triggers: Words that call up what it was trained on, the most frequent first.
        problem: Why it cannot be used; empty when it can.
    """

    id: str
    kind: Kind
    path: Path
    base: str = ""
    width: int = 0
    bytes: int = 0
    name: str = ""
    description: str = ""
    licence: str = ""
    triggers: tuple[str, ...] = ()
    problem: str = ""

    def stamp(self) -> tuple[str, int, int]:
        """Return what changes when the file does: path, size and modification time; raises ModelError if it is gone."""
        try:
            stat = self.path.stat()
        except OSError as error:
            raise ModelError(f'"{self.id}" is gone: {error.strerror}.', "Put it back, or leave it out.") from error
        return str(self.path), stat.st_size, stat.st_mtime_ns


def scan_addons(folders: Iterable[Path], kind: Kind | None = None) -> tuple[AddOn, ...]:
    """Return the add-ons in `folders`, of one kind or of all, by kind and name; of two alike the first counts."""
    found: dict[tuple[str, str], AddOn] = {}
    for folder in folders:
        for path in candidates(folder):
            addon = read_addon(path)
            if addon is not None and kind in (None, addon.kind):
                found.setdefault((addon.kind, addon.id.casefold()), addon)
    return tuple(sorted(found.values(), key=lambda a: (KINDS.index(a.kind), a.id.casefold())))


def find_addon(folders: Iterable[Path], kind: Kind, name: str) -> AddOn:
    """Return the add-on of `kind` called `name`, whatever its letters' case.

    Raises:
        UnknownName: There is none; the nearest are suggested.
        ModelError: It is there and cannot be used.
    """
    all_of_kind = scan_addons(folders, kind)
    wanted = name.casefold().removesuffix(".safetensors")
    match = next((a for a in all_of_kind if wanted in (a.id.casefold(), a.name.casefold())), None)
    if match is None:
        raise UnknownName(_TITLES.get(kind, kind), name, (a.id for a in all_of_kind))
    if match.problem:
        raise ModelError(match.problem, "Use another one.")
    return match


def is_addon(path: Path) -> bool:
    """Return whether the file or folder at `path` is an add-on."""
    return _facts_of(path) is not None


def read_addon(path: Path) -> AddOn | None:
    """Return the card of the add-on at `path`; None when it is a whole model, unknown or damaged."""
    facts = _facts_of(path)
    if facts is None:
        return None
    name, problem = _own_name(path), facts.problem and f'"{_own_name(path)}" is {facts.problem}'
    try:
        words = _words(path, facts.metadata)
    except ModelError as error:
        words, problem = {}, str(error)
    return AddOn(
        id=name,
        kind=facts.kind,
        path=path,
        base=words.get("base") or facts.base,
        width=facts.width,
        bytes=facts.bytes,
        name=words.get("name") or name,
        description=words.get("description", ""),
        licence=words.get("licence", ""),
        triggers=tuple(words.get("triggers", ())) or _frequent_tags(facts.metadata),
        problem=problem,
    )


def candidates(folder: Path, depth: int = DEPTH) -> Iterator[Path]:
    """Yield what may be an add-on in `folder` and below: files, and folders of single diffusers models.

    Whole models in diffusers form are not entered, and neither are hidden folders.
    """
    for path in visible(folder):
        if path.suffix == ".safetensors" and path.is_file():
            yield path
        elif not path.is_dir() or (path / "model_index.json").is_file():
            continue
        elif (path / "config.json").is_file():
            yield path
        elif depth > 1:
            yield from candidates(path, depth - 1)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a file's header says."""

    kind: Kind
    base: str
    width: int
    bytes: int
    metadata: Mapping[str, str]
    problem: str


def _facts_of(path: Path) -> _Facts | None:
    try:
        if path.is_dir():
            kind = _FOLDER_KINDS.get(_class_name(path))
            return _facts(kind, read_folder_headers(path)) if kind else None
        stat = path.stat()
        return _facts_of_file(path, stat.st_size, stat.st_mtime_ns)
    except (ModelError, OSError):
        return None


@lru_cache(maxsize=1024)  # every job looks for add-ons: a file's keys are gone through again only when it has changed
def _facts_of_file(path: Path, size: int, mtime_ns: int) -> _Facts | None:
    header = read_header(path)
    kind = kind_of(header)
    return _facts(kind, header) if kind else None


def _facts(kind: Kind, header: Header) -> _Facts:
    lycoris = kind == "lora" and is_lycoris(header)
    problem = "a LyCORIS file (LoHa, LoKr or OFT), which diffusers cannot apply." if lycoris else _NO_USE.get(kind, "")
    return _Facts(kind, base_of(header, kind), text_width(header, kind), header.nbytes, dict(header.metadata), problem)


def _own_name(path: Path) -> str:
    """Return the file's name, or its folder's where the file has the name that tools give to every one."""
    stem = path.name if path.is_dir() else path.stem
    return path.parent.name if stem in (*_DEFAULT_NAMES, "vqvae", "vae", "controlnet") else stem


def _class_name(folder: Path) -> str:
    said = _json(folder / "config.json").get("_class_name")
    return said if isinstance(said, str) else ""


def _words(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return name, description, licence, base and triggers: the maker's TOML first, then other studios' files."""
    own = read_words(path / "studio.toml" if path.is_dir() else path.with_suffix(".toml"))
    a1111 = {} if path.is_dir() else _json(path.with_suffix(".json"))
    civitai = {} if path.is_dir() else _json(path.with_suffix(".civitai.info"))
    trained = civitai.get("trainedWords")
    activation = str(a1111.get("activation text") or metadata.get("modelspec.trigger_phrase") or "")
    triggers = own.triggers or tuple(trained if isinstance(trained, list) else [activation] if activation else ())
    bases = {"SD1": "sd1", "SD2": "sd2", "SDXL": "sdxl", "SD3": "sd3", "Flux": "flux"}
    return {
        "name": own.name or metadata.get("modelspec.title", "")[:80],
        "description": own.description or str(a1111.get("description") or metadata.get("modelspec.description", "")),
        "licence": own.licence or metadata.get("modelspec.license", "")[:200],
        "base": bases.get(str(a1111.get("sd version", "")), ""),
        "triggers": [str(word).strip()[:200] for word in triggers if str(word).strip()][:_MAX_TRIGGERS],
    }


def _frequent_tags(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the words that most training captions had, as kohya's trainer notes them."""
    try:
        folders = json.loads(metadata.get("ss_tag_frequency", "{}"))
        counts: dict[str, int] = {}
        for tags in folders.values():
            for tag, count in tags.items():
                counts[tag.strip()] = counts.get(tag.strip(), 0) + int(count)
    except (ValueError, AttributeError, TypeError):
        return ()
    most = max(counts.values(), default=0)
    often = sorted((tag for tag, count in counts.items() if tag and count >= most * 0.5), key=lambda t: -counts[t])
    return tuple(often[:_MAX_TRIGGERS])


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_SIDECAR_BYTES:
            return {}
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
