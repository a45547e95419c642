"""The table of promises: the cases of one test are told together."""

from __future__ import annotations

from tests.promises import PROMISES, as_markdown, gathered


def test_counts_of_cases_add_up_and_of_measures_the_worst_is_told() -> None:
    told = [{"kills": 3, "ready_s": 0.5}, {"format": "PNG", "files": 10}, {"kills": 4, "ready_s": 0.25}]
    assert gathered(told) == [{"kills": 7, "ready_s": 0.5}, {"format": "PNG", "files": 10}]


def test_every_promise_has_its_line_even_without_a_test() -> None:
    row = {"passed": 1, "failed": 0, "skipped": 2, "seconds": 3.4, "figures": [{"lost_pictures": 0, "kills": 12345}]}
    text = as_markdown(dict.fromkeys(PROMISES, row), cores=2)
    assert f"| R20 | {PROMISES['R20']} | 1 passed, 2 skipped | lost pictures 0, kills 12,345 | 3 |" in text
    assert text.count("\n| R") == 20
