"""Who has been let in: the owner by the token printed at start, guests by the passphrase of one share."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from studio.errors import SettingsError
from studio.sharing.gate import Refused

MOST_GUESTS = 500
_GONE_SECONDS = 3600.0  # a guest not seen for so long makes room for a new one
_GUEST = "guest-"


def owner_token(folder: Path) -> str:
    """Return the installation's owner token, made on first use and readable by its owner only.

    It stays the same over restarts, so that an open page goes on working.

    Raises:
        SettingsError: The folder cannot be written.
    """
    path = folder / "owner.token"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.is_file() and len(token := path.read_text(encoding="ascii", errors="replace").strip()) >= 32:
            return token
        path.unlink(missing_ok=True)
        token = secrets.token_urlsafe(32)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(token)
        return token
    except OSError as error:
        raise SettingsError(
            f"The data directory {folder} cannot be written: {error.strerror}.", "Choose another one with --data-dir."
        ) from error


class Owner:
    """The one visitor of the owner's page; the cookie is derived from the token and does not tell it."""

    def __init__(self, token: str) -> None:
        self._cookie = hmac.new(token.encode(), b"tessera owner cookie", hashlib.sha256).hexdigest()

    def admit(self) -> str:
        """Return the owner's cookie."""
        return self._cookie

    def identity(self, cookie: str) -> str | None:
        """Return "owner" for the owner's cookie."""
        return "owner" if hmac.compare_digest(cookie.encode("utf-8", "replace"), self._cookie.encode()) else None


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest as the owner sees one: the `number`th who came; times are seconds since the epoch."""

    id: str
    number: int
    since: float
    last_seen: float


def is_guest(session: str) -> bool:
    """Tell whether a session is a guest's; the owner's are hexadecimal digits alone."""
    return session.startswith(_GUEST)


class Guests:
    """The guests of one share. When the share ends, every cookie ends with it.

    Args:
        lasts_seconds: After this the share is over by itself.
        most: Guests at a time.
        clock: Seconds since the epoch; stands in for time in tests.
    """

    def __init__(
        self, *, lasts_seconds: float, most: int = MOST_GUESTS, clock: Callable[[], float] = time.time
    ) -> None:
        self._key, self._clock, self._most = secrets.token_bytes(32), clock, most
        self.name = secrets.token_hex(4)  # of the share, for its cookie: two on one host keep apart
        self.ends_at = clock() + lasts_seconds
        self._guests: dict[str, Guest] = {}
        self._admitted = 0
        self._guard = threading.Lock()

    @property
    def now(self) -> float:
        """The time that guests' times are compared with."""
        return self._clock()

    @property
    def seconds_left(self) -> float:
        """How long the share goes on; 0 when it is over."""
        return max(0.0, self.ends_at - self._clock())

    def admit(self) -> str:
        """Return the cookie of a new guest: 128 random bits and their signature.

        Raises:
            Refused: "over" when the share has ended, "full" when there are too many guests.
        """
        guest_id, now = _GUEST + secrets.token_hex(16), self._clock()
        with self._guard:
            if now >= self.ends_at:
                raise Refused("over")
            if len(self._guests) >= self._most:
                stalest = min(self._guests.values(), key=lambda guest: guest.last_seen)
                if now - stalest.last_seen < _GONE_SECONDS:
                    raise Refused("full")
                del self._guests[stalest.id]
            self._admitted += 1
            self._guests[guest_id] = Guest(guest_id, self._admitted, now, now)
        return f"{guest_id}.{self._sign(guest_id)}"

    def identity(self, cookie: str) -> str | None:
        """Return the guest's id; None for a forged cookie, an ended guest, or when the share is over."""
        guest_id, _, signature = cookie.partition(".")
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), self._sign(guest_id).encode()):
            return None
        now = self._clock()
        with self._guard:
            guest = self._guests.get(guest_id)
            if guest is None or now >= self.ends_at:
                return None
            self._guests[guest_id] = replace(guest, last_seen=now)
        return guest_id

    def present(self) -> list[Guest]:
        """Return the guests who have been let in and not ended, latest first."""
        with self._guard:
            return sorted(self._guests.values(), key=lambda guest: -guest.last_seen)

    def end(self, guest_id: str) -> bool:
        """Show one guest out; their cookie is worth nothing from now on."""
        with self._guard:
            return self._guests.pop(guest_id, None) is not None

    def end_all(self) -> None:
        """End the share."""
        with self._guard:
            self._guests.clear()
            self.ends_at = self._clock()

    def _sign(self, guest_id: str) -> str:
        return hmac.new(self._key, guest_id.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
