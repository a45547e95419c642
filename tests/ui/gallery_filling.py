"""Pictures for the tests of the gallery page: of this studio, related across tabs, and of other studios."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from fake_engine import picture
from PIL import ExifTags, Image, PngImagePlugin

from studio.gallery import Entry, Gallery
from studio.pictures import PictureStore
from studio.requests import Inpaint, Request, Stylize, TextToImage


def make(gallery: Gallery, owner: str, prompt: str, *, seed: int = 0, **changes: Any) -> Entry:
    """Save a picture made from words."""
    given: dict[str, Any] = {"steps": 7 + seed, "model": "fake-256", "width": 64, "height": 64, **changes}
    request = TextToImage(prompt=prompt, seed=seed, **given)
    return keep(gallery, owner, picture(request, 0, 1.0), request, seed=seed)


def keep(gallery: Gallery, owner: str, image: Image.Image, request: Request, *, seed: int | None = None) -> Entry:
    """Save `image` as what `request` made."""
    facts = {"model": getattr(request, "model", "")}
    return gallery.save(image, request=request, seed=seed, facts=facts, job_id="0" * 16, owner=owner)


def family(gallery: Gallery, pictures: PictureStore, owner: str) -> list[Entry]:
    """Save a picture, one painted into it through a mask, and one styled after a reference from that."""
    first = make(gallery, owner, "a red apple", seed=1)
    pixels = gallery.open(first.id)
    mask = Image.new("L", pixels.size)
    mask.paste(255, (8, 8, 40, 40))
    painted = pixels.copy()
    painted.paste("green", (8, 8, 40, 40))
    inpaint = Inpaint(prompt="a green pear", source=pictures.put(pixels), mask=pictures.put(mask), seed=2)
    second = keep(gallery, owner, painted, inpaint, seed=2)
    reference = pictures.put(Image.new("RGB", (48, 48), "navy"))
    stylize = Stylize(content=pictures.put(painted), references=(reference,), seed=3)
    third = keep(gallery, owner, painted.convert("L").convert("RGB"), stylize, seed=3)
    return [first, second, third]


A1111 = (
    "a lighthouse at dusk\nNegative prompt: blurry\n"
    "Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, "
    "CFG scale: 6.5, Seed: 1234567890, Size: 64x96, Model hash: 6ce0161689, Model: dreamy_v1, Clip skip: 2, "
    "Version: v1.10.1"
)
COMFYUI = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            **{
                "seed": 5,
                "steps": 20,
                "cfg": 8,
                "sampler_name": "euler_ancestral",
                "scheduler": "normal",
                "denoise": 1,
            },
            **{"model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]},
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "v1-5.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a ship in a bottle", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "ugly", "clip": ["4", 1]}},
}
INVOKEAI = {
    **{"generation_mode": "txt2img", "positive_prompt": "a stone bridge", "negative_prompt": "", "seed": 42},
    **{"width": 512, "height": 640, "cfg_scale": 7.5, "steps": 30, "scheduler": "dpmpp_2m_k"},
    "model": {"model_name": "stable-diffusion-v1-5", "hash": "abc"},
}
FOOOCUS = {
    **{"prompt": "a paper crane", "negative_prompt": "", "steps": 30, "guidance_scale": 4.0, "seed": "987654"},
    **{"resolution": "(1152, 896)", "sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras", "base_model": "juggernautXL"},
    **{"base_model_hash": "", "version": "Fooocus v2.5.5", "metadata_scheme": "fooocus"},
}
NOVELAI = {
    "Description": "a night train",
    "Software": "NovelAI",
    "Source": "NovelAI Diffusion V4 37442FCA",
    "Comment": json.dumps(
        {
            **{"prompt": "a night train", "uc": "ugly", "steps": 28, "scale": 5.0, "seed": 77},
            **{"sampler": "k_euler", "width": 832, "height": 1216},
        }
    ),
}


def foreign_files(folder: Path) -> list[Path]:
    """Write one picture of each other studio, as that studio writes them, and one that is damaged."""
    studios = {
        "00012-1234567890.png": _png(1, parameters=A1111),
        "ComfyUI_00001_.png": _png(2, prompt=json.dumps(COMFYUI), workflow="{}"),
        "5f3a-invoke.png": _png(3, invokeai_metadata=json.dumps(INVOKEAI)),
        "2026-11-22_fooocus.jpg": _jpeg(4, json.dumps(FOOOCUS).encode()),
        "night train s-77.png": _png(5, **NOVELAI),
        "holiday.jpg": _jpeg(6, b""),
        "broken.png": b"\x89PNG\r\n\x1a\nnot a picture",
    }
    for name, data in studios.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in studios]


def _image(seed: int) -> Image.Image:
    return picture(TextToImage(prompt="x", seed=seed, width=64, height=96), 0, 1.0)


def _png(seed: int, **texts: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword, text)
    buffer = io.BytesIO()
    _image(seed).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def _jpeg(seed: int, comment: bytes) -> bytes:
    exif = Image.Exif()
    if comment:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    buffer = io.BytesIO()
    _image(seed).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()
