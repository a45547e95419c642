"""What this installation has and what is wrong with it, each with a remedy; text or JSON.

Importing this module loads no torch; `examine` does, because the devices are asked.
"""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from studio import __version__
from studio.codebook.find import find_vqgans
from studio.engine.catalog import scan
from studio.settings import Settings

LIBRARIES = ("torch", "diffusers", "transformers", "gradio", "pillow", "numpy", "opencv-python-headless", "safetensors")
SAFE_PILLOW = 13
LOW_DISK_GB, LOW_MEMORY_GB = 2.0, 2.0


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong, and what to do about it."""

    what: str
    remedy: str


@dataclass(slots=True)
class Report:
    """Everything the doctor found; sizes in GB (10^9 bytes)."""

    versions: dict[str, str]
    devices: list[str]
    precision: str
    memory: dict[str, float]
    disk: dict[str, float]
    data_dir: str
    models: list[dict[str, Any]]
    problems: list[Problem] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON-able values."""
        return asdict(self)

    def as_text(self) -> str:
        """Return the report for a person to read."""
        lines = ["Versions"]
        lines += [f"  {name:<24}{text}" for name, text in self.versions.items()]
        lines += ["Devices", *(f"  {device}" for device in self.devices), f"  precision: {self.precision}"]
        lines += [f"Memory      {self.memory['free']:.1f} of {self.memory['total']:.1f} GB free"]
        lines += [f"Disk        {self.disk['free']:.1f} of {self.disk['total']:.1f} GB free"]
        lines += [f"Data        {self.data_dir}", "Models"]
        lines += [f"  {m['id']:<28}{m['family']:<18}{m['bytes'] / 1e6:8.0f} MB" for m in self.models] or ["  none"]
        if not self.problems:
            return "\n".join([*lines, "", "Nothing is wrong."])
        lines += ["", f"{len(self.problems)} thing{'s are' if len(self.problems) > 1 else ' is'} wrong:"]
        return "\n".join([*lines, *(f"  - {p.what} {p.remedy}" for p in self.problems)])


def examine(settings: Settings) -> Report:
    """Look at versions, devices, memory, disk, models and the data directory."""
    from studio.engine.device import choose_device  # torch loads here, not when the doctor is imported

    problems: list[Problem] = []
    device = choose_device(settings)
    if device.reason:
        problems.append(Problem(device.reason, "The studio runs on the CPU meanwhile."))
    scanned = scan(settings.checkpoint_folders)
    problems += [Problem(f"{bad.path}: {bad.reason}", "Move it away, or get it again.") for bad in scanned.unusable]
    if not scanned.models:
        where = settings.checkpoint_folders[1]
        problems.append(Problem("There is no model that makes pictures from prompts.", f"Put one into {where}."))
    known = {m.id for m in scanned.models}
    codebooks = [(n, p) for n, p in find_vqgans(settings.checkpoint_folders).items() if n not in known]
    memory, disk = _memory(problems), _disk(settings.data_dir, problems)
    return Report(
        versions=_versions(problems),
        devices=device.describe(),
        precision=device.precision_text(),
        memory=memory,
        disk=disk,
        data_dir=str(settings.data_dir),
        models=[
            *({"id": m.id, "family": m.family, "bytes": m.bytes, "folder": str(m.path)} for m in scanned.models),
            *({"id": n, "family": "vqgan", "bytes": _size(p), "folder": str(p)} for n, p in codebooks),
        ],
        problems=problems,
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


def _versions(problems: list[Problem]) -> dict[str, str]:
    found = {"tessera-studio": __version__, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
            problems.append(Problem(f"{name} is not installed.", "Start the studio with python launch.py."))
    if found["pillow"].split(".")[0].isdigit() and int(found["pillow"].split(".")[0]) < SAFE_PILLOW:
        remedy = f"Run: pip install --no-deps pillow=={SAFE_PILLOW}.0.0 (python launch.py does it by itself)."
        problems.append(Problem(f"Pillow {found['pillow']} has known heap overflows in its decoders.", remedy))
    found["system"] = f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores"
    if sys.maxsize < 2**32:
        problems.append(Problem("This is a 32-bit Python.", "Install a 64-bit one."))
    return found


def _memory(problems: list[Problem]) -> dict[str, float]:
    memory = psutil.virtual_memory()
    if memory.available / 1e9 < LOW_MEMORY_GB:
        problems.append(Problem(f"Only {memory.available / 1e9:.1f} GB of memory is free.", "Close other programs."))
    return {"free": memory.available / 1e9, "total": memory.total / 1e9}


def _disk(folder: Path, problems: list[Problem]) -> dict[str, float]:
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    usage = shutil.disk_usage(nearest)
    if usage.free / 1e9 < LOW_DISK_GB:
        problems.append(Problem(f"Only {usage.free / 1e9:.1f} GB of disk is free.", "Delete or move some files."))
    if not os.access(nearest, os.W_OK):
        problems.append(Problem(f"{nearest} cannot be written to.", "Choose another folder with --data-dir."))
    return {"free": usage.free / 1e9, "total": usage.total / 1e9}
