"""Everything the studio can use, as one list of items, with what can be done to each.

The studio writes in one folder only, DATA/models: what a user adds or downloads goes there, and only that can be
removed. Shipped models and the user's other folders are read and left as they are.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.codebook.find import find_vqgans, vqmodel_folder
from studio.engine.addon_keys import BASE_TITLES
from studio.engine.addons import AddOn, read_addon, scan_addons
from studio.engine.catalog import ModelCard, scan
from studio.engine.checkpoint import read_header
from studio.engine.checksums import Checksums
from studio.engine.recognise import recognise
from studio.errors import InvalidRequest, ModelError, UnknownName
from studio.library.sources import Source, read_source
from studio.settings import Settings

KINDS = (
    "model", "lora", "embedding", "controlnet", "ip_adapter", "vae", "tiny_vae", "vqgan", "upscaler", "encoder",
    "motion", "unusable",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """One thing on the shelf.

    Attributes:
        id: Unique within its kind.
        kind: One of KINDS: a whole "model", an add-on, or "unusable".
        name: For people.
        base: The architecture: "sd1", "sdxl", "ldm", "FluxPipeline", ...; "" where the file does not tell.
        path: Its file or folder.
        bytes: Size of its weights on the disk.
        description, licence, triggers: Its maker's words.
        problem: Why it cannot be used, and what to do; empty when it can.
        is_own: Lies in the studio's own folder, so it may be removed.
        source: Where it was downloaded from, if it was.
    """

    id: str
    kind: str
    name: str
    base: str
    path: Path
    bytes: int
    description: str = ""
    licence: str = ""
    triggers: tuple[str, ...] = ()
    problem: str = ""
    is_own: bool = False
    source: Source | None = None

    @property
    def base_title(self) -> str:
        """The base as people call it."""
        return BASE_TITLES.get(self.base, self.base)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        names = ("id", "kind", "name", "base", "bytes", "description", "licence", "problem")
        said: dict[str, Any] = {name: getattr(self, name) for name in names}
        source = {"repo": self.source.repo, "revision": self.source.revision} if self.source else None
        return {**said, "path": str(self.path), "triggers": list(self.triggers), "source": source}


class Shelf:
    """The models and add-ons in the studio's folders.

    Args:
        settings: Names the folders.
    """

    def __init__(self, settings: Settings) -> None:
        self.folders = settings.checkpoint_folders
        self.own = settings.data_dir / "models"
        self._checksums = Checksums(settings.cache_dir / "checksums.json")

    def items(self) -> list[Item]:
        """Return everything there is: models first, then add-ons by kind, then what cannot be used."""
        found = scan(self.folders)
        models = [self._of_model(card) for card in found.models]
        addons = [self._of_addon(addon) for addon in scan_addons(self.folders)]
        seen = {item.path for item in addons}
        vqgans = [
            self._item(name, "vqgan", folder, bytes=_size(folder))
            for name, path in find_vqgans(self.folders).items()
            if (folder := vqmodel_folder(path)) and folder not in seen
        ]
        bad = [self._item(b.id, "unusable", b.path, problem=f"{b.reason} {b.hint}".strip()) for b in found.unusable]
        return sorted([*models, *addons, *vqgans, *bad], key=lambda item: KINDS.index(item.kind))

    def find(self, name: str, kind: str = "") -> Item:
        """Return the item called `name`, of one kind or of any.

        Raises:
            UnknownName: There is none; the nearest are suggested.
        """
        items = [item for item in self.items() if kind in ("", item.kind)]
        for wanted in (lambda item: item.id, lambda item: item.id.casefold(), lambda item: item.name.casefold()):
            for item in items:
                if wanted(item) in (name, name.casefold()):
                    return item
        raise UnknownName(kind or "model", name, (item.id for item in items))

    def checksum(self, item: Item) -> str:
        """Return the SHA-256 of an item's file, or of its folder's files; reads it all once. Raises ModelError."""
        return self._checksums.of(item.path)

    def add(self, path: Path, *, link: bool = False) -> Item:
        """Put the file or folder at `path` into the studio's own folder, and return it.

        Args:
            link: Make a link instead of a copy: no room taken, but it must stay where it is.

        Raises:
            ModelError: It is not a model or add-on, is damaged, or one of its name is there.
            InvalidRequest: There is nothing at `path`, or no room for it.
        """
        path = path.expanduser()
        if not path.exists():
            raise InvalidRequest(f'There is nothing at "{path}".', "Give the path of a file or folder.", field="path")
        check_usable(path)
        target = self.own / path.name
        if target.exists():
            raise ModelError(f'There is already a "{path.name}".', "Rename the file, or remove the other one.")
        self.own.mkdir(parents=True, exist_ok=True)
        try:
            if link:
                target.symlink_to(path.resolve(), target_is_directory=path.is_dir())
            else:
                need = _weight(path)
                check_room(self.own, need)
                _copy_whole(path, target)
        except OSError as error:
            raise ModelError(
                f'"{path.name}" could not be added: {error.strerror or error}.', "Check the disk."
            ) from error
        return self._at(target)

    def remove(self, item: Item) -> None:
        """Delete an item of the studio's own folder, with its parts; a link goes, what it points to stays.

        Raises:
            ModelError: It lies elsewhere, or cannot be deleted.
        """
        if not item.is_own:
            raise ModelError(
                f'"{item.id}" does not lie in the studio\'s own folder.', f'Delete it by hand: "{item.path}".'
            )
        whole = whole_of(item, self.items())
        if whole is not None:
            raise ModelError(f'"{item.id}" is a part of "{whole.id}".', "Remove that one.")
        top = self.own / item.path.relative_to(self.own).parts[0]
        keeps_top = item.path.parent == self.own or (not top.is_symlink() and _holds_more(top, item.path))
        target = item.path if keeps_top else top
        try:
            if target.is_symlink() or target.is_file():
                target.unlink()
                target.with_suffix(".toml").unlink(missing_ok=True)
            else:
                shutil.rmtree(target)
        except OSError as error:
            raise ModelError(f'"{item.id}" cannot be removed: {error.strerror}.', "Close what uses it.") from error

    def _at(self, path: Path) -> Item:
        return next(item for item in self.items() if item.path == path or path in item.path.parents)

    def _of_model(self, card: ModelCard) -> Item:
        return self._item(
            card.id, "model", card.path, name=card.name, base=card.architecture, bytes=card.bytes,
            description=card.description, licence=card.licence,
        )  # fmt: skip

    def _of_addon(self, addon: AddOn) -> Item:
        return self._item(
            addon.id, addon.kind, addon.path, name=addon.name, base=addon.base, bytes=addon.bytes,
            description=addon.description, licence=addon.licence, triggers=addon.triggers, problem=addon.problem,
        )  # fmt: skip

    def _item(self, item_id: str, kind: str, path: Path, **said: Any) -> Item:
        source = read_source(path)
        said["licence"] = said.get("licence") or (source.licence if source else "")
        said = {"name": item_id, "base": "", "bytes": 0, **said}
        return Item(id=item_id, kind=kind, path=path, is_own=self.own in path.parents, source=source, **said)


def whole_of(item: Item, items: Iterable[Item]) -> Item | None:
    """Return the model whose folder `item` lies in: its prior, its VQGAN; None for what stands alone."""
    for other in items:
        if (other.id, other.kind) == (item.id, item.kind):
            return None
        if other.kind == "model" and (other.path == item.path or other.path in item.path.parents):
            return other
    return None


def parts_of(item: Item, items: Sequence[Item]) -> list[Item]:
    """Return the other items in the folder of `item`, which are deleted with it."""
    return [other for other in items if whole_of(other, items) == item]


def check_usable(path: Path) -> None:
    """Raise ModelError unless the file or folder at `path` is a model or add-on that is whole."""
    if read_addon(path) is not None or (path.is_dir() and vqmodel_folder(path)):
        return
    if path.is_dir():
        if not (path / "model_index.json").is_file() and any(_addons_in(path)):
            return
    elif path.suffix == ".safetensors":
        read_header(path)
    recognise(path)


def check_room(folder: Path, need_bytes: int, *, spare_bytes: int = 2 * 10**8) -> None:
    """Raise InvalidRequest when the disk of `folder` has less than `need_bytes` and a little to spare."""
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(nearest).free
    if free < need_bytes + spare_bytes:
        raise InvalidRequest(
            f"This needs {need_bytes / 1e9:.1f} GB; {free / 1e9:.1f} GB is free on the disk.",
            f"Free {(need_bytes + spare_bytes - free) / 1e9:.1f} GB, or choose a smaller variant.",
        )


def _addons_in(folder: Path) -> Iterator[AddOn]:
    yield from scan_addons([folder])


def _copy_whole(path: Path, target: Path) -> None:
    """Copy under a temporary name, then rename: a copy that is cut off is never taken for a model."""
    part = target.with_name(f".{target.name}.part")
    if path.is_dir():
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(path, part)
    else:
        shutil.copy2(path, part)
        beside = path.with_suffix(".toml")
        if beside.is_file():
            shutil.copy2(beside, target.with_suffix(".toml"))
    part.rename(target)


def _holds_more(top: Path, path: Path) -> bool:
    """Return whether the folder `top` holds other weights than those of `path`."""
    if not top.is_dir() or top == path:
        return False
    weights = [p for p in top.rglob("*.safetensors") if p != path and path not in p.parents]
    return bool(weights)


def _weight(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
