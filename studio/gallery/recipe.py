"""What a picture knows about itself: the recipe that is stored in its PNG and in its row, versioned.

`Recipe.to_json` and `Recipe.from_json` are each other's inverse. A recipe never holds a path, a user name or
a session's secret: the owner is a one-way key, and values that look like absolute paths are cut to their last part.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from studio.errors import InvalidRequest, StudioError
from studio.requests import Request, parse

VERSION = 1
TEXT_KEY = "tessera"  # the PNG text chunk's keyword
MAX_DEPTH = 20

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}  # from version n to n + 1

_PATH = re.compile(r"^(/|~|[A-Za-z]:[\\/]|\\\\|file:)")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_PICTURE_ROLES = ("source", "content", "mask", "references", "control", "more_controls")


@dataclass(frozen=True, slots=True)
class Parent:
    """Something a picture was made from.

    Attributes:
        role: "source", "mask", "content", "reference", "control", "job", or "picture".
        ref: A picture's hash (64 hex digits), a gallery id (20 characters), or a job id (16 hex digits).
    """

    role: str
    ref: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a picture was made.

    Attributes:
        id: The gallery id; sorts by time.
        created_us: When, in microseconds since 1970 UTC, by the machine's clock.
        settings: The request as JSON-able values; empty for a picture of unknown origin.
        seed: The seed that makes this very picture; None when there is none.
        facts: Model id and checksum, device, dtype, library versions.
        job: The job that made it.
        owner: `owner_key` of whose it is.
        parents: What it was made from.
        foreign: For imports: "software", and "unmapped" (settings that have no counterpart here).
    """

    id: str
    created_us: int
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    job: str = ""
    owner: str = ""
    parents: tuple[Parent, ...] = ()
    foreign: dict[str, Any] = field(default_factory=dict)

    @property
    def request(self) -> Request:
        """The request as it was made.

        Raises:
            InvalidRequest: The picture has no settings, or a newer studio wrote them.
        """
        if not self.settings:
            raise InvalidRequest("This picture carries no settings.", "It can still be sent to another tab.")
        try:
            return parse(self.settings)
        except StudioError as error:
            raise InvalidRequest(f"Settings could not be read: {error.message}", error.hint) from error

    @property
    def single(self) -> Request:
        """The request that makes this one picture of its batch again, its random words drawn; raises as `request`."""
        request = self.request
        if self.seed is None or "batch" not in type(request).model_fields:
            return request
        alone: dict[str, Any] = {"seed": self.seed, "batch": 1}
        if "variation_seed" in self.facts:
            alone["variation_seed"] = self.facts["variation_seed"]
        drawn = self.facts.get("drawn")
        if isinstance(drawn, Mapping):
            alone |= {name: drawn[name] for name in ("prompt", "negative_prompt") if isinstance(drawn.get(name), str)}
        return request.with_changes(**alone)

    def to_json(self) -> str:
        """Return the recipe as ASCII JSON."""
        values: dict[str, Any] = {
            "version": VERSION,
            "id": self.id,
            "created_us": self.created_us,
            "settings": self.settings,
            "seed": self.seed,
            "facts": self.facts,
            "job": self.job,
            "owner": self.owner,
            "parents": [[parent.role, parent.ref] for parent in self.parents],
        }
        if self.foreign:
            values["foreign"] = self.foreign
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Return the recipe that `text` holds, migrated to this version; `text` may be hostile.

        Raises:
            InvalidRequest: It is not a recipe, or one of a newer version.
        """
        values = _load(text)
        version = values.get("version")
        if type(version) is not int or not 1 <= version <= VERSION:
            raise InvalidRequest(f"Settings could not be read: their version is {version!r:.40}.", "Update the studio.")
        for step in range(version, VERSION):
            values = MIGRATIONS[step](values)
        return cls(
            id=_text(values.get("id"), 40),
            created_us=_whole(values.get("created_us")) or 0,
            settings=_mapping(values.get("settings")),
            seed=_whole(values.get("seed")),
            facts=_mapping(values.get("facts")),
            job=_text(values.get("job"), 64),
            owner=_text(values.get("owner"), 64),
            parents=_parents(values.get("parents")),
            foreign=_mapping(values.get("foreign")),
        )


def owner_key(owner: str) -> str:
    """Return the one-way key under which `owner`'s pictures are stored; a session's secret never reaches the disk."""
    return hashlib.sha256(b"tessera-owner:" + owner.encode("utf-8", "replace")).hexdigest()[:32]


def key_of(owner: str | None) -> str | None:
    """Return `owner_key(owner)`; None (the owner of the studio, who sees all) stays None, and only None does."""
    return None if owner is None else owner_key(owner)


def settings_of(request: Request | None) -> dict[str, Any]:
    """Return `request` as JSON-able values; a model named by its path keeps the path's last part."""
    if request is None:
        return {}
    values = request.model_dump(mode="json")
    return {**values, "model": shareable(values["model"])} if "model" in values else values


def parents_of(request: Request | None, named: Iterable[str | Parent] = ()) -> tuple[Parent, ...]:
    """Return what `request` refers to by its fields, and `named` (ids or hashes) beside, each once, in order."""
    found: dict[str, Parent] = {}
    for name in _PICTURE_ROLES:
        for ref in _refs(getattr(request, name, None)):
            found.setdefault(ref, Parent(_role(name), ref))
    run = getattr(request, "parent", None)
    if isinstance(run, str):
        found.setdefault(run, Parent("job", run))
    while isinstance(run, Mapping):  # the run that was forked, and the one before: their pictures are needed again
        for name in _PICTURE_ROLES:
            for ref in _refs(run.get(name)):
                found.setdefault(ref, Parent(_role(name), ref))
        run = run.get("parent")
    for one in named:
        parent = Parent("picture", one) if isinstance(one, str) else one
        found.setdefault(parent.ref, parent)
    return tuple(found.values())


def _refs(value: Any) -> tuple[str, ...]:
    """Return the hashes in a field's value: one, several, or several uses of a picture."""
    named = (value,) if isinstance(value, str) else tuple(value or ())
    return tuple(one if isinstance(one, str) else _picture_of(one) for one in named)


def _picture_of(use: Any) -> str:
    return str(use.get("picture", "") if isinstance(use, Mapping) else getattr(use, "picture", ""))


def _role(name: str) -> str:
    return {"references": "reference", "more_controls": "control"}.get(name, name)


def shareable(value: Any, *, depth: int = 0) -> Any:
    """Return `value` as JSON-able data without absolute paths; NaN and infinity become None."""
    if isinstance(value, str):
        text = encodable(value)
        return re.split(r"[/\\]", text.rstrip("/\\"))[-1] if len(text) < 1000 and _PATH.match(text) else text
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth >= MAX_DEPTH:
        return None
    if isinstance(value, Mapping):
        return {str(shareable(str(key))): shareable(item, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [shareable(item, depth=depth + 1) for item in value]
    return shareable(str(value), depth=depth + 1)


def encodable(text: str) -> str:
    """Return `text` with a question mark for every lone surrogate, which no file and no database takes."""
    return text.encode("utf-8", "replace").decode()


def _load(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
        if _SURROGATE.search(text):  # half of an emoji, or hostile: half of nothing
            values = json.loads(encodable(json.dumps(values, ensure_ascii=False)))
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("Settings could not be read: they are not JSON.", "The picture itself is fine.") from error
    if not isinstance(values, dict) or _depth(values) > MAX_DEPTH:
        raise InvalidRequest("Settings could not be read: they are not a recipe.", "The picture itself is fine.")
    return values


def _depth(value: Any, at: int = 0) -> int:
    if at > MAX_DEPTH or not isinstance(value, dict | list):
        return at
    items = value.values() if isinstance(value, dict) else value
    return max((_depth(item, at + 1) for item in items), default=at)


def _text(value: Any, limit: int) -> str:
    return value[:limit] if isinstance(value, str) else ""


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _parents(value: Any) -> tuple[Parent, ...]:
    pairs = value if isinstance(value, list) else []
    return tuple(
        Parent(pair[0][:40], pair[1][:64])
        for pair in pairs[:64]
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)
    )
