"""A hub with a few small repositories, and the client free to reach it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from studio.settings import Settings
from tests.engine import tiny
from tests.library.hub_server import FakeHub, Repo, serving_hub

LORA_KEY = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"


def lora(rows: int = 4) -> bytes:
    """A LoRA of SD 1.x of `rows` x 768 random numbers."""
    return save({LORA_KEY: torch.rand(rows, 768, generator=torch.Generator().manual_seed(0))})


@pytest.fixture(scope="session")
def sd_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a tiny SD 1.x model, as a repository has them, with what the studio has no use for."""
    folder = tiny.save_sd(tmp_path_factory.mktemp("repo") / "tiny-sd")
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    files = {name: data for name, data in files.items() if not name.startswith("bpe/")}
    return {
        **files,
        "README.md": b"# Tiny",
        "unet/diffusion_pytorch_model.bin": b"a pickle",
        "safety_checker/model.safetensors": b"unwanted",
        "sd-v1-4.ckpt": b"a pickle",
    }


@pytest.fixture
def hub(sd_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """owner/tiny-sd, owner/ink (one LoRA), owner/many and pack (two), owner/big (6 MB), owner/gated, owner/pickles."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with serving_hub(
        owner__tiny_sd=Repo(sd_files),
        owner__ink=Repo({"README.md": b"# Ink", "ink.safetensors": lora()}),
        owner__many=Repo({"a.safetensors": lora(), "b.safetensors": lora(8)}),
        owner__gated=Repo({"a.safetensors": lora()}, gated=True),
        owner__pickles=Repo({"model.ckpt": b"x", "config.json": b"{}"}),
        owner__nonsense=Repo({"a.safetensors": b"\x02\0\0\0\0\0\0\0{}"}),
        owner__big=Repo({"big.safetensors": lora(2000)}),
        owner__pack=Repo({"README.md": b"# Two", "oil.safetensors": lora(1000), "more/chalk.safetensors": lora(900)}),
    ) as served:
        yield served


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose own models lie in the test's folder."""
    return Settings(data_dir=tmp_path / "data")
