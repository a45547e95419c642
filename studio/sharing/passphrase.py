"""Secrets that let people in: generated passphrases, constant-time checks, and a wait that grows with wrong tries."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable

# Pronounceable syllables: 5 words of 2 syllables from 16 x 5 combinations are 63 bits.
_CONSONANTS, _VOWELS = "bdfghjklmnprstvz", "aeiou"
_WORDS, _SYLLABLES = 5, 2

FREE_TRIES = 5
_LONGEST_WAIT_SECONDS = 900.0


def generate_passphrase() -> str:
    """Return five pronounceable words, such as "bado-kumi-...": 63 bits, easy to read out."""
    return "-".join(
        "".join(secrets.choice(_CONSONANTS) + secrets.choice(_VOWELS) for _ in range(_SYLLABLES)) for _ in range(_WORDS)
    )


class Lock:
    """Checks one secret. A secret that people type gets a wait after five wrong tries, longer with each further one.

    The wait is shared by all callers: behind a tunnel every visitor has the same address, and an address in a
    header is whatever the visitor says it is. Who already has a cookie does not pass here and is not held up.

    Args:
        secret: What must be given.
        typed: People type it: case and outer blanks do not count, and wrong tries make everybody wait. A token of
            128 bits or more is never typed and cannot be guessed; a wait would only let others lock the owner out.
        clock: Seconds, monotonic; stands in for time in tests.
    """

    def __init__(self, secret: str, *, typed: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._typed, self._clock = typed, clock
        self._secret = self._plain(secret)
        self._wrong, self._open_at = 0, 0.0
        self._guard = threading.Lock()

    def wait_seconds(self) -> float:
        """Return how long nobody may try, 0 when one may."""
        return max(0.0, self._open_at - self._clock())

    def try_secret(self, given: str) -> bool:
        """Tell whether `given` is the secret; while one must wait, nothing is."""
        with self._guard:
            if self.wait_seconds() > 0:
                return False
            if hmac.compare_digest(self._plain(given), self._secret):
                self._wrong = 0
                return True
            self._wrong += self._typed
            if self._wrong >= FREE_TRIES:
                self._open_at = self._clock() + min(_LONGEST_WAIT_SECONDS, 2.0 ** (self._wrong - FREE_TRIES + 1))
            return False

    def _plain(self, text: str) -> bytes:
        return (text.strip().casefold() if self._typed else text).encode("utf-8", "replace")
