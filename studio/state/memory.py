"""The studio's memory, opened and tidied: the queue's journal and the drafts, in one file of the data directory."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from studio.state.database import Database
from studio.state.drafts import Drafts
from studio.state.journal import Journal

FILE = "studio.sqlite"


class Memory:
    """Holds the file open while the context is.

    Args:
        folder: The data directory. Open the gallery first: its lock keeps a second studio out of here, too.

    Raises:
        StudioError: The folder cannot be written, or a newer studio made the file.
    """

    def __init__(self, folder: Path) -> None:
        self._database = Database(folder / FILE)
        self.journal, self.drafts = Journal(self._database), Drafts(self._database)
        self.journal.prune()
        self.drafts.prune()

    def __enter__(self) -> Memory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; nothing is lost without it."""
        self._database.close()
