"""What the gallery page is told of a picture: JSON-able values, words as data, never markup.

Titles go out as a key of the page's texts and, for settings without one, as the request's own English title.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from studio.errors import InvalidRequest, StudioError
from studio.fields import field_spec
from studio.gallery.entry import Entry, Filters
from studio.gallery.importing import foreign_text
from studio.gallery.lineage import Link, Tree
from studio.requests import KINDS, Request
from studio.ui.stream import picture_url, thumbnail_url

TABS_OF_KINDS: dict[str, tuple[str, ...]] = {  # what the "tab" filter offers, in the order of the page
    "create": ("text_to_image", "fork", "timelapse", "keep_film"),
    "style": ("stylize",),
    "inpaint": ("inpaint",),
    "enhance": ("upscale", "walk"),
    "codebook": ("reconstruct", "edit_tokens", "draw_tokens"),
    "imported": ("imported",),
}
_KIND_TABS = {kind: tab for tab, kinds in TABS_OF_KINDS.items() for kind in kinds}
_SHOWN_APART = frozenset({"version", "kind", "prompt", "negative_prompt", "batch", "width", "height", "parent"})
_ALWAYS = frozenset({"model", "steps", "guidance_scale", "scheduler", "seed", "strength", "method", "methods"})
_CHILDREN_SHOWN = 8
_REF = re.compile(r"[0-9a-f]{64}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")

Names = Mapping[str, str]


def tab_of(kind: str) -> str:
    """Return the tab that makes pictures of `kind`; "imported" for what no tab makes."""
    return _KIND_TABS.get(kind, "imported")


def shelf_item(entry: Entry) -> dict[str, Any]:
    """Return what a shelf shows of an entry."""
    return {
        "id": entry.id,
        "thumbnail": thumbnail_url(entry.id),
        "url": picture_url(entry.id),
        "alt": entry.prompt,
        "tab": tab_of(entry.kind),
        "starred": entry.starred,
        "width": entry.width,
        "height": entry.height,
        "made": entry.created.isoformat(),
        "seed": entry.seed,
    }


def card_value(entry: Entry, names: Names, *, film: str = "") -> dict[str, Any]:
    """Return everything the page shows of one picture.

    Args:
        names: What models and schedulers are called, by id.
        film: The tab in which its film can be opened; "": there is none.
    """
    foreign = entry.recipe.foreign
    return {
        **shelf_item(entry),
        "kind": entry.kind,
        "prompt": entry.prompt,
        "negative_prompt": entry.negative_prompt,
        "rows": setting_rows(entry, names),
        "note": entry.note,
        "collections": list(entry.collections),
        "trashed": entry.trashed,
        "replayable": is_replayable(entry),
        "film": film,
        "inputs": len(entry.recipe.parents),
        "software": str(foreign.get("software", "")),
        "unmapped": [str(sentence) for sentence in foreign.get("unmapped", [])],
        "original": foreign_text(entry.recipe),
    }


def is_replayable(entry: Entry) -> bool:
    """Whether the studio can make this picture again."""
    try:
        entry.recipe.single  # noqa: B018 -- parsing is the test
    except StudioError:
        return False
    return True


def setting_rows(entry: Entry, names: Names) -> list[dict[str, str]]:
    """Return the settings worth reading: the principal ones, and those that differ from their default."""
    request = KINDS.get(str(entry.recipe.settings.get("kind", "")))
    rows = []
    for name, value in {**entry.recipe.settings, "seed": entry.seed}.items():
        if name in _SHOWN_APART or value in (None, "", [], ()) or _is_reference(value):
            continue
        default = request.model_fields[name].default if request and name in request.model_fields else None
        if name in _ALWAYS or value != (list(default) if isinstance(default, tuple) else default):
            rows.append({**_title(request, name), "value": shown(value, names)})
    return rows


def differences(first: Entry, second: Entry, names: Names) -> list[dict[str, str]]:
    """Return the settings that differ between two pictures: key and title, and how each of them has it."""
    ours, theirs = _all_settings(first), _all_settings(second)
    kinds = [KINDS.get(str(it.recipe.settings.get("kind", ""))) for it in (first, second)]
    rows = []
    for name in dict.fromkeys([*ours, *theirs]):
        a, b = ours.get(name), theirs.get(name)
        if a != b:
            request = next((kind for kind in kinds if kind and name in kind.model_fields), None)
            rows.append({**_title(request, name), "first": shown(a, names), "second": shown(b, names)})
    return rows


def shown(value: Any, names: Names) -> str:
    """Return a setting's value in an artist's words."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "✓" if value else "–"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        if any(isinstance(item, dict) and "name" not in item for item in value):
            return str(len(value))
        return " + ".join(shown(item, names) for item in value)
    if isinstance(value, dict) and "name" in value:
        return " ".join(shown(value[key], names) for key in ("name", "weight") if key in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {shown(item, names)}" for key, item in value.items())
    text = str(value)
    if _REF.fullmatch(text):
        return text[:8]
    return names.get(text, text if len(text) <= 300 else f"{text[:297]}…")


def tree_value(tree: Tree) -> dict[str, Any]:
    """Return a family of pictures: nodes, oldest first, edges, and the inputs that are not gallery pictures."""
    resolved = {(child, role) for _, child, role in tree.edges}
    inputs: dict[str, dict[str, Any]] = {}
    for entry in tree.entries.values():
        for place, parent in enumerate(entry.recipe.parents):
            if _REF.fullmatch(parent.ref) and (entry.id, parent.role) not in resolved:
                view = {"id": parent.ref, "role": parent.role, "url": input_url(entry.id, place), "children": []}
                inputs.setdefault(parent.ref, view)["children"].append(entry.id)
    return {
        "nodes": [shelf_item(entry) for entry in tree.entries.values()],
        "edges": [{"parent": parent, "child": child, "role": role} for parent, child, role in tree.edges],
        "inputs": list(inputs.values()),
    }


def kin_value(entry_id: str, parents: Sequence[Link], children: Sequence[Entry]) -> dict[str, Any]:
    """Return the next of kin: parents (gallery pictures, or inputs by their view) and children, newest first."""
    return {
        "parents": [
            {
                "role": link.role,
                "picture": shelf_item(link.entry) if link.entry else None,
                "url": input_url(entry_id, place) if _REF.fullmatch(link.ref) else "",
            }
            for place, link in enumerate(parents)
        ],
        "children": [shelf_item(entry) for entry in children[:_CHILDREN_SHOWN]],
        "further": max(0, len(children) - _CHILDREN_SHOWN),
    }


def input_url(entry_id: str, place: int) -> str:
    """Return where the browser finds a small view of what a picture was made from."""
    return f"studio/gallery/pictures/{entry_id}/inputs/{place}"


def filters_of(asked: Mapping[str, str], *, minutes_east: int = 0) -> Filters:
    """Return the filters that the page's query describes.

    Args:
        asked: "text", "tab", "model", "size" ("256x512"), "from" and "to" (days, YYYY-MM-DD, both included),
            "starred" and "trashed" ("1"), "collection"; empty ones do not choose.
        minutes_east: How far the artist's clock is ahead of UTC: days begin at their midnight.

    Raises:
        InvalidRequest: A tab, size or day that is none.
    """
    tab, size = asked.get("tab", ""), asked.get("size", "")
    pair = _SIZE.fullmatch(size)
    if (tab and tab not in TABS_OF_KINDS) or (size and not pair):
        raise InvalidRequest("The gallery does not know this filter.", "Reload the page.")
    begin, end = (_midnight(asked.get(name, ""), minutes_east) for name in ("from", "to"))
    return Filters(
        text=asked.get("text", "")[:500],
        kinds=TABS_OF_KINDS.get(tab, ()),
        models=(asked["model"],) if asked.get("model") else (),
        created_from=begin,
        created_to=end + timedelta(days=1, microseconds=-1) if end else None,
        sizes=((int(pair[1]), int(pair[2])),) if pair else (),
        starred=True if asked.get("starred") == "1" else None,
        collection=asked.get("collection", "")[:200],
        trashed=asked.get("trashed") == "1",
    )


def _midnight(day: str, minutes_east: int) -> datetime | None:
    if not day:
        return None
    try:
        if not _DAY.fullmatch(day):
            raise ValueError(day)
        return datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(minutes=minutes_east)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(f'"{day[:20]}" is not a day.', "Write it as 2026-12-31.") from error


def _all_settings(entry: Entry) -> dict[str, Any]:
    settings = {key: value for key, value in entry.recipe.settings.items() if key not in ("version", "batch", "parent")}
    model = entry.model or settings.get("model")
    return {**settings, "model": model, "seed": entry.seed, "width": entry.width, "height": entry.height}


def _title(request: type[Request] | None, name: str) -> dict[str, str]:
    title = field_spec(request, name).title if request and name in request.model_fields else name
    return {"key": f"field_{name}", "title": title}


def _is_reference(value: Any) -> bool:
    items: Sequence[Any] = value if isinstance(value, list | tuple) else [value]
    return any(isinstance(item, str) and _REF.fullmatch(item) for item in items)
