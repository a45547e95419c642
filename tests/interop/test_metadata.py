"""Settings of other studios: read from real forms, turned into ours, and hostile ones survived."""

from __future__ import annotations

import io
import json
import random
import string
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, PngImagePlugin

from studio.interop.a1111 import a1111_parameters, parse_parameters, quote, unquote
from studio.interop.mapping import to_request
from studio.interop.metadata import Foreign, read
from studio.requests import Inpaint, Reconstruct, StyleWords, TextToImage, parse
from tests.promises import count

A1111 = (
    "a red apple, <lora:glow:0.8> on a table\nsecond line\nNegative prompt: blurry, ugly\nbad hands\n"
    "Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 1234567890, Size: 512x768, "
    'Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, Lora hashes: "glow: 0a1b2c3d4e5f, other: 12", '
    "Denoising strength: 0.75, Clip skip: 2, Version: v1.10.1"
)
FOOOCUS = {
    "adm_guidance": "(1.5, 0.8, 0.3)",
    "base_model": "juggernautXL_v8Rundiffusion",
    "base_model_hash": "aeb7e9e689",
    "guidance_scale": 4,
    "negative_prompt": "ugly",
    "performance": "Speed",
    "prompt": "a red apple",
    "resolution": "(1152, 896)",
    "sampler": "dpmpp_2m_sde_gpu",
    "scheduler": "karras",
    "seed": "987654",
    "sharpness": 2,
    "steps": 30,
    "styles": "['Fooocus V2']",
    "version": "Fooocus v2.5.5",
}
INVOKE = {
    "generation_mode": "txt2img",
    "positive_prompt": "a red apple",
    "negative_prompt": "ugly",
    "width": 512,
    "height": 640,
    "seed": 42,
    "cfg_scale": 7.5,
    "steps": 30,
    "scheduler": "dpmpp_2m_k",
    "model": {"model_name": "stable-diffusion-v1-5", "base_model": "sd-1", "model_type": "main"},
    "loras": [],
}
COMFY = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            **{"seed": 5, "steps": 20, "cfg": 8.0, "sampler_name": "euler_ancestral", "scheduler": "normal"},
            **{"denoise": 1.0, "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]},
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sub/v1-5.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red apple", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "ugly", "clip": ["4", 1]}},
}
NOVELAI = {
    "Software": "NovelAI",
    "Source": "Stable Diffusion XL C1E1DE52",
    "Description": "a red apple ",
    "Comment": json.dumps(
        {"steps": 28, "sampler": "k_euler", "seed": 77, "scale": 5.0, "uc": "ugly", "width": 832, "height": 1216}
    ),
}


def png(**texts: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword, text)
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def photo(comment: bytes | str, format: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format, exif=exif)
    return buffer.getvalue()


def test_a1111_picture_is_read_and_mapped() -> None:
    foreign = read(png(parameters=A1111))
    assert foreign is not None
    assert (foreign.software, foreign.sampler, foreign.schedule) == ("AUTOMATIC1111", "DPM++ 2M", "Karras")
    assert foreign.prompt == "a red apple, <lora:glow:0.8> on a table\nsecond line"
    assert foreign.negative_prompt == "blurry, ugly\nbad hands"
    assert foreign.extras["Lora hashes"] == "glow: 0a1b2c3d4e5f, other: 12"
    values, unmapped = to_request(foreign, models={"sd15": "sha256:6ce0161689b3853acaa03779ec93eafe"})
    request = parse(values)
    assert isinstance(request, TextToImage)
    assert (request.width, request.height, request.steps, request.guidance_scale) == (512, 768, 28, 6.5)
    assert (request.seed, request.scheduler, request.model) == (1234567890, "dpmpp_2m_karras", "sd15")
    assert request.prompt == "a red apple, <lora:glow:0.8> on a table\nsecond line"  # the same token works here
    assert "Clip skip: 2" in unmapped
    assert "Denoising strength 0.75: it was made from another picture." in unmapped
    assert not [line for line in unmapped if "Version" in line]


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
@pytest.mark.parametrize("comment", [b"UNICODE\0" + A1111.encode("utf-16-be"), b"ASCII\0\0\0" + A1111.encode()])
def test_a1111_photographs_carry_it_in_the_exif_comment(format: str, comment: bytes) -> None:
    foreign = read(photo(comment, format))
    assert foreign is not None and foreign.numbers["steps"] == 28


@pytest.mark.parametrize(
    ("data", "software", "scheduler", "size", "seed"),
    [
        (png(parameters=json.dumps(FOOOCUS), fooocus_scheme="fooocus"), "Fooocus", "dpmpp_sde", (1152, 896), 987654),
        (photo(json.dumps(FOOOCUS).encode()), "Fooocus", "dpmpp_sde", (1152, 896), 987654),
        (png(invokeai_metadata=json.dumps(INVOKE)), "InvokeAI", "dpmpp_2m_karras", (512, 640), 42),
        (png(prompt=json.dumps(COMFY)), "ComfyUI", "euler_a", (512, 768), 5),
        (png(**NOVELAI), "NovelAI", "euler", (832, 1216), 77),
    ],
    ids=["fooocus png", "fooocus jpeg", "invokeai", "comfyui without workflow", "novelai"],
)
def test_other_studios_pictures_become_requests(
    data: bytes, software: str, scheduler: str, size: tuple[int, int], seed: int
) -> None:
    foreign = read(data)
    assert foreign is not None and foreign.software == software
    values, unmapped = to_request(foreign)
    request = parse(values)
    assert isinstance(request, TextToImage)
    assert (request.prompt, request.negative_prompt) == ("a red apple", "ugly")
    assert (request.scheduler, request.width, request.height, request.seed) == (scheduler, *size, seed)
    assert any("is not here: the chosen model is used." in line for line in unmapped)


def test_legacy_invokeai_command_is_read() -> None:
    foreign = read(png(Dream='"a red apple [ugly]" -s 20 -S 5 -W 512 -H 256 -C 7.5 -A k_lms'))
    assert foreign is not None
    assert (foreign.prompt, foreign.negative_prompt) == ("a red apple", "ugly")
    assert foreign.numbers == {"steps": 20, "seed": 5, "width": 512, "height": 256, "cfg_scale": 7.5}


def test_values_out_of_bounds_are_moved_inside_and_said() -> None:
    foreign = Foreign(
        "ComfyUI",
        prompt="x" * 3000,
        sampler="res_multistep",
        numbers={"steps": 500, "cfg_scale": 0.5, "width": 1030, "height": 9000, "seed": 2**60},
    )
    values, unmapped = to_request(foreign)
    request = parse(values)
    assert isinstance(request, TextToImage)
    assert (request.steps, request.guidance_scale, request.width, request.height) == (150, 1, 1032, 2048)
    assert "Sampler res_multistep is not here: DPM++ 2M is used." in unmapped
    assert "Steps 500 became 150: it must be a whole number between 1 and 150." in unmapped
    assert "Prompt: only the first 2,000 of 3,000 characters were taken." in unmapped
    assert f"Seed {2**60} is not between 0 and 4294967295: a new one is drawn." in unmapped


def test_picture_without_prompt_says_so() -> None:
    assert "It carries no prompt." in to_request(Foreign("InvokeAI"))[1]


def test_pictures_that_say_nothing_give_nothing() -> None:
    for data in (
        png(),
        png(parameters="just words, no pairs"),
        png(Comment="x"),
        photo(b""),
        b"",
        b"\x89PNG\r\n\x1a\n",
    ):
        assert read(data) is None


def test_parameters_are_written_as_a1111s_reader_expects() -> None:
    request = TextToImage(
        prompt="a red apple\nsecond line",
        negative_prompt="blurry",
        seed=1,
        steps=28,
        guidance_scale=6.5,
        scheduler="dpmpp_2m_karras",
        width=512,
        height=768,
        model="my, model",
        batch=4,
    )
    text = a1111_parameters(request, 3, {"checksum": "sha256:6ce0161689b3853a", "size": (512, 768)})
    assert text == (
        "a red apple\nsecond line\nNegative prompt: blurry\n"
        "Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 3, Size: 512x768, "
        'Model hash: 6ce0161689, Model: "my, model", Version: Tessera Studio 0.1.0'
    )
    made = {"drawn": {"prompt": "a blue (hat:1.2)", "negative_prompt": ""}, "variation_seed": 12, "size": (256, 256)}
    ink = StyleWords(name="ink", prompt="ink of {prompt}", negative_prompt="photo")
    varied = TextToImage(prompt="a {red|blue} (hat:1.2)", styles=(ink,), variation_strength=0.25, variation_seed=11)
    text = a1111_parameters(varied, 3, made)
    assert text.startswith("ink of a blue (hat:1.2)\nNegative prompt: photo\nSteps: 20, ")
    assert "Size: 256x256, Variation seed: 12, Variation seed strength: 0.25, Version" in text
    foreign = read(png(parameters=text))
    assert foreign is not None
    values, _ = to_request(foreign)
    assert (values["variation_seed"], values["variation_strength"]) == (12, 0.25)
    axes = [
        {"field": "steps", "title": "Steps", "values": ["10", "20"]},
        {"field": "width", "title": "Width", "values": ["64"]},
    ]
    text = a1111_parameters(TextToImage(prompt="a"), None, {"grid": {"axes": axes}, "size": (900, 700)})
    assert (
        'Size: 256x256, Script: X/Y/Z plot, X Type: Steps, X Values: "10, 20", Y Type: Width, Y Values: 64, V' in text
    )
    inpaint = Inpaint(prompt="a hat", source="0" * 64, mask="1" * 64, strength=0.75, seed=9)
    assert "Size: 64x32, Denoising strength: 0.75, Version" in a1111_parameters(inpaint, 9, {"size": (64, 32)})
    assert a1111_parameters(Reconstruct(source="0" * 64), None, {}) == ""


def test_a1111s_parser_agrees_with_sd_parsers_on_what_both_know() -> None:
    from sd_parsers.parsers import AUTOMATIC1111Parser

    info = AUTOMATIC1111Parser().parse({"parameters": A1111})
    ours = parse_parameters(A1111)
    assert info.full_prompt == ours.prompt
    assert info.full_negative_prompt == ours.negative_prompt
    assert info.samplers[0].parameters["seed"] == ours.pairs["Seed"]


PROMPTS = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\u202a\u202b\u202c\u202d\u202e"),
    min_size=1,
    max_size=200,
)


@given(prompt=PROMPTS, negative=PROMPTS, seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 150))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_back(prompt: str, negative: str, seed: int, steps: int) -> None:
    request = parse(
        {"kind": "text_to_image", "prompt": f"a {prompt}", "negative_prompt": negative, "seed": seed, "steps": steps}
    )
    assert isinstance(request, TextToImage)
    info = parse_parameters(a1111_parameters(request, seed, {"model": negative[:100]}))
    assert info.pairs["Seed"] == str(seed) and info.pairs["Steps"] == str(steps)
    if "Negative prompt:" not in prompt + negative:
        assert info.prompt == request.prompt
        assert info.negative_prompt == request.negative_prompt


@given(st.text(max_size=80))
@settings(max_examples=60, deadline=None)
def test_quoted_values_come_back(text: str) -> None:
    text = text.strip()
    if not (text.startswith('"') and text.endswith('"')):
        assert unquote(quote(text)) == text


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


def node(other: int) -> dict[str, Any]:
    """A sampler that takes its model and its prompt from node `other`."""
    links = {"model": [str(other), 0], "positive": [str(other), 0]}
    return {"class_type": "KSampler", "inputs": {"steps": 1, "cfg": 1, "sampler_name": "e", **links}}


HOSTILE: dict[str, dict[str, str]] = {
    "deep json": {"prompt": f'{{"1": {deep(90_000)}}}', "invokeai_metadata": f'{{"a": {deep(40)}}}'},
    "not json": {"prompt": "{", "invokeai_metadata": "[1]", "Comment": "null", "Description": "", "Source": ""},
    "wrong types": {"prompt": json.dumps({"1": {"class_type": 5, "inputs": {"steps": [], "cfg": {}, "seed": "x"}}})},
    "circle": {"prompt": json.dumps({"0": node(1), "1": node(0)})},
    "many nodes": {"prompt": json.dumps({str(n): {"inputs": {"a": [str(n - 1), 0]}} for n in range(20_000)})},
    "huge numbers": {"parameters": f"x\nSteps: {'9' * 5000}, CFG scale: 1e999, Seed: nan, Size: 99999x99999, A: inf"},
    "huge json number": {"invokeai_metadata": '{"scheduler": "e", "seed": ' + "9" * 9000 + "}"},
    "long line": {"parameters": "a" * 900_000},
    "blanks": {"Dream": '"x"' + " " * 900_000 + "-"},
    "quotes": {"parameters": "x\n" + 'a b: "' * 100_000},
    "model without name": {"invokeai_metadata": json.dumps({"scheduler": "e", "model": {"model_name": None}})},
    "code": {"parameters": json.dumps({**FOOOCUS, "resolution": "__import__('os').system('touch /tmp/x')"})},
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_metadata_neither_hangs_nor_escapes(name: str) -> None:
    foreign = read(png(**HOSTILE[name]))
    if foreign is not None:
        values, _ = to_request(foreign)
        parse({**values, "prompt": values["prompt"] or "x"})
        assert len(foreign.extras) <= 60


def test_chunks_over_a_megabyte_are_left_alone() -> None:
    assert read(png(parameters=A1111 + " " * 2**20)) is None
    packed = PngImagePlugin.PngInfo()
    packed.add_text("parameters", A1111 + " " * 5_000_000, zip=True)
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG", pnginfo=packed)
    assert len(buffer.getvalue()) < 20_000
    assert read(buffer.getvalue()) is None


def test_mutated_metadata_is_read_or_left_alone(figure: Callable[..., None]) -> None:
    """Promise R9: recipes of all five studios, mutated; nothing is raised, and what is read can be requested."""
    originals: list[dict[str, str]] = [
        {"parameters": A1111},
        {"parameters": json.dumps(FOOOCUS)},
        {"invokeai_metadata": json.dumps(INVOKE)},
        {"prompt": json.dumps(COMFY), "workflow": "{}"},
        NOVELAI,
    ]
    generator = random.Random(3)
    alphabet = string.printable + "🍎苹\u202e\x00"
    understood = 0
    rounds = count(1000, 10_000)
    for round_ in range(rounds):
        texts: dict[str, str] = {}
        for keyword, text in originals[round_ % 5].items():
            letters = list(text)
            for _ in range(generator.randint(0, 4)):
                letters[generator.randrange(len(letters))] = generator.choice(alphabet)
            texts[keyword] = "".join(letters)[: generator.choice([len(letters)] * 4 + [len(letters) // 2])]
        foreign = read(png(**{k: v.replace("\0", "") for k, v in texts.items()}))
        if foreign is not None:
            values, _ = to_request(foreign)
            parse({**values, "prompt": values["prompt"] or "x"})
            understood += 1
    figure(damaged_recipes=rounds, understood=understood, crashes=0)
    assert understood > rounds // 4


KEYS = ["inputs", "class_type", "steps", "cfg", "seed", "model", "prompt", "sampler", "scheduler", "positive", "image"]
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=30,
)


@given(JSON)
@settings(max_examples=80, deadline=None)
def test_any_json_in_a_known_place_is_survived(value: Any) -> None:
    text = json.dumps(value)
    for keyword in ("prompt", "invokeai_metadata", "sd-metadata", "parameters", "Comment"):
        read(png(**{keyword: text, "Description": "d", "Source": "s"}))
