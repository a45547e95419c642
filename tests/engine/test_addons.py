"""Add-ons are recognised by their keys wherever they lie, and described from what lies beside them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from studio.engine.addon_keys import KINDS, base_of, kind_of, text_width
from studio.engine.addons import find_addon, read_addon, scan_addons
from studio.engine.catalog import scan
from studio.engine.checkpoint import Header, Tensor
from studio.errors import ModelError, UnknownName

Shapes = dict[str, tuple[int, ...]]


def header(shapes: Shapes, **metadata: str) -> Header:
    return Header({key: Tensor("F16", shape) for key, shape in shapes.items()}, metadata)


KOHYA = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
DIFFUSERS = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
TEXT = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"

REAL: list[tuple[str, Shapes, str, str]] = [
    ("kohya LoRA of SD 1.x", {f"{KOHYA}.lora_down.weight": (8, 768), f"{KOHYA}.alpha": ()}, "lora", "sd1"),
    ("kohya LoRA of SD 2.x", {f"{KOHYA}.lora_down.weight": (8, 1024)}, "lora", "sd2"),
    ("diffusers LoRA of SDXL", {f"{DIFFUSERS}.lora_A.weight": (4, 2048)}, "lora", "sdxl"),
    ("old LoRA of diffusers", {f"{DIFFUSERS[:-4]}processor.to_k_lora.down.weight": (4, 768)}, "lora", "sd1"),
    ("LoRA of a text encoder", {f"{TEXT}.lora_down.weight": (8, 768)}, "lora", "sd1"),
    ("kohya LoRA of SDXL's encoders", {f"{TEXT.replace('te_', 'te2_')}.lora_down.weight": (8, 1280)}, "lora", "sdxl"),
    ("LoRA of FLUX", {"transformer.single_transformer_blocks.0.attn.to_k.lora_A.weight": (16, 3072)}, "lora", "flux"),
    ("LoHa", {"lora_unet_mid_block_attentions_0_proj_in.hada_w1_a": (64, 8)}, "lora", ""),
    ("A1111 embedding", {"emb_params": (4, 768)}, "embedding", "sd1"),
    ("diffusers embedding", {"<cat-toy>": (1024,)}, "embedding", "sd2"),
    ("SDXL embedding", {"clip_l": (2, 768), "clip_g": (2, 1280)}, "embedding", "sdxl"),
    (
        "ControlNet",
        {
            "control_model.input_hint_block.0.weight": (16, 3, 3, 3),
            "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
        },
        "controlnet",
        "sd1",
    ),
    (
        "diffusers ControlNet",
        {
            "controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3),
            "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (640, 2048),
        },
        "controlnet",
        "sdxl",
    ),
    (
        "IP-Adapter",
        {"image_proj.proj.weight": (3072, 1024), "ip_adapter.1.to_k_ip.weight": (320, 768)},
        "ip_adapter",
        "sd1",
    ),
    ("VAE", {"encoder.conv_in.weight": (128, 3, 3, 3), "decoder.conv_in.weight": (512, 4, 3, 3)}, "vae", ""),
    (
        "VQGAN",
        {
            "encoder.conv_in.weight": (128, 3, 3, 3),
            "decoder.conv_in.weight": (512, 4, 3, 3),
            "quantize.embedding.weight": (1024, 4),
        },
        "vqgan",
        "",
    ),
    ("TAESD's own decoder", {"1.weight": (64, 4, 3, 3), "3.conv.0.weight": (64, 64, 3, 3)}, "tiny_vae", ""),
    ("diffusers' tiny autoencoder", {"decoder.layers.0.weight": (64, 4, 3, 3)}, "tiny_vae", ""),
    ("old ESRGAN", {"model.0.weight": (64, 3, 3, 3), "model.1.sub.0.RDB1.conv1.0.weight": (32,)}, "upscaler", ""),
    (
        "Real-ESRGAN in its wrapper",
        {"params_ema.conv_first.weight": (64, 3, 3, 3), "params_ema.body.0.rdb1.conv1.weight": (32, 64, 3, 3)},
        "upscaler",
        "",
    ),
    ("text encoder", {"text_model.encoder.layers.0.mlp.fc1.weight": (3072, 768)}, "encoder", ""),
    ("motion module", {"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": (320,)}, "motion", ""),
]  # fmt: skip


@pytest.mark.parametrize(("shapes", "kind", "base"), [row[1:] for row in REAL], ids=[row[0] for row in REAL])
def test_kind_and_base_are_read_from_the_keys(shapes: Shapes, kind: str, base: str) -> None:
    found = header(shapes)
    assert kind_of(found) == kind
    assert base_of(found, kind) == base  # type: ignore[arg-type]


def test_every_kind_has_an_example_here() -> None:
    assert {row[2] for row in REAL} == set(KINDS)


@pytest.mark.parametrize(
    "shapes",
    [
        {"model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3), "x.lora_down.weight": (4, 768)},
        {"some.weight": (3, 3)},
        {"table": (100, 16)},
        {},
    ],
)
def test_whole_models_and_unknown_files_are_no_addons(shapes: Shapes) -> None:
    assert kind_of(header(shapes)) is None


def test_what_a_file_says_of_its_base_counts_first() -> None:
    shapes: Shapes = {"lora_unet_x.lora_down.weight": (4, 77)}
    assert base_of(header(shapes, ss_base_model_version="sdxl_base_v1-0"), "lora") == "sdxl"
    assert base_of(header(shapes, **{"modelspec.architecture": "stable-diffusion-v2-768-v/lora"}), "lora") == "sd2"
    assert base_of(header(shapes, ss_base_model_version="sd_v1"), "lora") == "sd1"
    assert text_width(header({"clip_l": (1, 768), "clip_g": (1, 1280)}), "embedding") == 2048


def _lora(path: Path, **metadata: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({f"{KOHYA}.lora_down.weight": torch.zeros(4, 768)}, path, metadata=metadata)
    return path


def test_words_come_from_the_file_and_from_what_lies_beside_it(tmp_path: Path) -> None:
    tags = json.dumps({"10_ink": {"ink wash": 40, "cat": 4, "paper": 25}})
    plain = read_addon(_lora(tmp_path / "a.safetensors", ss_tag_frequency=tags, **{"modelspec.title": "Ink"}))
    assert plain and (plain.name, plain.triggers) == ("Ink", ("ink wash", "paper"))
    (tmp_path / "a.civitai.info").write_text(json.dumps({"trainedWords": ["sumi-e"]}))
    civitai = read_addon(tmp_path / "a.safetensors")
    assert civitai and civitai.triggers == ("sumi-e",)
    (tmp_path / "a.toml").write_text('name = "My ink"\ntriggers = ["brush"]\nlicence = "CC0"\n')
    own = read_addon(tmp_path / "a.safetensors")
    assert own and (own.name, own.triggers, own.licence) == ("My ink", ("brush",), "CC0")


def test_words_that_cannot_be_read_are_a_problem_of_that_addon_only(tmp_path: Path) -> None:
    _lora(tmp_path / "good.safetensors")
    _lora(tmp_path / "bad.safetensors").with_suffix(".toml").write_text("name = ")
    (tmp_path / "good.json").write_text("[not json")
    bad, good = scan_addons([tmp_path])
    assert "bad.toml" in bad.problem and not good.problem
    with pytest.raises(ModelError, match=r"bad\.toml"):
        find_addon([tmp_path], "lora", "bad")


def test_other_studios_folders_work_as_they_are(tmp_path: Path) -> None:
    _lora(tmp_path / "Lora" / "style" / "ink.safetensors")
    _lora(tmp_path / ".trash" / "gone.safetensors")
    _lora(tmp_path / "oil" / "pytorch_lora_weights.safetensors")
    (tmp_path / "embeddings").mkdir()
    save_file({"emb_params": torch.zeros(1, 768)}, tmp_path / "embeddings" / "neg.safetensors")
    found = scan_addons([tmp_path, tmp_path / "nowhere"])
    assert [(addon.kind, addon.id) for addon in found] == [("lora", "ink"), ("lora", "oil"), ("embedding", "neg")]
    assert find_addon([tmp_path], "lora", "INK.safetensors").id == "ink"
    with pytest.raises(UnknownName, match='no LoRA "neg"'):
        find_addon([tmp_path], "lora", "neg")


def test_lycoris_files_are_listed_with_the_reason_they_cannot_be_used(tmp_path: Path) -> None:
    save_file({"lora_unet_x.hada_w1_a": torch.zeros(4, 4)}, tmp_path / "loha.safetensors")
    (found,) = scan_addons([tmp_path])
    assert "LyCORIS" in found.problem


def test_addons_are_no_broken_models_and_models_below_are_found(model_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(model_folder / "sd1", tmp_path / "Stable-diffusion" / "sd1")
    _lora(tmp_path / "ink.safetensors")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "broken.safetensors").write_bytes(b"x")
    (tmp_path / "broken.safetensors").write_bytes(b"x")
    found = scan([tmp_path])
    assert [card.id for card in found.models] == ["sd1"]
    assert [bad.path for bad in found.unusable] == [tmp_path / "broken.safetensors"]
    assert not scan_addons([tmp_path / "Stable-diffusion"])  # the parts of a model are not add-ons


def test_a_parsed_file_is_read_again_only_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _lora(tmp_path / "a.safetensors")
    assert read_addon(path)
    monkeypatch.setattr("studio.engine.checkpoint._parse", lambda *a, **k: pytest.fail("parsed again"))
    assert read_addon(path)
    monkeypatch.undo()
    save_file({"emb_params": torch.zeros(1, 768)}, path)
    changed = read_addon(path)
    assert changed and changed.kind == "embedding"
