"""Where a picture comes from and what was made of it, across tabs.

Links are by content: a request names the hash of its source, mask or reference, and the picture with those
pixels is the parent. So lineage holds without anybody recording it, and survives a rebuilt index. A fork names no
picture but a run: its picture is looked up when the fork is saved, and stands in the recipe from then on.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from studio.gallery import index
from studio.gallery.entry import Entry
from studio.gallery.recipe import Parent, key_of
from studio.requests import Request

MAX_NODES = 500
_TELL_A_RUN = ("kind", "negative_prompt", "steps", "guidance_scale", "scheduler", "width", "height")


@dataclass(frozen=True, slots=True)
class Link:
    """One thing a picture was made from: `entry` when it is in the gallery, else only its `ref` (an upload)."""

    role: str
    ref: str
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class Tree:
    """A family of pictures: `entries` by id, oldest first, and `edges` as (parent id, child id, role)."""

    entries: dict[str, Entry]
    edges: tuple[tuple[str, str, str], ...]


def parents(db: sqlite3.Connection, folder: Path, entry: Entry, *, owner: str | None) -> list[Link]:
    """Return what `entry` was made from, in the recipe's order."""
    return [Link(p.role, p.ref, _resolve(db, folder, p.ref, entry, owner)) for p in entry.recipe.parents]


def children(db: sqlite3.Connection, folder: Path, entry: Entry, *, owner: str | None) -> list[Entry]:
    """Return what was made from `entry`, newest first."""
    rows = db.execute(
        "SELECT DISTINCT l.child FROM lineage l JOIN entries e ON e.sequence = l.child "
        "WHERE l.ref IN (?, ?, ?) AND l.ref <> '' AND e.sequence <> ? AND (?5 IS NULL OR e.owner = ?5) "
        "ORDER BY l.child DESC LIMIT ?6",
        (entry.id, entry.sha256, entry.job, entry.sequence, key_of(owner), MAX_NODES),
    )
    found = index.entries(db, folder, [row[0] for row in rows])
    return [
        child
        for child in found
        if any((one := link.entry) is not None and one.id == entry.id
               for link in parents(db, folder, child, owner=owner))
    ]  # fmt: skip


def tree(db: sqlite3.Connection, folder: Path, entry: Entry, *, owner: str | None) -> Tree:
    """Return everything that is related to `entry` through parents and children, up to MAX_NODES pictures."""
    found, edges, waiting = {entry.id: entry}, set[tuple[str, str, str]](), [entry]
    while waiting and len(found) < MAX_NODES:
        one = waiting.pop(0)
        links = parents(db, folder, one, owner=owner)
        up = [(link.entry, one, link.role) for link in links if link.entry is not None]
        down = [(one, child, _role(child, one)) for child in children(db, folder, one, owner=owner)]
        for parent, child, role in [*up, *down]:
            edges.add((parent.id, child.id, role))
            for relative in (parent, child):
                if relative.id not in found:
                    found[relative.id] = relative
                    waiting.append(relative)
    ordered = dict(sorted(found.items(), key=lambda item: item[1].sequence))
    return Tree(ordered, tuple(sorted(edges)))


def run_behind(db: sqlite3.Connection, folder: Path, request: Request | None) -> tuple[Parent, ...]:
    """Return the picture of the run that `request` goes on from: a fork names its run by the recipe."""
    run = getattr(request, "parent", None)
    if not isinstance(run, dict):
        return ()
    rows = db.execute(
        "SELECT sequence FROM entries WHERE prompt = ? AND seed IS ? ORDER BY sequence DESC LIMIT 50",
        (str(run.get("prompt", "")), run.get("seed") if isinstance(run.get("seed"), int) else None),
    ).fetchall()
    for entry in index.entries(db, folder, [row[0] for row in rows]):
        if all(entry.recipe.settings.get(name) == run[name] for name in _TELL_A_RUN if name in run):
            return (Parent("run", entry.id),)
    return ()


def _role(child: Entry, parent: Entry) -> str:
    refs = (parent.id, parent.sha256, parent.job)
    return next((p.role for p in child.recipe.parents if p.ref in refs), "picture")


def _resolve(db: sqlite3.Connection, folder: Path, ref: str, child: Entry, owner: str | None) -> Entry | None:
    """The picture that `ref` names: the newest that is older than the child, for the same pixels may come twice."""
    column = {64: "sha256", 16: "job"}.get(len(ref), "id")
    row = db.execute(
        f"SELECT e.sequence FROM entries e WHERE e.{column} = ? AND e.sequence < ? AND (?3 IS NULL OR e.owner = ?3) "
        "ORDER BY e.sequence DESC LIMIT 1",
        (ref, child.sequence, key_of(owner)),
    ).fetchone()
    return index.entries(db, folder, [row[0]])[0] if row else None
