from __future__ import annotations

import threading

import pytest

from studio.sharing.tunnel import NoTunnel, local_network_address, open_tunnel


def test_a_tunnel_that_cannot_be_made_says_why() -> None:
    def refuse(*_: object) -> str:
        raise RuntimeError("Could not get share link") from OSError("Name or service not known")

    with pytest.raises(NoTunnel, match="Name or service not known"):
        open_tunnel(1, connect=refuse)


def test_a_relay_that_does_not_answer_is_given_up() -> None:
    never = threading.Event()

    def hang(*_: object) -> str:
        never.wait(30)
        return ""

    with pytest.raises(NoTunnel, match=r"did not answer within 0\.1 s"):
        open_tunnel(1, connect=hang, give_up_seconds=0.1)
    never.set()


def test_the_relay_gets_a_fresh_secret_and_this_machines_port() -> None:
    asked: list[tuple[object, ...]] = []

    def accept(*arguments: object) -> str:
        asked.append(arguments)
        return "https://example.test"

    assert open_tunnel(7000, connect=accept) == open_tunnel(7000, connect=accept) == "https://example.test"
    assert asked[0][:2] == ("127.0.0.1", 7000)
    assert asked[0][2] != asked[1][2]


def test_the_local_address_is_an_address() -> None:
    assert local_network_address().count(".") == 3
