"""Metrics of a library: their values where the weights are there, and what is said where something is missing."""

from __future__ import annotations

from importlib import util
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    PreTrainedTokenizerFast,
)

from studio.errors import InvalidRequest, StudioError
from studio.evaluate import library
from studio.evaluate.library import Metric, measure, read_metric
from studio.training import lpips
from studio.training.lpips import LpipsDistance

WORDS = ["[PAD]", "a", "red", "blue", "box"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny CLIP of random weights."""
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    text = {"vocab_size": 5, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "max_position_embeddings": 16, "eos_token_id": 4, "bos_token_id": 1,
            "pad_token_id": 0}  # fmt: skip
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
              "image_size": 32, "patch_size": 16}  # fmt: skip
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[PAD]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    sizes = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    CLIPProcessor(
        CLIPImageProcessor(**sizes), PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]")
    ).save_pretrained(folder)
    return folder


def test_the_clip_score_is_a_hundred_times_the_cosine(clip: Path) -> None:
    made = torch.rand(9, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    prompts = ["a red box"] * 8 + ["a blue box"]
    found = measure(read_metric(f"clip={clip}"), made, prompts, iter(()))
    model, processor = CLIPModel.from_pretrained(clip), CLIPProcessor.from_pretrained(clip)
    pixels = ((made + 1) * 127.5).round().byte()
    cosines = []
    with torch.inference_mode():
        for picture, prompt in zip(pixels, prompts, strict=True):
            out = model(**processor(text=[prompt], images=[picture], return_tensors="pt", padding=True))
            cosines.append(float((out.image_embeds * out.text_embeds).sum()))
    assert found == pytest.approx(max(0, 100 * np.mean(cosines)), abs=1e-3)


class Means(torch.nn.Module):
    """Stands for the Inception network: the colour of each quarter as features."""

    num_features = 12

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        assert pictures.dtype == torch.uint8
        return torch.nn.functional.adaptive_avg_pool2d(pictures.float() / 255, 2).flatten(1)


def test_fid_and_inception_score_are_the_library_s_on_the_pictures_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_inception", lambda weights, layer: Means())
    made = torch.rand(40, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    words = ["a box"] * 40
    alike = measure(Metric("fid", Path()), made, words, iter(made.split(8)))
    other = measure(Metric("fid", Path()), made, words, iter((made / 4).split(8)))
    assert alike == pytest.approx(0, abs=1e-3) and other > 0.01
    assert measure(Metric("is", Path()), made, words, iter(())) >= 1


@pytest.mark.parametrize(
    ("text", "said"),
    [("fidd=x", 'no metric "fidd"'), ("clip", 'weights of "clip" are not at ""'), ("is=/no/where", "are not at")],
)
def test_a_metric_that_is_not_there_says_what_it_needs(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        read_metric(text)


@pytest.mark.skipif(util.find_spec("torch_fidelity") is not None, reason="shows a machine without torch-fidelity")
def test_a_library_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="torch-fidelity is not installed") as caught:
        read_metric(f"fid={tmp_path}")
    assert "[metrics]" in caught.value.hint


def test_a_folder_without_a_clip_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match='cannot be used for "clip"'):
        measure(Metric("clip", tmp_path), torch.zeros(1, 3, 8, 8), ["a box"], iter(()))


def test_lpips_without_its_backbone_says_where_it_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lpips, "require", lambda *packages: None)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(StudioError, match=r"not at .*alexnet-owt-7be5be79.pth"):
        LpipsDistance()


def test_lpips_is_the_library_s_network_frozen_and_lets_gradients_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return self.weight * (a - b).square().mean((1, 2, 3), keepdim=True)

    class Library:
        @staticmethod
        def LearnedPerceptualImagePatchSimilarity(*, net_type: str) -> object:
            assert net_type == "alex"
            return type("Instrument", (), {"net": Net()})

    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / lpips.BACKBONE).write_bytes(b"weights")
    monkeypatch.setattr(lpips, "require", lambda *packages: None)
    monkeypatch.setattr(lpips, "import_module", lambda name: Library)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    distance, picture = LpipsDistance().train(), torch.zeros(2, 3, 4, 4, requires_grad=True)
    assert not distance.net.training and not distance.net.weight.requires_grad
    assert float(distance(picture, picture)) == 0
    value = distance(picture, torch.ones(2, 3, 4, 4))
    value.backward()
    assert float(value) == 1 and picture.grad is not None and bool(picture.grad.any())
