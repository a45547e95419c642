"""What goes wrong most often, and what a result says of itself, in Chinese.

An error says itself in English, wherever it is raised and however far it travels (another process, the journal, the
command line); the page sends the Chinese of it along. The English sentence is the key, as in gettext, with `{name}`
for each value; a sentence without its line here stays English. `tests/ui/test_error_texts.py` raises every one.
What a value may look like keeps a short sentence ("Use 128.") from taking a longer one for its own.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from studio.ui.texts import tables

SENTENCES: dict[str, str] = {
    # what was asked for
    "{title} is empty.": "{title}为空。",
    "Write a few words for what you want to see: a red apple, 3d style.": (
        "写几个词说明想看到什么：a red apple, 3d style。"
    ),
    "{title} is too long ({length} of {limit} characters).": "{title}太长（{length} 个字符，上限 {limit}）。",
    "Shorten it.": "请缩短。",
    "{title} must be a whole number between {low} and {high}, not {value}.": (
        "{title}必须是 {low} 到 {high} 之间的整数，不能是 {value}。"
    ),
    "{title} must be a number between {low} and {high}, not {value}.": (
        "{title}必须是 {low} 到 {high} 之间的数，不能是 {value}。"
    ),
    "{title} must be a multiple of {grid} between {low} and {high}, not {value}.": (
        "{title}必须是 {low} 到 {high} 之间 {grid} 的倍数，不能是 {value}。"
    ),
    "{title} must be a multiple of {grid} between {low} and {high} for {model}, not {value}.": (
        "对于 {model}，{title}必须是 {low} 到 {high} 之间 {grid} 的倍数，不能是 {value}。"
    ),
    "Use {number}.": "请用 {number}。",
    # models and names
    "There is no model yet.": "还没有模型。",
    "Put one into the checkpoints folder.": "请把模型放入 checkpoints 文件夹。",
    'There is no model "{name}".': "没有名为“{name}”的模型。",
    'There is no scheduler "{name}".': "没有名为“{name}”的调度器。",
    "Did you mean {names}?": "是不是 {names}？",
    "There is {names}.": "现有：{names}。",
    '"{file}" is missing.': "缺少“{file}”。",
    "Put the file back, or choose another model.": "请放回文件，或换一个模型。",
    "{model} only makes pictures from prompts.": "{model} 只能根据提示词生成图片。",
    "{model} draws tokens; it takes no noise away.": "{model} 绘制的是编码，不做去噪。",
    "Choose another model here.": "请在这里换一个模型。",
    # memory
    "There is not enough memory for {size}.": "内存不足，无法生成 {size}。",
    "There is not enough memory for {size} × {count} pictures.": "内存不足，无法同时生成 {count} 张 {size}。",
    "There is not enough memory for this.": "内存不足。",
    "This needs about {need} GB; {free} GB is free.": "约需 {need} GB 内存，现有 {free} GB 可用。",
    "Try {size}.": "请试试 {size}。",
    "Try {size} with {count} pictures at a time.": "请试试 {size}，每次 {count} 张。",
    "Close other programs, or use a smaller model.": "请关闭其他程序，或使用较小的模型。",
    # the queue and the engine
    "The studio is busy ({count} jobs waiting).": "工作室正忙（{count} 个任务排队中）。",
    "Try again in a minute.": "请一分钟后再试。",
    "You already have {count} jobs waiting.": "你已有 {count} 个任务在排队。",
    "Wait for one to finish, or stop one.": "请等一个完成，或停止一个。",
    "The system stopped the engine, most likely because memory ran out.": "系统终止了引擎，很可能是内存不足。",
    "A new engine is starting. Try a smaller size or fewer pictures at once.": (
        "新的引擎正在启动。请试试较小的尺寸或较少的张数。"
    ),
    "The engine crashed.": "引擎崩溃了。",
    "A new engine is starting. Try again; the log says more if it happens twice.": (
        "新的引擎正在启动。请再试一次；若再次发生，日志中有详情。"
    ),
    "The model produced invalid values (NaN) at step {step} of {total}.": (
        "模型在第 {step} 步（共 {total} 步）产生了无效数值（NaN）。"
    ),
    "Try another seed or scheduler; if it happens again, set dtype to float32 in the settings.": (
        "请换一个种子或调度器；若再次发生，请在设置中将 dtype 设为 float32。"
    ),
    # pictures and masks
    "There is no picture yet.": "还没有图片。",
    "Drop one on the canvas, paste one, or take one from the gallery.": "请把图片拖到画布上、粘贴，或从图库选择。",
    "Choose the picture to give a style.": "请选择要转换风格的图片。",
    "Choose the picture to enlarge.": "请选择要放大的图片。",
    "Paint the part to change.": "请涂出要修改的部分。",
    "Nothing is painted yet. Or extend a side of the picture.": "还没有涂抹任何部分。也可以扩展图片的一边。",
    "The mask is empty: paint the part to change.": "遮罩为空：请涂出要修改的部分。",
    '"{file}" is not a PNG, JPEG or WebP image.': "“{file}”不是 PNG、JPEG 或 WebP 图片。",
    "{kind} is not supported.": "不支持 {kind}。",
    "Save it as PNG, JPEG or WebP and open that.": "请另存为 PNG、JPEG 或 WebP 后再打开。",
    '"{file}" is damaged or incomplete.': "“{file}”已损坏或不完整。",
    "Export or download it again, then open that.": "请重新导出或下载后再打开。",
    "Image is {count} megapixels; the limit is {limit}.": "图片有 {count} 百万像素，上限是 {limit}。",
    "Make it smaller and open that.": "请缩小后再打开。",
    "The picture this needs is not here any more.": "所需的图片已不在这里。",
    "Choose it again.": "请重新选择。",
    # notes on a result
    "Drawn tokens have no film and cannot be forked: change a setting and draw anew, or paint by diffusion.": (
        "按词元绘制的结果没有过程胶片，也无法分叉：请修改设置后重新绘制，或改用扩散绘制。"
    ),
    "This model keeps no steps: its pictures have no film and cannot be forked.": (
        "此模型不保留步骤：其图片没有过程胶片，也无法分叉。"
    ),
    "The control picture was cut to the middle, to fit {width}×{height}.": (
        "控制图已居中裁剪，以适应 {width}×{height}。"
    ),
    "Not tried without a style picture: {methods}.": "没有风格图片，未试：{methods}。",
    "Not tried without style words: {methods}.": "没有风格词，未试：{methods}。",
    # styles
    "There is no style yet: choose a style picture, or write style words.": "还没有风格：请选择风格图片，或写风格词。",
    '"{methods}" takes its style from a picture, and there is none.': "“{methods}”取用图片的风格，而还没有风格图片。",
    "Choose a style picture.": "请选择风格图片。",
    '"{methods}" takes its style from words, and there are none.': "“{methods}”取用文字的风格，而还没有风格词。",
    "Write what it should look like, or pick a style.": "请写出想要的样子，或选一种风格。",
    # control pictures
    "Control from {start} until {end} is no part of the run.": "控制从 {start} 到 {end} 不是运行中的任何一段。",
    "Let it begin before it ends.": "起点须在终点之前。",
    "{model} takes no control picture.": "{model} 不支持控制图。",
    "Leave it out, or choose an SD model.": "请去掉控制图，或换用 SD 模型。",
    "Leave it out, or use {names}.": "请去掉控制图，或改用 {names}。",
    "There is no ControlNet for {base} models.": "没有适用于 {base} 模型的 ControlNet。",
    "Get one in the Models tab, or with studio models download.": (
        "请到“模型”页获取，或用 studio models download 下载。"
    ),
    "The {count} control pictures need a ControlNet each, and the studio has {nets} for {base} models.": (
        "{count} 张控制图各需一个 ControlNet，而适用于 {base} 模型的有 {nets} 个。"
    ),
    "Leave a picture out, name for each the ControlNet to use, or get another in the Models tab.": (
        "请去掉一张控制图，为每张指定 ControlNet，或到“模型”页再获取一个。"
    ),
    # the disk
    "Only {free} MB left; image not saved.": "磁盘只剩 {free} MB，图片未保存。",
    "Delete or export some images, then try again.": "请删除或导出一些图片后再试。",
    "Only {free} MB left; film not kept.": "磁盘只剩 {free} MB，过程未保留。",
    "The film of this picture is not kept any more.": "此图片的过程已不再保留。",
    "Make the picture again to see its steps.": "请重新生成该图片以查看其步骤。",
    "The disk is full; image not saved.": "磁盘已满，图片未保存。",
    "Delete or export some images.": "请删除或导出一些图片。",
}


_NUMBER = r"[\d.,]+"
_VALUES = {  # what may stand for a name, where it is not a number
    "size": r"\d+ ?× ?\d+",
    "names": r'".+"',
    "name": r'[^"]*',
    "file": r'[^"]+',
    "kind": r"[A-Z][\w -]{1,12}",
    "model": r".+",
    "base": r".+",
    "value": r".+",
    "methods": r".+",
}


def in_chinese(text: str) -> str:
    """Return a message or a hint in Chinese; one that has none stays as it is."""
    for pattern, chinese in _patterns():
        if found := pattern.fullmatch(text):
            values = {name: _listed(value) for name, value in found.groupdict().items()}
            return chinese.format_map(values)
    return text


def told(message: str, hint: str = "") -> dict[str, Any]:
    """Return a message and its hint as the page takes them: in English, and under "zh" in Chinese."""
    return {"message": message, "hint": hint, "zh": {"message": in_chinese(message), "hint": in_chinese(hint)}}


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Return the sentences as patterns, the one with the most words of its own first: it says more exactly what is."""
    longest_first = sorted(SENTENCES, key=lambda it: len(re.sub(r"\{\w+\}", "", it)), reverse=True)
    return [(_pattern(english), SENTENCES[english]) for english in longest_first]


def _pattern(english: str) -> re.Pattern[str]:
    values = {**_VALUES, "title": "|".join(map(re.escape, _titles()))}
    parts = re.split(r"\{(\w+)\}", english)  # words, name, words, name, ..., words
    return re.compile(
        "".join(
            f"(?P<{it}>{values.get(it, _NUMBER)})" if place % 2 else re.escape(it) for place, it in enumerate(parts)
        )
    )


def _listed(value: str) -> str:
    """Return a value with the titles in it, one or several with "; " between, in Chinese."""
    return "；".join(_titles().get(part, part) for part in value.split("; "))


@cache
def _titles() -> dict[str, str]:
    """Return the titles of fields and methods, English -> Chinese."""
    both = tables()
    return {text: both["zh"][key] for key, text in both["en"].items() if key.startswith(("field_", "doing_"))}
