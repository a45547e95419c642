"""Other people's VQGANs become VQModels that compute the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from diffusers import VQModel
from safetensors.torch import load_file, save_file

from interop.original_vqgans import Original, Shape, State, random_state
from studio.codebook.vqgan import Vqgan
from studio.errors import InvalidRequest, ModelError
from studio.interop.vqgan import convert

SHAPES = {
    "taming f16": Shape("taming", ch_mult=(1, 1, 2, 2, 4), attention_levels=(4,), z=16, embed=16, codes=256),
    "ldm vq-f4": Shape("taming", ch_mult=(1, 2, 4), attention_levels=(), z=3, embed=3, codes=512),
    "ldm vq-f4 noattn": Shape(
        "taming", ch_mult=(1, 2, 4), attention_levels=(), mid_attention=False, z=3, embed=3, codes=512
    ),
    "ldm vq-f8": Shape("taming", ch_mult=(1, 2, 2, 4), attention_levels=(3,), z=4, embed=4, codes=256),
    "ldm vq-f16": Shape("taming", ch_mult=(1, 1, 2, 2, 4), attention_levels=(4,), z=8, embed=8, codes=512),
    "faceshq": Shape("taming", ch_mult=(1, 1, 2), attention_levels=(1, 2), z=8, embed=8, codes=128),
    "LlamaGen ds16": Shape("LlamaGen", ch_mult=(1, 1, 2, 2, 4), attention_levels=(4,), z=16, embed=8, codes=256),
    "LlamaGen ds8": Shape("LlamaGen", ch_mult=(1, 2, 2, 4), attention_levels=(3,), z=16, embed=8, codes=256),
}
SMALL = Shape("taming", attention_levels=(2,))


def checkpoint(folder: Path, state: State, name: str = "last.safetensors") -> Path:
    folder.mkdir(exist_ok=True)
    save_file(state, folder / name)
    return folder / name


@pytest.mark.parametrize("kind", SHAPES)
def test_a_converted_model_gives_the_same_indices_and_pictures(kind: str, tmp_path: Path) -> None:
    shape = SHAPES[kind]
    state = random_state(shape)
    extra = {"quantize.codebook_used": torch.zeros(8)} if shape.layout == "LlamaGen" else {}
    conversion = convert(checkpoint(tmp_path / "in", {**state, **extra}), "made", folder=tmp_path / "models")
    assert conversion.layout == shape.layout
    assert conversion.unused == tuple(extra)
    model = VQModel.from_pretrained(tmp_path / "models/made/vqvae", use_safetensors=True).eval()
    assert model.config.scaling_factor == 1.0

    image = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1)) * 2 - 1
    original = Original(state, shape)
    indices = original.indices(image)
    with torch.no_grad():
        latents = model.encode(image).latents
        found = model.quantize(latents)[2][2].reshape(indices.shape)
        assert torch.equal(found, indices)
        assert len(indices.unique()) > 4
        torch.testing.assert_close(model.decode(latents).sample, original.picture(indices), atol=1e-4, rtol=0)


def test_the_studio_opens_what_it_converted(tmp_path: Path) -> None:
    convert(checkpoint(tmp_path / "in", random_state(SMALL)), "made", folder=tmp_path)
    vqgan = Vqgan.load(tmp_path / "made")
    assert (vqgan.codebook_size, vqgan.factor, vqgan.has_attention) == (64, 4, True)


def test_a_whole_diffusion_checkpoint_gives_its_first_stage_and_lists_the_rest(tmp_path: Path) -> None:
    state = {f"first_stage_model.{k}": v for k, v in random_state(SMALL).items()}
    rest = {
        "first_stage_model.loss.discriminator.main.0.weight": torch.zeros(4),
        "model.diffusion_model.out.0.weight": torch.zeros(4),
        "model_ema.decay": torch.zeros(1),
    }
    conversion = convert(checkpoint(tmp_path / "in", {**state, **rest}), "ldm", folder=tmp_path)
    assert conversion.unused == tuple(sorted(rest))
    assert any("model_ema.decay" in line for line in conversion.describe())
    facts = json.loads((tmp_path / "ldm/conversion.json").read_text())
    assert facts["layout"] == "taming" and facts["unused_keys"] == sorted(rest)


def test_the_yaml_beside_is_compared_and_gives_the_resolution(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "in", random_state(SMALL))
    inner = {"ch": 32, "ch_mult": [1, 1, 2], "num_res_blocks": 2, "z_channels": 4, "resolution": 128}
    params = {"n_embed": 64, "embed_dim": 4, "ddconfig": inner}
    source.with_suffix(".yaml").write_text(yaml.safe_dump({"model": {"params": params}}))
    conversion = convert(source, "agrees", folder=tmp_path)
    assert conversion.yaml == "last.yaml" and conversion.config["sample_size"] == 128
    source.with_suffix(".yaml").write_text(yaml.safe_dump({"model": {"params": {**params, "n_embed": 1024}}}))
    with pytest.raises(ModelError, match=r'codebook of size 64, "last.yaml" says 1024'):
        convert(source, "differs", folder=tmp_path)
    source.with_suffix(".yaml").write_text("a: [")
    with pytest.raises(ModelError, match="not valid YAML"):
        convert(source, "differs", folder=tmp_path)
    assert not (tmp_path / "differs").exists()


def _without(state: State, key: str) -> State:
    return {k: v for k, v in state.items() if k != key}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: _without(s, "decoder.mid.block_1.conv1.bias"), "1 weights do not fit.*expected.*found none"),
        (lambda s: {**s, "decoder.up.0.block.0.gate.weight": torch.zeros(1)}, "not known: decoder.up.0.block.0.gate"),
        (lambda s: {**s, "decoder.conv_out.bias": torch.full((3,), torch.nan)}, "not numbers"),
        (lambda s: _without(s, "quantize.embedding.weight"), "no codebook"),
        (lambda s: _without(s, "encoder.conv_in.weight"), r"lacks encoder\.conv_in\.weight"),
        (lambda s: {**_without(s, "quantize.embedding.weight"), "quantize.embed.weight": torch.zeros(2)}, "Gumbel"),
        (lambda s: {"encoder.down_blocks.0.resnets.0.conv1.weight": torch.zeros(1)}, "diffusers layout already"),
        (lambda s: {"lora_down.weight": torch.zeros(1)}, "no known kind; found no autoencoder"),
    ],
)
def test_checkpoints_that_cannot_be_converted_exactly_are_refused(change, message: str, tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "in", change(random_state(SMALL)))
    with pytest.raises(ModelError, match=message):
        convert(source, "made", folder=tmp_path / "models")
    assert not (tmp_path / "models").exists() or not list((tmp_path / "models").iterdir())


def test_names_and_existing_models_are_protected(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "in", random_state(SMALL))
    for name in ("../up", "", "a/b", ".hidden", "x" * 65):
        with pytest.raises(InvalidRequest, match="cannot be a model's name"):
            convert(source, name, folder=tmp_path)
    convert(source, "mine", folder=tmp_path)
    before = load_file(tmp_path / "mine/vqvae/diffusion_pytorch_model.safetensors")
    with pytest.raises(ModelError, match='model "mine" already'):
        convert(source, "mine", folder=tmp_path)
    after = load_file(tmp_path / "mine/vqvae/diffusion_pytorch_model.safetensors")
    assert all(torch.equal(before[k], after[k]) for k in before)
