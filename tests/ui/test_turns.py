"""Clicks of one page are taken in the order they were made, whatever order they arrive in."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from loops import in_a_loop

from studio.ui.turns import Turns


async def taken(turns: Turns, arriving: Sequence[int], *, page: str = "page") -> list[int]:
    """Let clicks arrive in that order; returns the order they were taken in."""
    order: list[int] = []

    async def click(number: int) -> None:
        await turns.take(page, number)
        order.append(number)
        turns.done(page, number)

    clicks = []
    for number in arriving:
        clicks.append(asyncio.ensure_future(click(number)))
        await asyncio.sleep(0)
    await asyncio.gather(*clicks)
    return order


@pytest.mark.parametrize("arriving", [(1, 2, 3), (3, 1, 2), (2, 3, 1)])
def test_clicks_are_taken_in_their_order(arriving: tuple[int, ...]) -> None:
    turns = Turns(patience_seconds=60)
    assert in_a_loop(taken(turns, arriving)) == [1, 2, 3]


def test_clicks_made_before_the_page_is_known_are_in_order_too() -> None:
    """The event that takes an opened page up may come after the first clicks; it forgets none of them."""

    async def early() -> list[int]:
        turns = Turns(patience_seconds=60)
        first = await taken(turns, [2, 1])
        turns.begin("page")
        return first + await taken(turns, [3])

    assert in_a_loop(early()) == [1, 2, 3]


def test_a_click_that_never_arrives_holds_nobody_up_for_long() -> None:
    assert in_a_loop(taken(Turns(patience_seconds=0.05), [1, 3])) == [1, 3]
    assert in_a_loop(taken(Turns(patience_seconds=0), [7])) == [7], "a page from before a restart"


def test_pages_do_not_wait_for_each_other() -> None:
    async def two() -> list[int]:
        turns = Turns(patience_seconds=60)
        waiting = asyncio.ensure_future(taken(turns, [2], page="one"))
        await asyncio.sleep(0)
        other = await taken(turns, [1], page="two")
        turns.done("one", 1)
        return other + await waiting

    assert in_a_loop(two()) == [1, 2]
