"""The studio's settings: defaults < TOML file < environment (STUDIO_*) < command line, frozen once made."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from platformdirs import user_data_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from studio.errors import SettingsError

_CHECKOUT = Path(__file__).resolve().parent.parent
ROOT = _CHECKOUT if (_CHECKOUT / "assets").is_dir() else Path(sys.prefix) / "share" / "tessera-studio"
"""Where assets/ and checkpoints/ are: in a checkout its top folder, installed by pip the shared data folder."""


class Settings(BaseModel):
    """Every tunable of an installation; `help` of the command line comes from the descriptions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Field(
        default_factory=lambda: user_data_path("tessera-studio", appauthor=False),
        description="Gallery, settings and caches",
    )
    model_folders: tuple[Path, ...] = Field((), description="More folders to look for models in")
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(7860, ge=0, le=65535, description="Port to listen on; 0 picks a free one")
    token: str = Field(
        "",
        pattern=r"^([A-Za-z0-9._~-]{20,200})?$",
        description="The key of the owner's page, 20 or more letters, digits and .-_~; empty: made once and kept",
    )
    host_names: tuple[str, ...] = Field(
        (), description="More names the studio is reached under, for one behind a proxy"
    )
    share: bool = Field(False, description="Make a public link for guests")
    listen: bool = Field(False, description="Let guests in from the local network")
    guest_port: int = Field(7861, ge=0, le=65535, description="Port for guests; another one where it is taken")
    passphrase: str = Field("", max_length=200, description="What guests must know; empty: made anew for each share")
    share_hours: float = Field(8, gt=0, le=168, description="A share ends by itself after this time")
    guest_filter: str = Field(
        "",
        pattern=r"^([A-Za-z_][\w.]*:[A-Za-z_]\w*)?$",
        description='A function "module:name" that says of a guest\'s picture why not to show it, or ""',
    )
    content_credentials: bool = Field(
        False,
        description="Sign what leaves the gallery (C2PA, self-signed: says what changed since, not who made it; all "
        "your pictures then carry the same certificate)",
    )
    invisible_mark: bool = Field(False, description="Hide a mark of AI origin in the pixels of what leaves the gallery")
    visible_mark: bool = Field(False, description='Put "AI" into a corner of what leaves the gallery')
    browser: bool = Field(True, description="Open the page in a browser")
    device: str = Field("auto", description='"auto", "cpu", "cuda", "cuda:1", "mps"')
    dtype: str = Field("auto", pattern="^(auto|float32|bfloat16|float16)$", description="Weights' precision")
    offload: str = Field(
        "auto",
        pattern="^(auto|none|model|group|sequential)$",
        description="What stays on the GPU; auto: the whole model where it fits, else the quickest way that does",
    )
    quantization: str = Field(
        "none", pattern="^(none|int8|fp8|nf4)$", description="Denoiser's weights in fewer bits: smaller, lossy"
    )
    memory_gb: float = Field(0, ge=0, le=4096, description="Memory for models; 0: half of what the device has")
    queue_size: int = Field(64, ge=1, le=10_000, description="Jobs that may wait in all")
    queue_per_session: int = Field(16, ge=1, le=1000, description="Jobs that one session may have waiting")
    joined_jobs: int = Field(
        1,
        ge=1,
        le=64,
        description="Users whose pictures are made at once, their steps predicted in one go: faster in all, but the "
        "pictures then differ in the last bits; 1: one after another",
    )
    compile_models: bool = Field(
        False,
        description="Compile SD models for this GPU: faster steps, after a wait of about a minute for each new size; "
        "the pictures then differ in the last bits. Not with joined_jobs, offloaded models, LoRAs, control pictures",
    )
    spare_engine: bool = Field(
        True,
        description="Keep a second process with the libraries loaded, 400 MB, so that a crash costs no 10 seconds; not "
        "while less than 4 GB of memory is free",
    )
    preview_seconds: float = Field(0.08, ge=0, le=10, description="Least time between two live previews")

    @property
    def gallery_dir(self) -> Path:
        """Where pictures and their index live."""
        return self.data_dir / "gallery"

    @property
    def films_dir(self) -> Path:
        """Where the films live that artists asked to keep."""
        return self.data_dir / "films"

    @property
    def cache_dir(self) -> Path:
        """Where things live that can be made again."""
        return self.data_dir / "cache"

    @property
    def checkpoint_folders(self) -> tuple[Path, ...]:
        """Folders to scan for models: the shipped ones first."""
        return (ROOT / "checkpoints", self.data_dir / "models", *self.model_folders)


def load_settings(
    overrides: Mapping[str, Any] | None = None, *, environment: Mapping[str, str] | None = None
) -> Settings:
    """Return the settings in force.

    Args:
        overrides: Values from the command line; None values are ignored.
        environment: Stands in for os.environ in tests.

    Raises:
        SettingsError: A file that is not TOML, an unknown name, or a value out of bounds; says where it came from.
    """
    environment = os.environ if environment is None else environment
    given = {k: v for k, v in (overrides or {}).items() if v is not None}
    from_environment: dict[str, Any] = {
        name: environment[f"STUDIO_{name.upper()}"]
        for name in Settings.model_fields
        if f"STUDIO_{name.upper()}" in environment
    }
    for name, separator in (("model_folders", os.pathsep), ("host_names", ",")):
        if name in from_environment:
            from_environment[name] = tuple(filter(None, from_environment[name].split(separator)))
    data_dir = Path(given.get("data_dir") or from_environment.get("data_dir") or Settings().data_dir)
    path = data_dir / "settings.toml"
    merged = {**_read(path), **from_environment, **given}
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        source = (
            "the command line" if name in given else f"STUDIO_{name.upper()}" if name in from_environment else str(path)
        )
        raise SettingsError(
            f'The setting "{name}" cannot be {first.get("input")!r} (from {source}). {_bounds(name, first)}.',
            f"Settings are: {', '.join(Settings.model_fields)}.",
        ) from error


def _bounds(name: str, error: ErrorDetails) -> str:
    """Return what the setting takes, in words: its choices, its description, or pydantic's sentence."""
    pattern = error.get("ctx", {}).get("pattern", "")
    if choices := re.fullmatch(r"\^\(([\w|]+)\)\$", pattern):
        return f"Choose one of {', '.join(choices[1].split('|'))}"
    return str(Settings.model_fields[name].description) if pattern else error["msg"]


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}.", "Mend or delete it.") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error
