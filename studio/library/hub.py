"""What a hub repository holds and which of its files the studio needs, asked through the `huggingface_hub` client.

A plan is pinned to the commit that "main" (or any branch or tag) stands for at that moment. Only safetensors,
their configurations and tokenizers are ever asked for. HF_ENDPOINT names another hub, HF_TOKEN who asks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from studio.errors import InvalidRequest, ModelError
from studio.library.hub_errors import explained

REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_SKIPPED_PARTS = ("safety_checker", "feature_extractor")
_TEXT_FILES = (".json", ".txt", ".model", ".jinja")
_WORDS = ("README.md", "LICENSE", "LICENSE.md", "LICENSE.txt")
_WEIGHTS = ".safetensors"
_VARIANT = re.compile(r"^(?P<stem>[^.]+)(?:\.(?P<variant>[a-z0-9_]+))?(?P<shard>-\d{5}-of-\d{5})?\.safetensors$")
_INDEX = re.compile(r"^(?P<stem>[^.]+)\.safetensors\.index(?:\.(?P<variant>[a-z0-9_]+))?\.json$")


class NameOneFile(InvalidRequest):
    """A repository holds several models in `files`: one must be named."""

    def __init__(self, files: Sequence[str]) -> None:
        shown = ", ".join(files[:12]) + (", …" if len(files) > 12 else "")
        super().__init__(f"The repository holds {len(files)} models.", f"Name one file: {shown}.", field="file")
        self.files = tuple(files)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository; `digest` is "sha256:..." or "git:..." (the blob's SHA-1)."""

    name: str
    bytes: int
    digest: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a download will bring.

    Attributes:
        repo: "owner/name".
        revision: The commit it is pinned to.
        files: In the order they are fetched: the small ones first.
        licence: As the repository states it.
        is_gated: Its owner must be asked for access first.
        file: The one file that was asked for; "" for a whole model.
        variant: The precision that was asked for.
    """

    repo: str
    revision: str
    files: tuple[RemoteFile, ...]
    licence: str
    is_gated: bool
    file: str = ""
    variant: str = "fp16"

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)

    @property
    def name(self) -> str:
        """The folder's name: the repository's without its owner, and with it the file's where one is fetched."""
        return folder_name(self.repo, self.file)


def folder_name(repo: str, file: str) -> str:
    """Return the name of the folder that the model `repo`, or one `file` of it, is put into."""
    name = repo.partition("/")[2]
    return f"{name}--{file.removesuffix(_WEIGHTS).replace('/', '--')}" if file else name


def look(repo: str, *, revision: str = "main", file: str = "", variant: str = "fp16", endpoint: str = "") -> Plan:
    """Ask what the repository `repo` holds, and choose what the studio needs of it.

    Args:
        revision: A branch, tag or commit.
        file: One .safetensors file of it; "" for a whole model.
        variant: The precision to take where the repository has several: "fp16" is half the size; "" is full.
        endpoint: Another hub.

    Raises:
        InvalidRequest: `repo` is not "owner/name", or holds several files of which one must be named.
        ModelError: It does not exist, is gated or private, holds nothing the studio can use, or cannot be reached.
    """
    from huggingface_hub import HfApi

    repo = repo.strip().removeprefix("https://huggingface.co/").strip("/")
    if not REPO.fullmatch(repo):
        raise InvalidRequest(f'"{repo[:100]}" is not a repository.', "Write owner/name, as in madebyollin/taesd.")
    with explained(repo):
        info = HfApi(endpoint=endpoint or None).model_info(repo, revision=revision, files_metadata=True, timeout=20)
        files = {name: _remote(sibling) for sibling in info.siblings or () if _is_safe(name := sibling.rfilename)}
        commit = str(info.sha)
        index = _index(repo, commit, endpoint) if "model_index.json" in files and not file else {}
    chosen = choose(list(files), file=file, variant=variant, parts=_parts(index))
    licence = next((tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:")), "")
    ordered = sorted((files[name] for name in chosen), key=lambda f: (f.name.endswith(_WEIGHTS), f.bytes))
    return Plan(repo, commit, tuple(ordered), licence, bool(info.gated), file, variant)


def choose(names: Sequence[str], *, file: str = "", variant: str = "fp16", parts: Iterable[str] = ()) -> list[str]:
    """Return those of a repository's files that make up what the studio can use.

    Args:
        names: All its files.
        file: The one that is wanted; its `image_encoder` comes along for an IP-Adapter.
        variant: Taken where every part has it; else full precision.
        parts: Folders of the model's parts, as model_index.json names them.

    Raises:
        InvalidRequest: One file must be named, or the named one is not there.
        ModelError: There is nothing to use.
    """
    words = [name for name in _WORDS if name in names]
    if file:
        return [*words, *_single(names, file)]
    if "model_index.json" in names:
        kept = [part for part in parts if part not in _SKIPPED_PARTS]
        texts = [name for name in names if _folder(name) in kept and name.endswith(_TEXT_FILES)]
        return [*words, "model_index.json", *_weights_of(names, kept, variant), *_without_indices(texts)]
    alone = [name for name in names if "/" not in name and name.endswith(_WEIGHTS)]
    if "config.json" in names and alone:
        return [*words, "config.json", *_weights_of(names, [""], variant)]
    if not alone:
        pickles = [name for name in names if name.endswith((".bin", ".ckpt", ".pt", ".pth"))]
        if below := [name for name in names if name.endswith(_WEIGHTS)]:
            raise NameOneFile(below)
        reason = "only pickles, which can run code" if pickles else "no model that the studio can use"
        raise ModelError(f"The repository holds {reason}.", "Choose one with .safetensors files.")
    if len(alone) > 1:
        raise NameOneFile([name for name in names if name.endswith(_WEIGHTS)])
    return [*words, *alone]


def _single(names: Sequence[str], file: str) -> list[str]:
    if file not in names or not file.endswith(_WEIGHTS):
        raise InvalidRequest(
            f'The repository has no file "{file[:120]}" that the studio can use.',
            f"It has {', '.join([name for name in names if name.endswith(_WEIGHTS)][:12]) or 'no .safetensors file'}.",
            field="file",
        )
    encoder = str(PurePosixPath(file).parent / "image_encoder").removeprefix("./")
    beside = [f"{encoder}/config.json", f"{encoder}/model{_WEIGHTS}"] if "ip-adapter" in file.lower() else []
    return [file, *(name for name in beside if name in names)]


def _weights_of(names: Sequence[str], folders: Sequence[str], variant: str) -> list[str]:
    """Return the weights of each folder in `variant` if all have it, else in full precision."""
    found: dict[str, dict[str, list[str]]] = {folder: {} for folder in folders}
    for name in names:
        folder, base = _folder(name), PurePosixPath(name).name
        match = (_VARIANT.match(base) or _INDEX.match(base)) if folder in found else None
        if match:
            found[folder].setdefault(match["variant"] or "", []).append(name)
    held = {folder: files for folder, files in found.items() if files}
    if not held:
        raise ModelError("The repository holds no .safetensors weights.", "Choose one that has them.")
    wanted = variant if variant and all(variant in files for files in held.values()) else ""
    chosen = []
    for folder, files in held.items():
        if wanted not in files and variant not in files:
            raise ModelError(f'Its part "{folder}" comes only as {", ".join(files)}.', "Ask for one of these variants.")
        chosen += files.get(wanted) or files[variant]
    return chosen


def _without_indices(texts: Sequence[str]) -> list[str]:
    return [name for name in texts if not name.endswith(".index.json") and ".index." not in PurePosixPath(name).name]


def _parts(index: dict[str, Any]) -> list[str]:
    return [part for part, named in index.items() if isinstance(named, list) and named and named[0] is not None]


def _index(repo: str, revision: str, endpoint: str) -> dict[str, Any]:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    url = hf_hub_url(repo, "model_index.json", revision=revision, endpoint=endpoint or None)
    answer = get_session().get(url, headers=build_hf_headers(), timeout=20)
    hf_raise_for_status(answer)
    try:
        value = json.loads(answer.content)
    except ValueError as error:
        raise ModelError(f"The model_index.json of {repo} cannot be read.", "Choose another model.") from error
    return value if isinstance(value, dict) else {}


def _remote(sibling: Any) -> RemoteFile:
    digest = f"sha256:{sibling.lfs.sha256}" if sibling.lfs else f"git:{sibling.blob_id}"
    return RemoteFile(sibling.rfilename, int(sibling.size or 0), digest)


def _folder(name: str) -> str:
    parent = str(PurePosixPath(name).parent)
    return "" if parent == "." else parent


def _is_safe(name: str) -> bool:
    """Whether a file's name stays inside the folder it is put into, on every system."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name and ":" not in name
