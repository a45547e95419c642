#!/usr/bin/env python3
"""Make .venv beside this file, install the pinned packages into it, and hand over to the studio.

    python launch.py                 start the studio
    python launch.py COMMAND ...     run a studio command (python launch.py --help lists them)
    python launch.py test ...        install the test packages too, and run the tests

Standard library only. An interrupted install is repaired by the next start: the marker file that says
"installed" is removed before and written after.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
TORCH = "torch==2.13.0"
LOCKS = {"run": ROOT / ".lock" / "run.txt", "test": ROOT / ".lock" / "test.txt"}
MINIMUM = (3, 11)


def main(arguments: list[str]) -> int:
    if sys.version_info < MINIMUM:
        found = ".".join(map(str, sys.version_info[:3]))
        print(f"Tessera Studio needs Python {MINIMUM[0]}.{MINIMUM[1]} or newer; this is {found}.", file=sys.stderr)
        return 2
    testing = arguments[:1] == ["test"]
    try:
        python = ensure_environment(["run", "test"] if testing else ["run"])
    except subprocess.CalledProcessError as error:
        print(
            f"\nThe installation stopped: {' '.join(map(str, error.cmd[:6]))} ... ended with {error.returncode}.",
            file=sys.stderr,
        )
        print("The lines above say why (no network, full disk?). Run the same command again to go on.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe installation was interrupted. Run the same command again to go on.", file=sys.stderr)
        return 130
    module = ["-m", "pytest", *arguments[1:]] if testing else ["-m", "studio.cli", *arguments]
    return hand_over(python, module)


def ensure_environment(groups: list[str]) -> Path:
    """Return the environment's Python with every lock file of `groups` installed."""
    python = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not is_working(python):
        print(f"Making {ENVIRONMENT} ...", flush=True)
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        venv.create(ENVIRONMENT, with_pip=True)
    for number, group in enumerate(groups, start=1):
        marker = ENVIRONMENT / f"installed-{group}"
        wanted = fingerprint(LOCKS[group])
        if marker.is_file() and marker.read_text(encoding="utf-8") == wanted:
            continue
        marker.unlink(missing_ok=True)
        print(f"Installing ({number} of {len(groups)}: {group}). The first time takes some minutes.", flush=True)
        if group == "run":  # torch brings its own dependencies, which differ from machine to machine
            install(python, TORCH)
        # --no-deps: the lock names everything, and overrides gradio's cap on Pillow (see pyproject.toml)
        install(python, "--no-deps", "-r", str(LOCKS[group]))
        marker.write_text(wanted, encoding="utf-8")
    return python


def is_working(python: Path) -> bool:
    """Tell whether the environment's Python runs, has pip, and is of this Python's version."""
    if not python.is_file():
        return False
    probe = "import sys, pip; print(*sys.version_info[:2])"
    run = subprocess.run([python, "-c", probe], capture_output=True, text=True, check=False)
    return run.returncode == 0 and run.stdout.split() == [str(part) for part in sys.version_info[:2]]


def fingerprint(lock: Path) -> str:
    """Return what the marker file must say: the lock's digest and the torch pin."""
    return hashlib.sha256(lock.read_bytes() + TORCH.encode()).hexdigest()


def install(python: Path, *what: str) -> None:
    quiet = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run([python, "-m", "pip", "install", "--progress-bar", "on", *what], check=True, env=quiet)


def hand_over(python: Path, arguments: list[str]) -> int:
    """Become the studio; on Windows, where a process cannot be replaced, wait for it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    if os.name == "nt":
        return subprocess.run([python, *arguments], env=environment, check=False).returncode
    sys.stdout.flush()
    if arguments[1] == "pytest":
        os.chdir(ROOT)
    os.execve(python, [str(python), *arguments], environment)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
