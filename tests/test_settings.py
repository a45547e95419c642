from __future__ import annotations

from pathlib import Path

import pytest

from studio.errors import SettingsError
from studio.settings import load_settings


def test_command_line_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('port = 1111\nhost = "10.0.0.1"\nqueue_size = 5\n', encoding="utf-8")
    environment = {"STUDIO_DATA_DIR": str(tmp_path), "STUDIO_PORT": "2222", "STUDIO_HOST": "10.0.0.2"}
    settings = load_settings({"port": 3333, "host": None}, environment=environment)
    assert (settings.port, settings.host, settings.queue_size, settings.device) == (3333, "10.0.0.2", 5, "auto")


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("port = 99999", '"port" cannot be 99999 .*settings.toml'),
        ("prot = 1", '"prot" cannot be 1'),
        ("port = [", "not valid TOML"),
        ('dtype = "int4"', "\"dtype\" cannot be 'int4' .* Choose one of auto, float32, bfloat16, float16"),
        ('token = "short"', "cannot be 'short' .* 20 or more letters, digits and"),
    ],
)
def test_a_bad_settings_file_is_named_with_the_value(tmp_path: Path, text: str, pattern: str) -> None:
    (tmp_path / "settings.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=pattern):
        load_settings({"data_dir": tmp_path}, environment={})


def test_a_bad_environment_variable_is_named() -> None:
    with pytest.raises(SettingsError, match="STUDIO_PORT"):
        load_settings(environment={"STUDIO_PORT": "eighty"})
