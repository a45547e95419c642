"""Pictures to tokens and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import VQModel
from PIL import Image

from codebook.drawing import drawn, untrained
from studio.codebook.lookup import Codebook
from studio.codebook.tokens import TokenMap
from studio.codebook.vqgan import Vqgan
from studio.errors import InvalidPicture, InvalidRequest, ModelError


@pytest.mark.parametrize(
    ("n", "codes", "d"), [(5000, 1024, 8), (300, 8192, 4), (1, 1, 3), (2049, 64, 64), (90, 130, 5)]
)
def test_lookup_finds_the_same_codes_as_cdist(n: int, codes: int, d: int) -> None:
    generator = torch.Generator().manual_seed(n)
    vectors, z = torch.randn(codes, d, generator=generator), torch.randn(n, d, generator=generator)
    distances = torch.cdist(z, vectors, compute_mode="donot_use_mm_for_euclid_dist")
    book = Codebook(vectors)
    assert torch.equal(book.nearest(z), distances.argmin(1))
    found = book.two_nearest(z)
    assert torch.equal(found.codes, distances.argmin(1))
    torch.testing.assert_close(found.distance, distances.min(1).values)
    if codes > 1:
        torch.testing.assert_close(found.second_distance, distances.topk(2, largest=False).values[:, 1])
        assert (found.second_distance >= found.distance).all()


@pytest.mark.parametrize("codes", [3, 64, 65, 200, 1024])
def test_of_codes_that_are_equally_near_the_first_wins_as_with_cdist(codes: int) -> None:
    generator = torch.Generator().manual_seed(codes)
    vectors = torch.randint(-2, 3, (codes, 3), generator=generator).float()  # whole numbers: sums without rounding
    z = torch.randint(-2, 3, (400, 3), generator=generator) + 0.5 * (torch.arange(400) % 2)[:, None]
    distances = torch.cdist(z, vectors, compute_mode="donot_use_mm_for_euclid_dist")
    found = Codebook(vectors).two_nearest(z)
    assert torch.equal(Codebook(vectors).nearest(z), found.codes)
    assert torch.equal(found.codes, distances.argmin(1))
    rest = distances.scatter(1, found.codes[:, None], float("inf"))
    assert torch.equal(found.second, rest.argmin(1))


@pytest.mark.parametrize("attention", [False, True])
def test_tokens_and_picture_equal_those_of_the_stock_model(attention: bool) -> None:
    model = untrained(attention=attention)
    picture = drawn(64, 48, seed=1)
    image = torch.tensor(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        latents = model.encode(image).latents
        indices = model.quantize(latents)[2][2].reshape(6, 8)
        sample = model.decode(latents).sample[0]
    expected = ((sample + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    vqgan = Vqgan(model)
    tokens = vqgan.encode(picture)
    assert np.array_equal(tokens.codes, indices.numpy())
    assert np.abs(np.asarray(vqgan.decode(tokens)).astype(int) - expected).max() <= 1
    assert vqgan.has_attention is attention


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (9, 7), (93, 70), (64, 65), (200, 3)])
def test_sizes_off_the_grid_come_back_exactly(vqgan: Vqgan, size: tuple[int, int]) -> None:
    tokens = vqgan.encode(drawn(*size, seed=2))
    assert tokens.shape == (-(-size[1] // 8), -(-size[0] // 8))
    assert vqgan.decode(tokens).size == size


def test_decoding_is_repeatable_to_the_last_bit(vqgan: Vqgan, picture: Image.Image) -> None:
    tokens = vqgan.encode(picture)
    again = vqgan.token_map(tokens.codes.copy(), tokens.size)
    assert tokens == again and hash(tokens) == hash(again)
    assert vqgan.decode(tokens).tobytes() == vqgan.decode(again).tobytes()


def test_measures_say_how_well_and_how_surely_each_code_fits(vqgan: Vqgan, picture: Image.Image) -> None:
    tokens = vqgan.encode(picture)
    assert tokens.distance is not None and tokens.margin is not None and tokens.second is not None
    assert (tokens.distance >= 0).all() and (tokens.margin >= 0).all()
    assert (tokens.second != tokens.codes).all()
    codes = tokens.codes.copy()
    codes[2, 3] = (codes[2, 3] + 1) % vqgan.codebook_size
    edited = tokens.with_codes(codes)
    assert edited.distance is not None and edited.second is not None
    assert np.isnan(edited.distance).sum() == 1 and edited.second[2, 3] == -1


def test_tokens_do_not_depend_on_the_precision_of_the_decoder(vqgan: Vqgan, picture: Image.Image) -> None:
    half = Vqgan(_copy(vqgan.model), dtype=torch.bfloat16)
    assert half.checksum == vqgan.checksum
    tokens = half.encode(picture)
    assert np.array_equal(tokens.codes, vqgan.encode(picture).codes)
    full, low = (np.asarray(v.decode(tokens)).astype(float) for v in (vqgan, half))
    assert np.abs(full - low).mean() < 3


def test_transparency_is_shown_on_white(vqgan: Vqgan) -> None:
    clear = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    assert vqgan.encode(clear) == vqgan.encode(Image.new("RGB", (16, 16), "white"))


def test_pictures_that_are_too_large_or_empty_are_refused_before_any_work(vqgan: Vqgan) -> None:
    with pytest.raises(InvalidPicture, match=r"5000 x 1000 pixels, 5\.0 megapixels"):
        vqgan.encode(Image.new("L", (5000, 1000)))
    with pytest.raises(InvalidPicture, match="no pixels"):
        vqgan.encode(Image.new("RGB", (0, 5)))


def test_codes_out_of_range_and_wrong_shapes_are_named(vqgan: Vqgan) -> None:
    with pytest.raises(InvalidRequest, match="no code 64 in this codebook: its codes are 0 to 63"):
        vqgan.token_map(np.array([[0, 64]]))
    with pytest.raises(InvalidRequest, match="has 2 x 2 tokens, not 3 x 1"):
        vqgan.token_map(np.zeros((1, 3), int), (10, 16))


def test_maps_of_another_model_are_refused(vqgan: Vqgan) -> None:
    other = Vqgan(untrained(codes=32))
    with pytest.raises(InvalidRequest, match="made with another model"):
        vqgan.decode(other.token_map(np.zeros((2, 2), int)))
    same_name = TokenMap(np.zeros((2, 2), np.int32), (8, 8), 4, 32, vqgan.checksum)
    with pytest.raises(InvalidRequest, match="32 codes of 4 pixels, this model has 64 of 8"):
        vqgan.decode(same_name)


def test_a_model_folder_opens_and_keeps_its_checksum(vqgan: Vqgan, model_folder: Path) -> None:
    for folder in (model_folder / "tiny", model_folder / "tiny" / "vqvae"):
        assert Vqgan.load(folder).checksum == vqgan.checksum


def test_folders_without_a_usable_vqgan_say_what_is_wrong(model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no VQModel"):
        Vqgan.load(tmp_path)
    (tmp_path / "config.json").write_text('{"_class_name": "AutoencoderKL"}')
    with pytest.raises(ModelError, match="holds a AutoencoderKL, not a VQModel"):
        Vqgan.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        Vqgan.load(tmp_path)
    (tmp_path / "config.json").write_text((model_folder / "tiny/vqvae/config.json").read_text())
    with pytest.raises(ModelError, match="cannot be opened"):
        Vqgan.load(tmp_path)
    weights = (model_folder / "tiny/vqvae/diffusion_pytorch_model.safetensors").read_bytes()
    (tmp_path / "diffusion_pytorch_model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ModelError, match="cannot be opened"):
        Vqgan.load(tmp_path)


def test_missing_weights_are_not_made_up(model_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(model_folder / "tiny/vqvae/diffusion_pytorch_model.safetensors")
    del weights["decoder.conv_out.weight"]
    save_file(weights, tmp_path / "diffusion_pytorch_model.safetensors")
    (tmp_path / "config.json").write_text((model_folder / "tiny/vqvae/config.json").read_text())
    with pytest.raises(ModelError, match=r"decoder\.conv_out\.weight|cannot be opened"):
        Vqgan.load(tmp_path)


def test_amused_folders_work_on_pixels_from_0_to_1(model_folder: Path, tmp_path: Path) -> None:
    vqvae = tmp_path / "vqvae"
    vqvae.mkdir()
    for file in (model_folder / "tiny/vqvae").iterdir():
        (vqvae / file.name).write_bytes(file.read_bytes())
    assert not Vqgan.load(tmp_path).unit_range
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "AmusedPipeline"}))
    assert Vqgan.load(tmp_path).unit_range


def _copy(model: VQModel) -> VQModel:
    twin = VQModel.from_config(model.config)
    twin.load_state_dict(model.state_dict())
    return twin
