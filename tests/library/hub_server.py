"""A hub on this machine: repositories from memory, spoken to by the real client, with a line that can be cut.

What it answers follows huggingface.co: `/api/models/OWNER/NAME/revision/REV?blobs=true`, files under
`/OWNER/NAME/resolve/COMMIT/FILE` (large ones as a redirect to another path), Range requests, and the X-Error-Code
header that tells gated, missing and unknown apart.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repo:
    """One repository: files by name; `gated` ones refuse their files, not their listing."""

    files: dict[str, bytes]
    licence: str = "cc0-1.0"
    gated: bool = False


@dataclass
class FakeHub:
    """What the server has, does and has seen.

    Attributes:
        cuts: Bytes after which each next answer with a large file is cut off; then they are whole.
        hold_after: A large file stops after so many bytes until `resume` is set; 0: it does not.
        damage: Send wrong bytes of large files.
        asked: (file, first byte) of each transfer.
        sent: Bytes of large files that went out.
    """

    repos: dict[str, Repo]
    address: str = ""
    cuts: list[int] = field(default_factory=list)
    hold_after: int = 0
    held: threading.Event = field(default_factory=threading.Event)
    resume: threading.Event = field(default_factory=threading.Event)
    damage: bool = False
    ignores_ranges: bool = False
    asked: list[tuple[str, int]] = field(default_factory=list)
    sent: int = 0


@contextmanager
def serving_hub(**repos: Repo) -> Iterator[FakeHub]:
    """Serve `repos` ("owner__name" stands for owner/name) on a free port."""
    hub = FakeHub({name.replace("__", "/"): repo for name, repo in repos.items()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.resume.set()
        server.shutdown()
        server.server_close()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            parts = urlsplit(self.path).path.strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                self._info("/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main")
            elif parts[0] == "cdn":
                self._content("/".join(parts[1:3]), "/".join(parts[3:]))
            else:
                self._resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))

        def _info(self, name: str, revision: str) -> None:
            repo = hub.repos.get(name)
            if repo is None:
                return self._error(401, "RepoNotFound")
            if revision not in ("main", COMMIT):
                return self._error(404, "RevisionNotFound")
            siblings = [_sibling(file, data) for file, data in repo.files.items()]
            return self._json({
                "id": name, "sha": COMMIT, "siblings": siblings, "tags": [f"license:{repo.licence}"],
                "gated": "manual" if repo.gated else False, "private": False, "downloads": 0, "likes": 0,
            })  # fmt: skip

        def _resolve(self, name: str, revision: str, file: str) -> None:
            repo = hub.repos.get(name)
            if repo is None:
                return self._error(401, "RepoNotFound")
            if repo.gated:
                return self._error(403, "GatedRepo")
            if file not in repo.files or revision != COMMIT:
                return self._error(404, "EntryNotFound")
            if not file.endswith(".safetensors"):
                return self._whole(repo.files[file])
            self.send_response(302)
            self.send_header("Location", f"/cdn/{name}/{file}")
            self.send_header("Content-Length", "0")
            return self.end_headers()

        def _content(self, name: str, file: str) -> None:
            data = hub.repos[name].files[file]
            start = 0
            asked = self.headers.get("Range", "")
            if asked and not hub.ignores_ranges:
                start = int(asked.removeprefix("bytes=").split("-")[0])
            hub.asked.append((file, int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0))
            body = bytes(reversed(data)) if hub.damage else data[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.end_headers()
            self._send(body)

        def _send(self, body: bytes) -> None:
            end = hub.cuts.pop(0) if hub.cuts else len(body)
            for at in range(0, min(end, len(body)), 2**16):
                if hub.hold_after and hub.sent >= hub.hold_after and not hub.resume.is_set():
                    hub.held.set()
                    hub.resume.wait(60)
                piece = body[at : min(at + 2**16, end)]
                try:
                    self.wfile.write(piece)
                except OSError:
                    return
                hub.sent += len(piece)
            if end < len(body):
                self.close_connection = True
                self.connection.close()

        def _whole(self, data: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _json(self, value: Any) -> None:
            self._whole(json.dumps(value).encode())

        def _error(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

    return Handler


def _sibling(name: str, data: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(f"blob {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()
    said: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": blob}
    if name.endswith(".safetensors"):
        digest = hashlib.sha256(data).hexdigest()
        said["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 134}
    return said
