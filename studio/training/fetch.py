"""Fetch published packages by name and pinned version, and unpack them into a cache folder.

npm packages come through `npm pack`, Debian packages through `apt-get download` and `dpkg -x`: the
ordinary clients with the user's own settings, so mirrors and proxies work and no address stands here.
Whatever is already in the cache is not asked for again.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import tarfile
from pathlib import Path
from urllib.parse import unquote

from studio.errors import StudioError

logger = logging.getLogger(__name__)

FETCH_TIMEOUT_SECONDS = 900


def fetch_npm(package: str, version: str, *, cache: Path) -> Path:
    """Return the folder of an unpacked npm package, fetching it once.

    Args:
        package: Name as npm knows it, for example `@iconify-json/noto`.
        version: Exact version.
        cache: Folder that keeps downloads between builds.

    Raises:
        StudioError: npm is missing or could not deliver this version.
    """
    folder = cache / "npm" / f"{package.lstrip('@').replace('/', '-')}-{version}"
    if (folder / "package").is_dir():
        return folder / "package"
    folder.parent.mkdir(parents=True, exist_ok=True)
    name = _run(["npm", "pack", "--silent", f"{package}@{version}"], cwd=folder.parent).split()[-1]
    archive = folder.parent / name
    partial = folder.with_suffix(".partial")
    with tarfile.open(archive) as tar:
        tar.extractall(partial, filter="data")
    partial.rename(folder)
    archive.unlink()
    return folder / "package"


def fetch_debian(package: str, version: str, *, cache: Path) -> Path:
    """Return the root of an unpacked Debian package (`.../usr/share/...` below it), fetching it once.

    A release of Debian has one version of a package: where it is not `version`, that one is taken, and `debian_version`
    tells.

    Raises:
        StudioError: apt or dpkg is missing (this system is not Debian), or the package is unknown.
    """
    folder = cache / "debian" / package
    if folder.is_dir():
        return folder
    downloads = cache / "debian" / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    if not (found := sorted(downloads.glob(f"{package}_*.deb"))):
        try:
            _run(["apt-get", "download", "-qq", f"{package}={version}"], cwd=downloads)
        except StudioError as error:
            logger.warning("%s Taking the version that this system offers.", error.message)
            _run(["apt-get", "download", "-qq", package], cwd=downloads)
        found = sorted(downloads.glob(f"{package}_*.deb"))
    if not found:
        raise StudioError(f"apt-get fetched no file for {package}.", "Run apt-get update and try again.")
    partial = folder.with_suffix(".partial")
    _run(["dpkg", "-x", str(found[-1]), str(partial)], cwd=downloads)
    partial.rename(folder)
    return folder


def debian_version(package: str, *, cache: Path) -> str:
    """Return the version of a package in the cache, "unknown" where it was unpacked there by hand."""
    names = sorted((cache / "debian" / "downloads").glob(f"{package}_*.deb"))
    return unquote(names[-1].name.split("_")[1]) if names else "unknown"


def _run(command: list[str], *, cwd: Path) -> str:
    if shutil.which(command[0]) is None:
        raise StudioError(
            f"{command[0]} is not installed, and {command[-1]} is fetched with it.",
            f"Install {command[0]}, or unpack {command[-1]} into the cache folder yourself.",
        )
    try:
        done = subprocess.run(
            command, cwd=cwd, check=True, capture_output=True, text=True, timeout=FETCH_TIMEOUT_SECONDS
        )
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or ["no message"]
        message = f"{' '.join(command[:2])} could not deliver {command[-1]}: {lines[-1]}"
        raise StudioError(message, "Check the network connection, then run the build again.") from error
    except subprocess.TimeoutExpired as error:
        message = f"{' '.join(command[:2])} did not deliver {command[-1]} in {FETCH_TIMEOUT_SECONDS} s."
        raise StudioError(message, "Check the network connection, then run the build again.") from error
    return done.stdout
