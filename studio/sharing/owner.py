"""The owner's door: what its gate lets through, and the names this machine is reached under."""

from __future__ import annotations

import hashlib
import socket
from functools import partial

import psutil

from studio.settings import Settings
from studio.sharing.entry import OWNER
from studio.sharing.gate import Policy
from studio.sharing.passphrase import Lock
from studio.sharing.rate import RateLimit
from studio.sharing.visitors import Owner, owner_token

_YEAR_SECONDS = 365 * 86400
_LARGEST_IMPORT = 2_200_000_000  # a zip of the gallery; single pictures are capped by their own routes
_EVERYWHERE = ("", "0.0.0.0", "::")


def token_of(settings: Settings) -> str:
    """Return the owner's token: the one that is set, or the installation's own, made at the first start.

    Raises:
        SettingsError: The data directory cannot be written.
    """
    return settings.token or owner_token(settings.data_dir)


def owner_policy(settings: Settings, token: str) -> Policy:
    """Return the policy of the owner's page: the token, also from this machine; no limits for who has it."""
    return Policy(
        cookie=f"tessera_key_{hashlib.sha256(token.encode()).hexdigest()[:8]}",  # studios on one host keep apart
        hosts=partial(host_names, settings),
        lock=Lock(token, typed=False),
        visitors=Owner(token),
        wording=OWNER,
        bearer=True,
        cookie_seconds=_YEAR_SECONDS,
        max_body_bytes=_LARGEST_IMPORT,
        limits={
            "": RateLimit(per_minute=60_000, burst=10_000),
            "strangers": RateLimit(per_minute=60, burst=60),
        },
    )


def host_names(settings: Settings, *, network: bool | None = None) -> frozenset[str]:
    """Return what may stand in a Host header: this machine, what it listens on, and the names that are set.

    Args:
        network: Whether other machines may come; by default when the studio listens everywhere.
    """
    names = {"127.0.0.1", "localhost", "::1", *(name.lower() for name in settings.host_names)}
    if settings.host not in _EVERYWHERE:
        names.add(settings.host.lower())
    if settings.host in _EVERYWHERE if network is None else network:
        names |= own_names()
    return frozenset(names)


def own_names() -> frozenset[str]:
    """Return this machine's names and addresses in its networks; asked anew, since a laptop moves."""
    name = socket.gethostname().lower()
    addresses = {
        address.address.partition("%")[0].lower()
        for card in psutil.net_if_addrs().values()
        for address in card
        if address.family in (socket.AF_INET, socket.AF_INET6)
    }
    return frozenset({name, f"{name.partition('.')[0]}.local", *addresses})
