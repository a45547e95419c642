"""The guests' studio: a second application on a port of its own, behind the gate, with what guests may do.

It shares the engine and the gallery with the owner's, and nothing else: other people's pictures, the codebook
desk, models and settings are not part of it. `Sharing` is the owner's switch for it.
"""

from __future__ import annotations

import logging
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Any, cast
from urllib.parse import urlsplit

from starlette.types import ASGIApp

from studio.errors import StudioError
from studio.events import Queued
from studio.gallery.export import rendered
from studio.jobs import Job
from studio.provenance.marks import marks_of
from studio.settings import Settings
from studio.sharing.apart import Apart
from studio.sharing.budget import Budget, GuestRunner
from studio.sharing.entry import GUEST
from studio.sharing.gate import Gate, Policy, invitation
from studio.sharing.own_inputs import OwnInputs
from studio.sharing.owner import host_names
from studio.sharing.passphrase import Lock, generate_passphrase
from studio.sharing.qr import svg_code, terminal_code
from studio.sharing.safety import WithoutPreviews, check_prompt
from studio.sharing.shows import PREFIX, Shows, show_app
from studio.sharing.tunnel import NoTunnel, close_tunnel, local_network_address, open_tunnel
from studio.sharing.visitors import Guests
from studio.ui.serve import serving
from studio.ui.session import IDENTITY, asking
from studio.ui.studio import Status, Studio

logger = logging.getLogger(__name__)

HERE_SECONDS = 60.0  # a guest seen within this is there: an open page asks for the status every ten seconds
_PROMPT_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Door:
    """Where guests come in: on this machine, in the local network, and from outside ("" where there is no way).

    `problem` says why there is no public link, when one was asked for.
    """

    local: str
    network: str = ""
    public: str = ""
    problem: str = ""

    @property
    def links(self) -> dict[str, str]:
        """The addresses others can use, the best first; on this machine alone only its own."""
        found = {"public": self.public, "network": self.network}
        return {kind: link for kind, link in found.items() if link} or {"local": self.local}


class Sharing:
    """Opens and ends the guests' studio; safe for all threads.

    Args:
        studio: The owner's studio; guests get it without its extras, within a budget, each for their own pictures.
        settings: Passphrase, hours, ports.
        announce: Is told the links and the passphrase, or why there is no link.
        tunnel: Returns the public address of a port of this machine.
    """

    def __init__(
        self,
        studio: Studio,
        settings: Settings,
        *,
        announce: Callable[[str], None],
        tunnel: Callable[[int], str] = open_tunnel,
    ) -> None:
        self._studio, self._settings, self._announce, self._tunnel = studio, settings, announce, tunnel
        self._marks = marks_of(settings)
        self.shows = Shows(settings.data_dir / "shows.json")
        self.passphrase, self.guests, self.door = "", Guests(lasts_seconds=0), Door("")
        self._stack: ExitStack | None = None
        self._guard = threading.RLock()

    def __enter__(self) -> Sharing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def is_open(self) -> bool:
        """Whether guests can come in."""
        return self._stack is not None

    def start(self) -> None:
        """Let guests in when the settings say so; says why when that cannot be, since the studio goes on without."""
        if not (self._settings.share or self._settings.listen):
            return
        try:
            self.open(public=self._settings.share, network=self._settings.listen)
        except StudioError as error:
            self._announce(str(error))

    def open(self, *, public: bool, network: bool) -> Door:
        """Let guests in; when they are in already, they stay, and the doors are made anew.

        Args:
            public: Make a public link.
            network: Answer in the local network.

        Raises:
            StudioError: No port can be opened.
        """
        with self._guard:
            if not self.is_open:
                self.passphrase = self._settings.passphrase or generate_passphrase()
                self.guests = Guests(lasts_seconds=self._settings.share_hours * 3600)
            self._close_door()
            with ExitStack() as stack:
                self.door = stack.enter_context(self._opened(public=public, network=network))
                timer = threading.Timer(self.guests.seconds_left, self.end)
                timer.daemon, timer.name = True, "share-end"
                timer.start()
                stack.callback(timer.cancel)
                self._stack = stack.pop_all()
            self._say()
            return self.door

    def end(self) -> None:
        """Show everybody out, stop their jobs, close the doors."""
        with self._guard:
            if not self.is_open:
                return
            for guest in self.guests.present():
                self._stop_jobs(guest.id)
            self.guests.end_all()
            self._close_door()
            shutil.rmtree(self._uploads, ignore_errors=True)
            self._announce("The share has ended: guests cannot come in any more.")

    def end_guest(self, guest_id: str) -> bool:
        """Show one guest out and stop their jobs; tell whether there was such a guest."""
        ended = self.guests.end(guest_id)
        if ended:
            self._stop_jobs(guest_id)
        return ended

    def state(self) -> dict[str, Any]:
        """Return what the owner's page shows of the share, as JSON-able values; waits while the doors are made anew."""
        with self._guard:
            return self._state()

    def _state(self) -> dict[str, Any]:
        shows = [{"id": it.id, "collection": it.collection, "path": it.path} for it in self.shows.all()]
        collections = [name for name, _ in self._studio.gallery.collections()]
        if not self.is_open:
            return {"open": False, "shows": shows, "collections": collections}
        now = self.guests.now
        return {
            "open": True,
            "links": self.door.links,
            "problem": self.door.problem,
            "passphrase": self.passphrase,
            "seconds_left": round(self.guests.seconds_left),
            "guests": [
                {
                    "id": guest.id,
                    "number": guest.number,
                    "here": now - guest.last_seen < HERE_SECONDS,
                    "minutes": int((now - guest.since) // 60),
                    "jobs": self._jobs(guest.id),
                }
                for guest in self.guests.present()
            ],
            "shows": shows,
            "collections": collections,
        }

    def qr(self, kind: str) -> bytes | None:
        """Return the invitation by the link of `kind` as an SVG QR code, or None when there is no such link."""
        link = self.door.links.get(kind) if self.is_open else None
        return svg_code(invitation(link, self.passphrase)) if link else None

    @property
    def _uploads(self) -> Any:
        return self._settings.cache_dir / "guests"

    @contextmanager
    def _opened(self, *, public: bool, network: bool) -> Iterator[Door]:
        outside: set[str] = set()
        policy = Policy(
            cookie=f"tessera_guest_{self.guests.name}",
            hosts=lambda: host_names(self._settings, network=network) | outside,
            lock=Lock(self.passphrase),
            visitors=self.guests,
            wording=GUEST,
            identity_key=IDENTITY,
            open={PREFIX: show_app(self.shows, self._studio.gallery, self._render)},
            cookie_seconds=int(self._settings.share_hours * 3600),
        )
        with self._served(partial(_guarded, policy=policy), "0.0.0.0" if network else "127.0.0.1") as local:
            port = urlsplit(local).port or 0
            door = Door(local, f"http://{local_network_address()}:{port}" if network else "")
            try:
                if public:
                    door = replace(door, public=self._tunnel(port).rstrip("/"))
                    outside.add(urlsplit(door.public).hostname or "")
            except NoTunnel as error:
                door = replace(door, problem=str(error))
            try:
                yield door
            finally:
                if door.public:
                    close_tunnel(port)

    @contextmanager
    def _served(self, guard: Callable[[ASGIApp], ASGIApp], host: str) -> Iterator[str]:
        """Serve the guests' page on its own port, or on a free one where that is taken."""
        theirs = self._theirs()
        with ExitStack() as stack:
            for port in (self._settings.guest_port, 0):
                try:
                    at = self._settings.model_copy(update={"host": host, "port": port})
                    address = stack.enter_context(serving(theirs, at, guard=guard))
                    break
                except StudioError:
                    if port == 0:
                        raise
            yield address

    def _theirs(self) -> Studio:
        inputs = OwnInputs(self._studio.pictures, asking)
        models = self._studio.models
        runner = GuestRunner(
            self._studio.runner,
            Budget(),
            models=lambda: [card.id for card in models()],
            checks=(check_prompt, inputs.check),
            shown=(lambda job: cast("Job", WithoutPreviews(job))) if self._settings.guest_filter else (lambda job: job),
        )
        return replace(
            self._studio,
            runner=runner,
            pictures=inputs,
            status=lambda: Status(busy_with=self._studio.status().busy_with),
            sees=lambda session: session,
            extras={},
            for_guests=True,
        )

    def _render(self, entry: Any, recipe: bool) -> bytes:
        return rendered(entry, format="webp", recipe=recipe, marks=self._marks)

    def _jobs(self, guest: str) -> list[dict[str, Any]]:
        return [
            {
                "prompt": str(getattr(job.request, "prompt", ""))[:_PROMPT_SHOWN],
                "kind": str(getattr(job.request, "kind", "")),
                "waiting": isinstance(job.latest, Queued),
            }
            for job in self._studio.runner.active(guest)
        ]

    def _stop_jobs(self, guest: str) -> None:
        for job in self._studio.runner.active(guest):
            job.cancel()

    def _close_door(self) -> None:
        stack, self._stack, self.door = self._stack, None, Door("")
        if stack is not None:
            stack.close()

    def _say(self) -> None:
        door = self.door
        if door.problem:
            self._announce(door.problem)
        if door.problem and not door.network:
            self._announce(
                "Guests in the same network can still come: press Share on the page, or start with --listen."
            )
            return
        for link in door.links.values():
            self._announce(f"Guests: {link}   passphrase: {self.passphrase}   (ends in {self._hours})")
        if door.network:
            drawn = terminal_code(
                invitation(door.network, self.passphrase), encoding=sys.stdout.encoding, colour=sys.stdout.isatty()
            )
            if drawn:
                self._announce(f"{drawn}\nA phone in the same network scans this; the passphrase is inside.")

    @property
    def _hours(self) -> str:
        hours = self._settings.share_hours
        return f"{hours:g} hour{'s' * (hours != 1)}"


def _guarded(app: ASGIApp, policy: Policy) -> Gate:
    return Gate(Apart(app, identity_key=policy.identity_key), policy)
