from __future__ import annotations

from pathlib import Path

import pytest

from studio.errors import InvalidRequest
from studio.state.database import Database
from studio.state.drafts import KEPT_DAYS, LARGEST_BYTES, PAGES_PER_FORM, Drafts


@pytest.fixture
def now() -> list[float]:
    return [1e9]


@pytest.fixture
def drafts(tmp_path: Path, now: list[float]) -> Drafts:
    def clock() -> float:
        now[0] += 1
        return now[0]

    return Drafts(Database(tmp_path / "studio.sqlite"), clock=clock)


def test_a_page_gets_its_own_draft_and_a_new_page_the_latest(drafts: Drafts) -> None:
    drafts.save("A", "create", page="one", content={"prompt": "first"})
    drafts.save("A", "create", page="two", content={"prompt": "second"})
    assert drafts.find("A", "create", page="one") == {"prompt": "first"}
    assert drafts.find("A", "create", page="three") == {"prompt": "second"}
    assert drafts.find("A", "inpaint", page="one") is None


def test_nobody_gets_another_sessions_draft(drafts: Drafts) -> None:
    drafts.save("A", "create", page="one", content={"prompt": "mine"})
    assert drafts.find("B", "create", page="one") is None
    drafts.forget("A")
    assert drafts.find("A", "create", page="one") is None


def test_a_draft_is_replaced_and_only_so_many_pages_are_kept(drafts: Drafts) -> None:
    for number in range(PAGES_PER_FORM + 3):
        drafts.save("A", "create", page=str(number), content={"n": number})
        drafts.save("A", "create", page="again", content={"n": -number})
    assert drafts.find("A", "create", page="again") == {"n": -(PAGES_PER_FORM + 2)}
    assert drafts.find("A", "create", page="0") == {"n": -(PAGES_PER_FORM + 2)}
    assert drafts.find("A", "create", page=str(PAGES_PER_FORM)) == {"n": PAGES_PER_FORM}


def test_too_much_is_refused_in_plain_words_and_old_drafts_go(drafts: Drafts, now: list[float]) -> None:
    with pytest.raises(InvalidRequest, match="1024 KB"):
        drafts.save("A", "create", page="", content={"prompt": "x" * LARGEST_BYTES})
    with pytest.raises(InvalidRequest, match="name"):
        drafts.save("A", "", page="", content={})
    with pytest.raises(InvalidRequest, match="name"):
        drafts.save("A", "create", page="x" * 65, content={})
    drafts.save("A", "create", page="", content={})
    assert drafts.prune() == 0
    now[0] += KEPT_DAYS * 86400
    assert drafts.prune() == 1


def test_odd_text_comes_back_as_it_went(drafts: Drafts) -> None:
    content = {
        "prompt": "\x00 \ud800 \u202e 𝔘 ${alert(1)} '); DROP TABLE drafts;--",
        "list": [1, None, {"a": True}],
    }
    drafts.save("A", "create", page="p", content=content)
    assert drafts.find("A", "create", page="p") == content
