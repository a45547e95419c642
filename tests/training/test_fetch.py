from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from studio.errors import StudioError
from studio.training.fetch import debian_version, fetch_debian, fetch_npm


def test_what_is_in_the_cache_is_not_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    (tmp_path / "npm" / "iconify-json-noto-1.2.9" / "package").mkdir(parents=True)
    (tmp_path / "debian" / "openclipart-svg").mkdir(parents=True)
    assert fetch_npm("@iconify-json/noto", "1.2.9", cache=tmp_path).is_dir()
    assert fetch_debian("openclipart-svg", "1", cache=tmp_path).is_dir()


def test_a_missing_client_is_named_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StudioError, match="npm is not installed") as caught:
        fetch_npm("emojibase-data", "17.0.0", cache=tmp_path)
    assert "Install npm" in caught.value.hint
    with pytest.raises(StudioError, match="apt-get is not installed"):
        fetch_debian("openclipart-svg", "1", cache=tmp_path)


def test_a_failed_download_tells_the_clients_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = tmp_path / "bin" / "npm"
    client.parent.mkdir()
    client.write_text("#!/bin/sh\necho 'no such version' >&2\nexit 1\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{client.parent}:/usr/bin:/bin")
    with pytest.raises(StudioError, match=r"could not deliver emojibase-data@0\.0\.1: no such version"):
        fetch_npm("emojibase-data", "0.0.1", cache=tmp_path / "cache")


def test_a_package_is_unpacked_and_its_archive_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source" / "package"
    source.mkdir(parents=True)
    (source / "icons.json").write_text("{}")
    archive = tmp_path / "tiny-1.0.0.tgz"
    subprocess.run(["tar", "czf", str(archive), "-C", str(source.parent), "package"], check=True)
    client = tmp_path / "bin" / "npm"
    client.parent.mkdir()
    client.write_text(f"#!/bin/sh\ncp {archive} .\necho tiny-1.0.0.tgz\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{client.parent}:/usr/bin:/bin")
    folder = fetch_npm("tiny", "1.0.0", cache=tmp_path / "cache")
    assert (folder / "icons.json").read_text() == "{}"
    assert not list((tmp_path / "cache" / "npm").glob("*.tgz"))


@pytest.mark.parametrize("offered", ["1:2-3", "1:9-9"])
def test_a_debian_package_comes_in_the_pinned_version_or_the_one_there_is_and_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, offered: str
) -> None:
    clients = tmp_path / "bin"
    clients.mkdir()
    name = f"clips_{offered.replace(':', '%3a')}_all.deb"
    (clients / "apt-get").write_text(
        f'#!/bin/sh\ncase "$3" in clips|clips={offered}) touch {name};; *) echo "no version $3" >&2; exit 1;; esac\n'
    )
    (clients / "dpkg").write_text('#!/bin/sh\nmkdir -p "$3/usr/share"\n')
    for client in clients.iterdir():
        client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{clients}:/usr/bin:/bin")
    folder = fetch_debian("clips", "1:2-3", cache=tmp_path / "cache")
    assert (folder / "usr" / "share").is_dir()
    assert debian_version("clips", cache=tmp_path / "cache") == offered
    assert ("Taking the version that this system offers" in caplog.text) == (offered != "1:2-3")
    assert debian_version("another", cache=tmp_path / "cache") == "unknown"
