"""launch.py: standard library only, and a broken install is repaired by the next start."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("launch", ROOT / "launch.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lock = tmp_path / "run.txt"
    lock.write_text("one==1\n", encoding="utf-8")
    monkeypatch.setattr(module, "ENVIRONMENT", tmp_path / "venv")
    monkeypatch.setattr(module, "LOCKS", {"run": lock})
    return module


def test_launch_imports_only_the_standard_library() -> None:
    tree = ast.parse((ROOT / "launch.py").read_text(encoding="utf-8"))
    names = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    assert names and names <= sys.stdlib_module_names


def test_packages_are_installed_once_per_lock_and_again_after_an_interruption(
    launch: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(launch, "install", lambda python, *what: calls.append(what))
    launch.ensure_environment(["run"])
    assert calls == [(launch.TORCH,), ("--no-deps", "-r", str(launch.LOCKS["run"]))]
    launch.ensure_environment(["run"])
    assert len(calls) == 2, "an unchanged lock must not be installed again"

    launch.LOCKS["run"].write_text("one==2\n", encoding="utf-8")

    def interrupted(python: Path, *what: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(launch, "install", interrupted)
        with pytest.raises(KeyboardInterrupt):
            launch.ensure_environment(["run"])
    launch.ensure_environment(["run"])
    assert len(calls) == 4, "an interrupted install must be repeated"


@pytest.mark.thorough
def test_a_broken_environment_is_made_anew(launch: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "install", lambda python, *what: None)
    python = launch.ensure_environment(["run"])
    python.unlink()
    python.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    python.chmod(0o755)
    assert launch.is_working(launch.ensure_environment(["run"]))


def test_an_old_python_gets_one_clear_line(
    launch: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "MINIMUM", (9, 0))
    assert launch.main([]) == 2
    error = capsys.readouterr().err
    assert "needs Python 9.0 or newer" in error
    assert error.count("\n") == 1


def test_a_failed_install_says_how_to_go_on(
    launch: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(python: Path, *what: str) -> None:
        raise subprocess.CalledProcessError(1, [python, "-m", "pip", "install", *what])

    monkeypatch.setattr(launch, "install", fail)
    assert launch.main([]) == 1
    assert "Run the same command again" in capsys.readouterr().err


def test_every_pin_is_exact_and_torchvision_is_not_among_them() -> None:
    lines = [
        line for name in ("run", "test") for line in (ROOT / ".lock" / f"{name}.txt").read_text("utf-8").splitlines()
    ]
    pins = [line for line in lines if line and not line.startswith("#")]
    assert len(pins) > 50
    assert all("==" in pin for pin in pins)
    assert not [pin for pin in pins if pin.startswith(("torchvision", "torchaudio", "opencv-python=="))]


def test_the_linter_before_a_commit_is_the_linter_of_the_lock() -> None:
    asked = re.findall(r"ruff==[\d.]+", (ROOT / ".pre-commit-config.yaml").read_text())
    pinned = re.findall(r"^ruff==[\d.]+", (ROOT / ".lock" / "test.txt").read_text(), re.MULTILINE)
    assert set(asked) == set(pinned)
    assert len(asked) == 2
