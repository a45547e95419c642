"""The prompt history: each prompt once, the latest first, nobody else's."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from studio.errors import StudioError
from studio.prompt.history import KEPT, PromptHistory


def test_a_prompt_used_again_moves_up(tmp_path: Path) -> None:
    history = PromptHistory(tmp_path / "history.sqlite")
    for prompt in ("a cat", "a dog", "a cat"):
        history.add(prompt, "blurry", owner="me")
    found = history.find(owner="me")
    assert [(used.prompt, used.negative_prompt, used.times) for used in found] == [
        ("a cat", "blurry", 2),
        ("a dog", "blurry", 1),
    ]


def test_every_word_must_be_there_and_signs_mean_themselves(tmp_path: Path) -> None:
    history = PromptHistory(tmp_path / "history.sqlite")
    for prompt in ("a red cat", "a red dog", "100% wool", "__animal__", "Ein Käse"):
        history.add(prompt, owner="me")
    assert [used.prompt for used in history.find("RED do", owner="me")] == ["a red dog"]
    assert [used.prompt for used in history.find("%", owner="me")] == ["100% wool"]
    assert [used.prompt for used in history.find("__", owner="me")] == ["__animal__"]
    assert not history.find("' OR 1=1 --", owner="me")


def test_owners_see_their_own_and_no_name_is_stored(tmp_path: Path) -> None:
    history = PromptHistory(tmp_path / "history.sqlite")
    history.add("mine", owner="session-secret")
    assert not history.find(owner="other")
    assert b"session-secret" not in (tmp_path / "history.sqlite").read_bytes()
    history.forget("mine", owner="other")
    assert history.find(owner="session-secret")
    history.forget("mine", owner="session-secret")
    assert not history.find(owner="session-secret")


def test_it_survives_a_restart_and_stays_bounded(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    PromptHistory(path).add("first", owner="me")
    with sqlite3.connect(path) as db:
        key = db.execute("SELECT owner FROM prompts").fetchone()[0]
        rows = [(key, f"p{i}", "", float(i)) for i in range(KEPT + 50)]
        db.executemany("INSERT INTO prompts (owner, prompt, negative, used) VALUES (?, ?, ?, ?)", rows)
    db.close()
    PromptHistory(path).add("last", owner="me")
    found = PromptHistory(path).find(owner="me", limit=KEPT * 2)
    assert len(found) == KEPT
    assert {"first", "last"} <= {used.prompt for used in found}


def test_a_newer_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StudioError, match="newer studio"):
        PromptHistory(path).add("a cat", owner="me")


def test_no_file_is_an_empty_history(tmp_path: Path) -> None:
    assert PromptHistory(tmp_path / "none.sqlite").find(owner="me") == []
