"""What the Models tab works with: the shelf, looking things up on the hub, and downloads in the background."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from studio.library.downloads import Downloads, State
from studio.library.hub import Plan, look
from studio.library.shelf import Shelf
from studio.settings import Settings


class ModelsDesk:
    """The shelf and the downloads of one studio; works on files, never on what the engine has loaded.

    Args:
        settings: Names the folders.
        endpoint: Another hub.
    """

    def __init__(self, settings: Settings, *, endpoint: str = "") -> None:
        self.shelf = Shelf(settings)
        self.downloads = Downloads(self.shelf.own, endpoint=endpoint)
        self._endpoint = endpoint
        self._plans: dict[tuple[str, str, str, str], Plan] = {}
        self._guard = threading.Lock()

    def look(self, repo: str, *, revision: str = "main", file: str = "", variant: str = "fp16") -> Plan:
        """Ask the hub what `repo` holds; see `hub.look`."""
        plan = look(repo, revision=revision or "main", file=file, variant=variant, endpoint=self._endpoint)
        with self._guard:
            self._plans[repo, revision, file, variant] = plan
        return plan

    def download(self, repo: str, *, revision: str = "main", file: str = "", variant: str = "fp16") -> State:
        """Begin what was looked up, at the commit that was shown, or look it up now."""
        plan = self._plans.get((repo, revision, file, variant))
        return self.downloads.start(plan or self.look(repo, revision=revision, file=file, variant=variant))

    def free_bytes(self) -> int:
        """Return the room on the disk of the studio's own models."""
        folder = self.shelf.own
        return shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free

    @property
    def folder(self) -> Path:
        """Where added and downloaded models go."""
        return self.shelf.own

    def close(self) -> None:
        """Stop the downloads; they go on when asked again."""
        self.downloads.close()
