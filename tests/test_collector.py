"""The garbage collector rests while the studio starts, and is awake ever after."""

from __future__ import annotations

import gc
import weakref

import pytest

from studio.collector import collector_at_rest


def test_it_rests_inside_and_is_awake_after() -> None:
    with collector_at_rest():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_can_be_woken_earlier_and_twice() -> None:
    with collector_at_rest() as wake:
        wake()
        assert gc.isenabled()
        wake()
    assert gc.isenabled()


def test_it_is_awake_after_an_error() -> None:
    with pytest.raises(ValueError, match="no"), collector_at_rest():
        raise ValueError("no")
    assert gc.isenabled()


def test_who_turned_it_off_finds_it_off() -> None:
    gc.disable()
    try:
        with collector_at_rest() as wake:
            wake()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_is_made_afterwards_is_still_collected() -> None:
    class Ring:
        me: Ring

    with collector_at_rest():
        kept = Ring()
    ring = Ring()
    ring.me, gone = ring, weakref.ref(ring)
    del ring
    gc.collect()
    assert gone() is None and kept is not None
