"""The guests' studio: a second application on a port of its own, behind the gate, with what guests may do.

It shares the engine and the gallery with the owner's, and nothing else: other people's pictures, the codebook
desk, models and settings are not part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from studio.settings import Settings
from studio.sharing.budget import Budget, GuestRunner
from studio.sharing.gate import Gate, Policy
from studio.sharing.passphrase import Lock, generate_passphrase
from studio.sharing.tunnel import NoTunnel, open_tunnel
from studio.sharing.visitors import Guests
from studio.ui.serve import serving
from studio.ui.studio import Studio


@dataclass(frozen=True)
class Share:
    """A share that is open: where guests enter on this machine, the public link if there is one, and the secret."""

    local: str
    public: str
    passphrase: str
    guests: Guests


@contextmanager
def open_share(
    studio: Studio, settings: Settings, *, announce: Callable[[str], None], tunnel: Callable[[int], str] = open_tunnel
) -> Iterator[Share]:
    """Serve the guests' studio while the context is open.

    Args:
        studio: The owner's studio; guests get it without its extras, within a budget, each for their own pictures.
        announce: Is told the link and the passphrase, or why there is no link.
        tunnel: Returns the public address of a port of this machine.
    """
    passphrase = settings.passphrase or generate_passphrase()
    guests = Guests(lasts_seconds=settings.share_hours * 3600)
    hosts = {"127.0.0.1", "localhost"}
    policy = Policy(
        cookie="tessera_guest",
        hosts=lambda: frozenset(hosts),
        lock=Lock(passphrase),
        visitors=guests,
        welcome="You are invited to make pictures here. They stay yours: other guests do not see them.",
    )
    theirs = replace(
        studio,
        runner=GuestRunner(studio.runner, Budget()),
        sees=lambda session: session,
        extras={},
    )
    own_port = settings.model_copy(update={"host": "127.0.0.1", "port": 0})
    with serving(theirs, own_port, guard=lambda app: Gate(app, policy)) as local:
        public = ""
        try:
            public = tunnel(urlsplit(local).port or 0)
            hosts.add(urlsplit(public).hostname or "")
            announce(f"Guests: {public}   passphrase: {passphrase}   (ends in {settings.share_hours:g} hours)")
        except NoTunnel as error:
            announce(str(error))
        try:
            yield Share(local, public, passphrase, guests)
        finally:
            guests.end_all()
