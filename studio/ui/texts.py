"""Every fixed word on the page, in English and Chinese.

Titles and help of request fields are declared in `studio.requests`; only their Chinese stands here. Python
code uses `text(key)` (Gradio translates it in the browser); scripts get the same tables from `script()`.
`{name}` marks a value that a script fills in.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Literal

import gradio as gr
from gradio.i18n import I18nData

from studio.fields import field_spec
from studio.requests import Inpaint, Request, Stylize, TextToImage, Upscale, Walk
from studio.ui import create_texts, enhance_texts, inpaint_texts, style_texts
from studio.ui.film_page.words import WORDS as FILM_WORDS
from studio.ui.gallery_page.words import WORDS
from studio.ui.models_page.words import WORDS as MODELS_WORDS
from studio.ui.sharing_page.words import WORDS as SHARING_WORDS
from studio.ui.train_page.words import WORDS as TRAIN_WORDS

FIELDS = (
    "prompt",
    "negative_prompt",
    "model",
    "vae",
    "steps",
    "guidance_scale",
    "scheduler",
    "seed",
    "batch",
    "width",
    "height",
)

_PAGE: dict[str, tuple[str, str]] = {
    "tab_create": ("Create", "创作"),
    "tab_codebook": ("Codebook", "码本"),
    "tab_gallery": ("Gallery", "图库"),
    "generate": ("Generate", "生成"),
    "stop": ("Stop", "停止"),
    "stopping": ("Stopping …", "正在停止…"),
    "size": ("Size", "尺寸"),
    "quality": ("Quality", "质量"),
    "draft": ("Draft", "草稿"),
    "standard": ("Standard", "标准"),
    "fine": ("Fine", "精细"),
    "advanced": ("Advanced", "高级设置"),
    "seed_placeholder": ("random", "随机"),
    "prompt_placeholder": ("A red apple on a white table, 3d style", "红苹果，白色桌子，3d style（请用英文描述）"),
    "negative_placeholder": ("blurry, dark", "blurry, dark（模糊、昏暗）"),
    "style_words": ("Style", "风格"),
    "examples": ("Try one of these", "试试这些"),
    "reuse_seed": ("Reuse seed", "沿用种子"),
    "use_settings": ("Use settings", "沿用全部设置"),
    "download": ("Download PNG", "下载 PNG"),
    "send_to_codebook": ("Send to Codebook", "发送到码本"),
    "search": ("Search", "搜索"),
    "search_placeholder": ("Words of the prompt", "提示词中的文字"),
    "starred_only": ("Starred only", "只看收藏"),
    "star": ("Star", "收藏"),
    "unstar": ("Remove star", "取消收藏"),
    "trash": ("Move to trash", "移到回收站"),
    "undo": ("Undo", "撤销"),
    "vae_own": ("The model's own", "模型自带的"),
    "more": ("Show more", "显示更多"),
}

_SCRIPTS: dict[str, tuple[str, str]] = {
    "idle_title": ("Your picture appears here", "图片将显示在这里"),
    "idle_hint": ("Describe what you want to see, then press Generate.", "写下想看到的画面，然后点“生成”。"),
    "queued": ("Waiting: place {position} in the queue", "排队中：第 {position} 位"),
    "loading": ("Loading {what}", "正在加载 {what}"),
    "step": ("Step {index} of {total}", "第 {index} 步，共 {total} 步"),
    "left": ("about {seconds} s left", "约剩 {seconds} 秒"),
    "left_minutes": ("about {minutes} min left", "约剩 {minutes} 分钟"),
    "decoding": ("Finishing the picture", "正在完成图片"),
    "stopping_step": ("Stopping after this step", "本步完成后停止"),
    "finished": ("Seed {seed} · {seconds} s", "种子 {seed} · {seconds} 秒"),
    "cancelled": ("Stopped at step {step}", "已在第 {step} 步停止"),
    "cancelled_waiting": ("Stopped before it began", "开始前已停止"),
    "failed": ("That did not work", "未能完成"),
    "waiting_more": ("{count} more waiting", "还有 {count} 个在排队"),
    "film": ("The steps on the way", "生成过程"),
    "film_step": ("Step {index}", "第 {index} 步"),
    "picture_of": ("Picture {index} of {total}, seed {seed}", "第 {index} 张，共 {total} 张，种子 {seed}"),
    "enlarge": ("Enlarge", "放大"),
    "before": ("Before", "之前"),
    "after": ("After", "之后"),
    "original": ("The original", "原图"),
    "untouched": (
        "{changed} of {outside} pixels outside the mask changed",
        "遮罩外的 {outside} 个像素中有 {changed} 个改变",
    ),
    "compare": ("Slide between before and after", "拖动对比前后"),
    "close": ("Close", "关闭"),
    "connection_lost": (
        "The studio does not answer. Is it still running in its terminal?",
        "工作室没有响应。它还在终端里运行吗？",
    ),
    "ready": ("Ready", "就绪"),
    "at_work": ("At work", "生成中"),
    "dark": ("Dark", "深色"),
    "light": ("Light", "浅色"),
    "gallery_empty": ("No pictures yet", "还没有图片"),
    "gallery_empty_hint": (
        "Everything you make is kept here, with its settings. Go to Create and press Generate.",
        "你生成的每张图片及其设置都保存在这里。请到“创作”页点“生成”。",
    ),
    "gallery_no_match": ("Nothing matches", "没有匹配的图片"),
    "gallery_no_match_hint": ("Try fewer or other words.", "请减少或更换搜索词。"),
    "gallery_pick": ("Choose a picture to see how it was made", "选择一张图片，查看它的制作设置"),
    "starred": ("Starred", "已收藏"),
    "size_pixels": ("Size", "尺寸"),
}

_FIELDS_CHINESE: dict[str, tuple[str, str]] = {
    "prompt": ("提示词", "你想看到的画面"),
    "negative_prompt": ("反向提示词", "不希望出现的内容"),
    "model": ("模型", "留空：使用默认模型"),
    "vae": ("自编码器（VAE）", "用于 SD 模型的编解码；留空：模型自带的"),
    "steps": ("步数", "步数越多越精细，也越慢"),
    "guidance_scale": ("引导强度", "多大程度遵循提示词；1 表示关闭"),
    "scheduler": ("调度器", "去除噪声的方法"),
    "seed": ("种子", "相同种子得到相同图片；留空：随机"),
    "batch": ("张数", "第 i 张使用种子 + i"),
    "width": ("宽度", "像素"),
    "height": ("高度", "像素"),
}


@cache
def tables() -> dict[str, dict[str, str]]:
    """Return language -> key -> text."""
    both = {**_PAGE, **_SCRIPTS, **WORDS, **SHARING_WORDS, **MODELS_WORDS, **TRAIN_WORDS, **FILM_WORDS}
    both |= enhance_texts.WORDS
    both |= style_texts.words() | inpaint_texts.words() | create_texts.words()
    shared = {name: _FIELDS_CHINESE[name] for name in FIELDS}
    both |= _fields("", TextToImage, {**shared, **create_texts.FIELDS})
    both |= _fields("stylize_", Stylize, style_texts.FIELDS) | _fields("inpaint_", Inpaint, inpaint_texts.FIELDS)
    both |= _fields("upscale_", Upscale, enhance_texts.FIELDS["upscale"])
    both |= _fields("walk_", Walk, enhance_texts.FIELDS["walk"])
    return {
        "en": {key: english for key, (english, _) in both.items()},
        "zh": {key: chinese for key, (_, chinese) in both.items()},
    }


def _fields(prefix: str, request: type[Request], chinese: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Return the titles and the help of `request`'s fields that `chinese` names, as key -> (English, Chinese)."""
    both = {}
    for name, (title, help_text) in chinese.items():
        spec = field_spec(request, name)
        both[f"field_{prefix}{name}"], both[f"help_{prefix}{name}"] = (spec.title, title), (spec.help, help_text)
    return both


def field_text(part: Literal["field", "help"], request: type[Request], name: str) -> I18nData:
    """Return the title or the help of a request's field: its own words, or those that all requests share."""
    own = f"{part}_{request.model_fields['kind'].default}_{name}"
    return text(own if own in tables()["en"] else f"{part}_{name}")


def text(key: str) -> I18nData:
    """Return the text `key`, which the browser shows in its own language; raises KeyError for an unknown key."""
    if key not in tables()["en"]:
        raise KeyError(key)
    return I18nData(key)


def translations() -> gr.I18n:
    """Return the tables in Gradio's form; Chinese of every region falls back to the one table."""
    languages = tables()
    chinese = languages["zh"]
    return gr.I18n(**{"en": languages["en"], "zh": chinese, "zh-CN": chinese, "zh-TW": chinese})


def script() -> str:
    """Return the tables as JavaScript, for the page's own scripts."""
    return f"window.tessera = window.tessera || {{}};\ntessera.texts = {json.dumps(tables(), ensure_ascii=False)};\n"
