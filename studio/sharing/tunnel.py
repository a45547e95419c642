"""The way in from outside: Gradio's public tunnel, or this machine's address in the local network."""

from __future__ import annotations

import re
import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO

from studio.errors import StudioError

GIVE_UP_SECONDS = 5.0

Connect = Callable[[str, int, str, None, None], str]


class NoTunnel(StudioError):
    """The public link could not be made; the message says why."""


def open_tunnel(port: int, *, connect: Connect | None = None, give_up_seconds: float = GIVE_UP_SECONDS) -> str:
    """Return the public https address of a tunnel to `port` of this machine.

    The traffic passes a relay that the makers of Gradio run: who runs it could read along.

    Args:
        connect: Stands in for `gradio.networking.setup_tunnel` in tests.

    Raises:
        NoTunnel: No network, blocked, or no answer within `give_up_seconds`.
    """
    if connect is None:
        from gradio.networking import setup_tunnel

        connect = setup_tunnel
    answer: list[str | BaseException] = []
    given_up = threading.Event()

    def attempt() -> None:
        try:
            answer.append(connect("127.0.0.1", port, secrets.token_urlsafe(32), None, None))
        except (RuntimeError, OSError, ValueError, Warning) as error:
            answer.append(error)
        if given_up.is_set():
            close_tunnel(port)  # it came up after all: nobody was told, so nobody shall come through

    thread = threading.Thread(target=attempt, name="tunnel", daemon=True)
    thread.start()
    thread.join(give_up_seconds)
    if not answer:
        given_up.set()
        raise NoTunnel(f"No public link: the relay did not answer within {give_up_seconds:g} s.")
    if isinstance(answer[0], BaseException):
        raise NoTunnel(f"No public link: {_reason(answer[0])}.") from answer[0]
    return answer[0]


def close_tunnel(port: int) -> None:
    """End the tunnel to `port`, if there is one."""
    from gradio.tunneling import CURRENT_TUNNELS

    for tunnel in [it for it in CURRENT_TUNNELS if it.local_port == port]:
        with redirect_stdout(StringIO()):  # it would print its own farewell
            tunnel.kill()
        CURRENT_TUNNELS.remove(tunnel)


def _reason(error: BaseException) -> str:
    """Return the innermost cause in a few words: it names the network problem, the outer ones do not."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    text = re.sub(r"^\[Errno -?\d+\] ", "", text)
    return f"the relay cannot be reached ({text[:120].rstrip('.')})"


def local_network_address() -> str:
    """Return this machine's address in the local network, or 127.0.0.1 when it has none; sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a documentation address: choosing the route sends no packet
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
