"""SD 1.x, 2.x and SDXL from one .safetensors file: recognised, configured and loaded offline, same pixels as stock."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from studio.engine.catalog import scan
from studio.engine.checkpoint import Header, Tensor, read_header
from studio.engine.engine import Engine
from studio.engine.families import original_layout
from studio.engine.families.clip_tokenizer import clip_tokenizer
from studio.engine.noise import generators_of
from studio.engine.recognise import recognise
from studio.engine.schedulers import SCHEDULERS, make
from studio.errors import ModelError
from studio.settings import Settings
from tests.engine import original
from tests.engine.run import arrays, finish, small

KINDS = ("sd1", "sd2", "sdxl")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    """One single-file checkpoint of each kind, with the stock pipeline it was written from."""
    folder = tmp_path_factory.mktemp("files")
    made = {}
    for kind in KINDS:
        pipe = original.pipeline(kind)
        pipe.set_progress_bar_config(disable=True)
        made[kind] = (original.save(pipe, kind, folder / f"{kind}.safetensors"), pipe)
    return made


@pytest.fixture(scope="module")
def engine(files: dict[str, tuple[Path, Any]], tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = files["sd1"][0].parent
    return Engine(
        Settings(data_dir=tmp_path_factory.mktemp("data"), model_folders=(folder,), device="cpu", dtype="float32")
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_file_gives_the_stock_pipelines_pixels(
    engine: Engine, files: dict[str, tuple[Path, Any]], kind: str
) -> None:
    request = small(model=kind, scheduler="dpmpp_2m", prompt="a photo of a cat", negative_prompt="blurry", steps=2)
    pipe = files[kind][1]
    choice = next(c for c in SCHEDULERS if c.id == "dpmpp_2m")
    pipe.scheduler = make(choice, pipe.scheduler.config)
    theirs = pipe(
        request.prompt,
        negative_prompt=request.negative_prompt,
        width=64,
        height=64,
        num_inference_steps=2,
        guidance_scale=request.guidance_scale,
        generator=generators_of([request.seed]),
    ).images
    mine = finish(engine, **request.model_dump(exclude={"version", "kind"}))
    np.testing.assert_array_equal(arrays(mine.images), arrays(theirs))


def test_prediction_type_and_size_are_read_off(files: dict[str, tuple[Path, Any]]) -> None:
    cards = {card.id: card for card in scan([files["sd1"][0].parent]).models}
    found = {kind: (card.architecture, card.schedule.prediction_type, card.width) for kind, card in cards.items()}
    assert found == {
        "sd1": ("sd1", "epsilon", 512),
        "sd2": ("sd2", "v_prediction", 768),
        "sdxl": ("sdxl", "epsilon", 1024),
    }


REAL: dict[str, dict[str, Any]] = {
    "sd1": {"cross_attention_dim": 768, "attention_head_dim": 8},
    "sd2": {
        "cross_attention_dim": 1024,
        "attention_head_dim": [5, 10, 20, 20],
        "use_linear_projection": True,
    },
    "sdxl": {
        "cross_attention_dim": 2048,
        "attention_head_dim": [5, 10, 20],
        "use_linear_projection": True,
        "block_out_channels": [320, 640, 1280],
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        "transformer_layers_per_block": [1, 2, 10],
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_published_configurations_are_inferred_from_real_shapes(kind: str) -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=64, **REAL[kind])
    tensors = {
        f"model.diffusion_model.{k}": Tensor("F16", tuple(v.shape)) for k, v in original.unet_weights(unet).items()
    }
    tensors["conditioner.embedders.1.model.text_projection"] = Tensor("F16", (1280, 1280))
    inferred = original_layout.unet_config(Header(tensors, {}), kind, sample_size=64)
    with torch.device("meta"):
        rebuilt = UNet2DConditionModel.from_config(inferred)
    assert {k: v.shape for k, v in rebuilt.state_dict().items()} == {k: v.shape for k, v in unet.state_dict().items()}
    for key, value in REAL[kind].items():
        assert inferred[key] == value, key


def test_the_tokenizer_gives_the_published_ids() -> None:
    tokenizer = clip_tokenizer()
    assert len(tokenizer) == 49408
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert tokenizer("", padding="max_length").input_ids == [49406, *[49407] * 76]
    assert clip_tokenizer(pad_token="!")("", padding="max_length").input_ids == [49406, 49407, *[0] * 75]


def _refused(path: Path) -> ModelError:
    (bad,) = scan([path.parent]).unusable
    return ModelError(bad.reason, bad.hint)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4265146304\n", "download pointer"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
        (b"PK\x03\x04" + bytes(64), "pickle"),
        (b"\x80\x02}q\x00." + bytes(64), "pickle"),
        (b"GGUF" + bytes(64), "GGUF"),
        (b"", "empty"),
        (struct.pack("<Q", 2**40) + bytes(64), "header of 1,099,511,627,776 bytes"),
        (struct.pack("<Q", 4096) + b"{}", r"expected 4,104 bytes, found 10"),
        (struct.pack("<Q", 9) + b"not json!", "not JSON"),
    ],
)
def test_files_that_are_no_checkpoint_are_named_for_what_they_are(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    error = _refused(tmp_path / "model.safetensors")
    assert said in error.message and '"model.safetensors"' in error.message and error.hint


def test_a_ckpt_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").write_bytes(b"\x80\x02cposix\nsystem\n")
    assert "pickle" in _refused(tmp_path / "model.ckpt").message


def test_a_cut_off_file_says_how_much_is_there(files: dict[str, tuple[Path, Any]], tmp_path: Path) -> None:
    whole = files["sd1"][0].read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-1000])
    expected = len(whole) - 8 - int.from_bytes(whole[:8], "little")
    assert f"expected {expected:,} bytes, found {expected - 1000:,}" in _refused(tmp_path / "cut.safetensors").message


@pytest.mark.parametrize(
    ("rename", "said"),
    [
        (("first_stage_model.", "nothing."), "only a part of a model"),
        (("model.diffusion_model.", "nothing."), "is a autoencoder file"),
        (("conditioner.embedders.1.", "nothing."), "only a part of a model"),
    ],
)
def test_a_part_of_a_model_is_refused(
    files: dict[str, tuple[Path, Any]], tmp_path: Path, rename: tuple[str, str], said: str
) -> None:
    weights = {k.replace(*rename): v for k, v in load_file(files["sdxl"][0]).items()}
    save_file(weights, tmp_path / "part.safetensors")
    assert said.replace("a autoencoder", "an autoencoder") in _refused(tmp_path / "part.safetensors").message


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("lora_unet_down_blocks_0.lora_down.weight", "LoRA"),
        ("double_blocks.0.img_attn.qkv.weight", "FLUX"),
        ("model.diffusion_model.joint_blocks.0.x", "Stable Diffusion 3"),
        ("quantize.embedding.weight", "VQGAN"),
        ("something.else", "not a Stable Diffusion checkpoint"),
    ],
)
def test_other_kinds_are_named(tmp_path: Path, key: str, kind: str) -> None:
    save_file({key: torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match=kind):
        recognise(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("key", "change", "said"),
    [
        ("model.diffusion_model.out.2.bias", None, '"conv_out.bias" is missing'),
        ("model.diffusion_model.out.2.bias", torch.zeros(5), r'"conv_out.bias" is (5,), (4,) is needed'),
        ("first_stage_model.decoder.conv_in.weight", torch.zeros(1), "does not hold a whole vae"),
        ("cond_stage_model.transformer.text_model.final_layer_norm.bias", None, "text encoder"),
    ],
)
def test_a_missing_or_misshapen_weight_is_found_before_any_is_read(
    files: dict[str, tuple[Path, Any]], tmp_path: Path, key: str, change: torch.Tensor | None, said: str
) -> None:
    weights = load_file(files["sd1"][0])
    weights.pop(key) if change is None else weights.update({key: change})
    save_file(weights, tmp_path / "bad.safetensors")
    engine = Engine(Settings(data_dir=tmp_path / "data", model_folders=(tmp_path,), device="cpu", dtype="float32"))
    with pytest.raises(ModelError, match=r"bad\.safetensors") as raised:
        finish(engine, model="bad")
    assert said in str(raised.value)
    assert engine.store.used_bytes == 0


def test_parts_that_do_not_belong_together_are_refused(files: dict[str, tuple[Path, Any]], tmp_path: Path) -> None:
    weights = load_file(files["sd1"][0])
    key = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"
    save_file({**weights, key: torch.zeros(49408, 32)}, tmp_path / "mixed.safetensors")
    assert "64 wide, but its text encoder makes them 32 wide" in _refused(tmp_path / "mixed.safetensors").message


def test_the_header_reader_agrees_with_safetensors(files: dict[str, tuple[Path, Any]]) -> None:
    header = read_header(files["sdxl"][0])
    with safe_open(files["sdxl"][0], "pt") as file:
        assert {k: tuple(file.get_slice(k).get_shape()) for k in file.keys()} == {  # noqa: SIM118
            k: t.shape for k, t in header.tensors.items()
        }


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, "4 bytes for 8"),
        ({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, 'the entry "a"'),
        ({"a": {"dtype": "EVIL", "shape": [1], "data_offsets": [0, 4]}}, 'the entry "a"'),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, "overlap or leave gaps"),
        (
            {
                "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            },
            "overlap",
        ),
        ({str(i): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(20_001)}, "20,001 tensors"),
        ([], "not a table"),
    ],
)
def test_headers_that_lie_are_refused(tmp_path: Path, entry: Any, said: str) -> None:
    raw = json.dumps(entry).encode()
    (tmp_path / "liar.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(4))
    with pytest.raises(ModelError, match=r"liar\.safetensors") as raised:
        read_header(tmp_path / "liar.safetensors")
    assert said in str(raised.value)
