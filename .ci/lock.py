#!/usr/bin/env python3
"""Write .lock/run.txt and .lock/test.txt from what is installed in this environment.

Run it in an environment where the studio with its [test] extra works: it walks the dependencies of
pyproject.toml and pins every distribution it reaches at the installed version. torch's own line is left to
launch.py, since its dependencies differ from machine to machine.
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
NOT_HERE = [  # needed on other systems or Pythons only, so not to be found in this environment
    'colorama==0.4.6 ; sys_platform == "win32"',
    'audioop-lts==0.2.2 ; python_version >= "3.13"',
]


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    run = closure([*project["dependencies"], *extras["data"]])
    test = {name: pin for name, pin in closure(extras["test"]).items() if name not in run}
    write(".lock/run.txt", [*run.values(), *NOT_HERE])
    write(".lock/test.txt", [*test.values()])


def closure(requirements: list[str]) -> dict[str, str]:
    """Return {name: pin} of `requirements` and everything they need here, torch left out."""
    found: dict[str, str] = {}
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name == "torch" or (name in found and not requirement.extras):
            continue
        try:
            installed = distribution(requirement.name)
        except PackageNotFoundError:
            raise SystemExit(f"{requirement} is not installed here: install it, then run this again") from None
        found[name] = f"{name}=={installed.version.split('+')[0]}"
        for line in installed.requires or []:
            need = Requirement(line)
            if need.marker is None or any(
                need.marker.evaluate({"extra": extra}) for extra in {"", *requirement.extras}
            ):
                waiting.append(need)
    return dict(sorted(found.items()))


def write(name: str, pins: list[str]) -> None:
    (ROOT / name).write_text("# Made by .ci/lock.py\n" + "\n".join(pins) + "\n", encoding="utf-8")
    print(f"{name}: {len(pins)} pins")


if __name__ == "__main__":
    main()
