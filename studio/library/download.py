"""Fetching a plan's files: resumed where they were cut off, checked against their digests, renamed when whole.

While it runs everything lies in a hidden folder (`leftovers.place_of`), where nothing looks for models. A killed
studio leaves that folder behind, and the next download of the same plan goes on from its bytes. Since its second
version the hub's own client begins every call afresh and writes 10 MB at a time, so what is asked for and written is
decided here; addresses, headers, sessions and errors are the client's.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import PARTIAL_CONTENT
from pathlib import Path
from typing import Any, TypeAlias

from studio.errors import ModelError
from studio.library.hub import Plan, RemoteFile, folder_name
from studio.library.hub_errors import explained
from studio.library.leftovers import NAME, PART, note, unfinished
from studio.library.shelf import check_room, check_usable
from studio.library.sources import Source, digest_of, read_source, write_source

logger = logging.getLogger(__name__)

ATTEMPTS = 4  # cut connections in a row without a byte between them
CHUNK_BYTES = 2**18
_TIMEOUT_SECONDS = 20
Report: TypeAlias = Callable[["Progress"], None]


class Stopped(Exception):
    """The user stopped the download; what has arrived is kept."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is; `bytes_done` counts what earlier attempts brought."""

    file: str
    bytes_done: int
    bytes_total: int


def download(
    plan: Plan,
    folder: Path,
    *,
    report: Report = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    endpoint: str = "",
    pause_seconds: float = 1.0,
) -> Path:
    """Fetch the files of `plan` into `folder / plan.name` and return that folder.

    Args:
        folder: The studio's own models.
        report: Is told of bytes as they arrive.
        should_stop: Asked as bytes arrive.
        endpoint: Another hub.
        pause_seconds: Wait after a cut connection.

    Raises:
        Stopped: `should_stop()`; what has arrived is kept.
        InvalidRequest: There is no room.
        ModelError: One of that name is there, the hub refuses, a file is damaged, or it is no model after all.
    """
    target = folder / plan.name
    if taken := _taken(folder, plan):
        raise ModelError(f'There is already a "{taken}".', "Remove it first, or keep it.")
    part = unfinished(folder, plan)
    check_room(folder, plan.bytes - _arrived(part, plan))
    part.mkdir(parents=True, exist_ok=True)
    note(part, plan)
    fetch = _Fetch(plan, part, report, should_stop, endpoint, pause_seconds)
    with explained(plan.repo):
        for file in plan.files:
            fetch(file)
    write_source(part, Source(plan.repo, plan.revision, plan.licence, {f.name: f.digest for f in plan.files}))
    _check(part, plan)
    part.rename(target)
    (target / NAME).unlink()  # last: a studio killed before it still knows what lies in `part`
    return target


def _taken(folder: Path, plan: Plan) -> str:
    """Return what stands in the way of `plan` in `folder`: its name, or its file as the whole repository has it."""
    whole = folder_name(plan.repo, "")
    source = read_source(folder / whole) if plan.file else None
    if source and source.repo == plan.repo and (folder / whole / plan.file).is_file():
        return f"{whole}/{plan.file}"
    return plan.name if (folder / plan.name).exists() else ""


def _arrived(part: Path, plan: Plan) -> int:
    sizes = [p.stat().st_size for f in plan.files for p in (part / f.name, part / (f.name + PART)) if p.is_file()]
    return sum(sizes)


def _check(part: Path, plan: Plan) -> None:
    """Raise ModelError, and delete what arrived, when it is not something the studio can use."""
    weights = [part / f.name for f in plan.files if f.name.endswith(".safetensors")]
    try:
        if any((part / name).is_file() for name in ("model_index.json", "config.json")):
            check_usable(part)
        else:
            check_usable(next(path for path in weights if path.parent.name != "image_encoder"))
    except ModelError:
        shutil.rmtree(part, ignore_errors=True)
        raise


class _Fetch:
    """Fetches one file after the other and adds up the bytes."""

    def __init__(
        self, plan: Plan, part: Path, report: Report, should_stop: Callable[[], bool], endpoint: str, pause: float
    ) -> None:
        self._plan, self._part, self._report, self._should_stop = plan, part, report, should_stop
        self._endpoint, self._pause = endpoint, pause
        self._done = 0  # bytes of the files that are whole

    def __call__(self, file: RemoteFile) -> None:
        path = self._part / file.name
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            rest = path.with_name(path.name + PART)
            self._until_whole(file, rest)
            if digest_of(rest, like=file.digest) != file.digest:
                rest.unlink()
                raise ModelError(f'"{file.name}" arrived damaged (its checksum is wrong).', "Start the download again.")
            rest.rename(path)
        self._done += file.bytes
        self._tell(file, 0)

    def _until_whole(self, file: RemoteFile, rest: Path) -> None:
        from huggingface_hub.errors import HfHubHTTPError, HTTPError

        failures = 0
        while True:
            before = rest.stat().st_size if rest.is_file() else 0
            try:
                self._transfer(file, rest)
                return
            except HfHubHTTPError:
                raise  # the hub's own answer: asking again gives the same
            except (HTTPError, OSError) as error:
                arrived = rest.stat().st_size if rest.is_file() else 0
                failures = 1 if arrived > before else failures + 1
                if failures >= ATTEMPTS or getattr(error, "errno", None):
                    raise
                logger.info("%s was cut off at %d bytes: going on", file.name, arrived)
                time.sleep(self._pause)

    def _transfer(self, file: RemoteFile, rest: Path) -> None:
        """Ask for what is missing of `file` and append it to `rest`; raises HTTPError or OSError when it is cut off."""
        have = rest.stat().st_size if rest.is_file() else 0
        if have > file.bytes:
            rest.unlink()
            have = 0
        if have == file.bytes and rest.is_file():
            return
        with rest.open("ab") as opened, self._asked(file, have) as answer:
            if answer.status_code != PARTIAL_CONTENT:  # the server sends all of it
                opened.truncate(0)
                have = 0
            for chunk in answer.iter_bytes(CHUNK_BYTES):
                opened.write(chunk)
                opened.flush()  # so that a killed studio has what the bar has shown
                have += len(chunk)
                self._tell(file, have)
        if have != file.bytes:
            raise ConnectionError(f"{file.name} ended after {have} of {file.bytes} bytes")

    @contextmanager
    def _asked(self, file: RemoteFile, have: int) -> Iterator[Any]:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_stream_backoff

        url = hf_hub_url(self._plan.repo, file.name, revision=self._plan.revision, endpoint=self._endpoint or None)
        headers = {**build_hf_headers(), "Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
        with http_stream_backoff(
            "GET", url, headers=headers, timeout=_TIMEOUT_SECONDS, retry_on_exceptions=(), max_retries=3
        ) as answer:
            hf_raise_for_status(answer)
            yield answer

    def _tell(self, file: RemoteFile, count: int) -> None:
        if self._should_stop():
            raise Stopped
        self._report(Progress(file.name, self._done + count, self._plan.bytes))
