"""The command line: what is wrong with the input is said with its value, and the exit status is 2."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from studio import cli
from studio.library.sums import changed_files
from tests.engine.tiny import save_ldm


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        status = cli.main(list(arguments))
    except SystemExit as leaving:  # argparse
        status = int(leaving.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_help_lists_every_command_without_loading_any(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--help")
    assert status == 0
    assert all(command.name in out for command in cli.COMMANDS)


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.name)
def test_every_command_has_help_and_takes_a_data_dir(command: cli.Command, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, command.name, "--help")
    assert status == 0
    assert "--data-dir" in out


def test_an_unknown_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, error = run(capsys, "paint")
    assert status == 2
    assert 'There is no command "paint".' in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "--width", "77"], "Width must be a multiple of 8 between 64 and 2048, not 77."),
        (["a", "--height", "abc"], "Height must be a multiple of 8 between 64 and 2048, not 'abc'."),
        (["a", "--steps", "0"], "Steps must be a whole number between 1 and 150, not 0."),
        (["a", "--guidance-scale", "inf"], "Guidance scale must be a number between 1 and 30, not inf."),
        (["a", "--seed", "18446744073709551616"], "Seed must be a whole number between 0 and 4294967295"),
        (["a", "--batch", "1.5"], "Pictures must be a whole number between 1 and 16, not 1.5."),
        ([""], "Prompt is empty."),
        (["x" * 50_000], "Prompt is too long (50,000 of 2,000 characters)."),
        (["a", "--out", "picture.gif"], '"picture.gif" does not end in .png.'),
    ],
)
def test_bad_values_are_named_with_what_is_allowed(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, error = run(capsys, "generate", *arguments)
    assert status == 2
    assert message in error


def test_an_unknown_model_and_scheduler_are_answered_with_the_nearest_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_ldm(tmp_path / "models" / "tiny-meadow")
    monkeypatch.setenv("STUDIO_MODEL_FOLDERS", str(tmp_path / "models"))
    status, _, error = run(capsys, "generate", "a", "--model", "tiny-medow")
    assert status == 2
    assert 'no model "tiny-medow"' in error
    assert "tiny-meadow" in error
    status, _, error = run(capsys, "generate", "a", "--model", "tiny-meadow", "--width", "64", "--height", "64",
                           "--scheduler", "dmp_2m")  # fmt: skip
    assert status == 2
    assert "dpmpp_2m" in error


def test_with_json_an_error_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "generate", "a", "--steps", "999", "--json")
    assert status == 2
    said = json.loads(out)
    assert said["event"] == "failed"
    assert "999" in said["message"]


def test_a_taken_port_is_said_and_a_free_one_offered(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, _, error = run(capsys, "serve", "--port", str(port), "--no-browser")
    assert status == 1
    assert f"Port {port} is taken" in error
    assert "--port" in error


def test_a_port_that_is_not_a_number_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, error = run(capsys, "serve", "--port", "eighty")
    assert status == 2
    assert "'eighty'" in error


def test_a_data_directory_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    status, _, error = run(capsys, "gallery", "list", "--data-dir", str(tmp_path / "file" / "below"))
    assert status in (1, 2)
    assert "below" in error


def test_the_doctor_reports_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "doctor", "--json")
    report = json.loads(out)
    assert {"versions", "devices", "memory", "disk", "models", "data_dir", "problems"} <= report.keys()
    assert report["versions"]["torch"].startswith("2.13.0")


def test_the_doctor_names_a_broken_model_and_a_remedy(own_data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = own_data_dir / "models"
    models.mkdir(parents=True)
    (models / "cut.safetensors").write_bytes(b"\x10\0\0")
    status, out, _ = run(capsys, "doctor")
    assert status == 1
    assert "cut.safetensors" in out


def test_a_changed_file_is_found_by_its_checksum(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"one")
    (tmp_path / "SHA256SUMS").write_text(
        "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed  a.bin\n"
        "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed  gone.bin\n"
        "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed  ../a.bin\n",
        encoding="utf-8",
    )
    assert changed_files(tmp_path) == ["gone.bin", "../a.bin"]
    (tmp_path / "a.bin").write_bytes(b"two")
    assert "a.bin" in changed_files(tmp_path)
