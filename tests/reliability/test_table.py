"""The table of promises: every promise has tests, the cases of one test are told together, failures tell no figures."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.promises import PROMISES, as_markdown, collected, gathered, named

TESTS = Path(__file__).resolve().parent.parent


def test_counts_of_cases_add_up_and_of_measures_the_worst_is_told() -> None:
    told = [{"kills": 3, "ready_s": 0.5}, {"format": "PNG", "files": 10}, {"kills": 4, "ready_s": 0.25}]
    assert gathered(told) == [{"kills": 7, "ready_s": 0.5}, {"format": "PNG", "files": 10}]


def test_every_promise_has_its_line_even_without_a_test() -> None:
    row = {"passed": 1, "failed": 0, "skipped": 2, "seconds": 3.4, "figures": [{"lost_pictures": 0, "kills": 12345}]}
    text = as_markdown(dict.fromkeys(PROMISES, row), cores=2)
    assert f"| R20 | {PROMISES['R20']} | 1 passed, 2 skipped | lost pictures 0, kills 12,345 | 3 |" in text
    assert text.count("\n| R") == 20


def test_a_test_that_failed_counts_and_its_figures_do_not() -> None:
    told = [("promises", ["R5"]), ("figures", {"kills": 7, "lost": 0})]
    reports = [
        pytest.TestReport("a", ("a.py", 1, "a"), {}, outcome, None, "call", duration=2, user_properties=told)
        for outcome in ("passed", "failed")
    ]
    row = collected(reports)["R5"]
    assert (row["passed"], row["failed"], row["seconds"]) == (1, 1, 4)
    assert row["figures"] == [{"kills": 7, "lost": 0}]


def test_every_promise_is_held_by_a_test_that_names_it() -> None:
    held: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                held |= set(named(ast.get_docstring(node) or ""))
    assert held == set(PROMISES)
