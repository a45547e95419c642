"""The words of the Inpaint tab, in English and Chinese; `studio.ui.texts` takes them in."""

from __future__ import annotations

from studio.inpaint.methods import METHODS

_WORDS: dict[str, tuple[str, str]] = {
    "tab_inpaint": ("Inpaint", "局部重绘"),
    "send_to_inpaint": ("Send to Inpaint", "发送到局部重绘"),
    "inpaint_prompt_placeholder": (
        "What should appear there. Empty: go on with what is around it",
        "那里应该出现什么（请用英文描述）。留空：延续周围的画面",
    ),
    "inpaint_repair": ("Repair", "修复"),
    "inpaint_idle": ("What you make appears here", "结果将显示在这里"),
    "inpaint_idle_hint": ("Paint the part to change, then press Generate.", "涂抹要修改的部分，然后点“生成”。"),
    "inpaint_view_mask": ("Paint", "涂抹"),
    "inpaint_view_stage": ("Results", "结果"),
    "inpaint_accept": ("Accept", "采用"),
    "inpaint_throw_away": ("Throw away", "丢弃"),
    "inpaint_extend": ("Extend the picture", "扩展画面"),
    "inpaint_left": ("Left", "左"),
    "inpaint_top": ("Top", "上"),
    "inpaint_right": ("Right", "右"),
    "inpaint_bottom": ("Bottom", "下"),
    "inpaint_all_round": ("A quarter all round", "四周各四分之一"),
    "inpaint_no_extension": ("None", "不扩展"),
    "inpaint_mask": ("Mask and seam", "遮罩与接缝"),
    "inpaint_area_masked": ("Around the mask", "遮罩附近"),
    "inpaint_area_whole": ("The whole picture", "整张图片"),
    "prefill_original": ("The original", "原图"),
    "prefill_blur": ("Blurred surroundings", "模糊的周围"),
    "prefill_telea": ("Repair (Telea)", "修复（Telea）"),
    "prefill_navier_stokes": ("Repair (Navier-Stokes)", "修复（Navier-Stokes）"),
    "prefill_colour": ("One colour", "纯色"),
    "prefill_noise": ("Noise", "噪声"),
}

_METHODS_CHINESE = {
    "diffusion": ("按文字重绘", "把提示词所说的画进遮罩"),
    "tokens": ("重排编码", "由模型重新选取被遮住的编码"),
    "telea": ("修复", "灰尘、划痕、小污点；立即完成"),
    "navier_stokes": ("修复（平滑）", "同上，较宽的痕迹更平滑"),
}

FIELDS: dict[str, tuple[str, str]] = {
    "prompt": ("提示词", "重绘的部分应该显示什么"),
    "method": ("方法", "如何填充这一部分"),
    "strength": ("重绘强度", "1 完全忽略原来的内容"),
    "area": ("范围", "只处理遮罩附近，或处理整张图片"),
    "padding": ("周围", "模型能看到的周围像素"),
    "grow": ("扩大遮罩", "像素；负数为缩小"),
    "feather": ("羽化", "遮罩边缘的柔和过渡，像素"),
    "prefill": ("预填充", "模型从遮罩内的什么开始"),
    "fill_colour": ("填充颜色", "用于纯色预填充"),
    "soft": ("柔和遮罩", "遮罩的灰度即每个像素的强度"),
    "match_colours": ("匹配颜色", "让重绘部分与周围一致"),
    "size": ("处理尺寸", "模型处理时的边长像素；0 为模型自身的尺寸"),
    "batch": ("候选", "第 i 张使用种子 + i"),
    "temperature": ("温度", "用于选取编码的模型：0 取最可能的，越大越自由"),
}
"""Chinese title and help of the fields that Inpaint declares itself, or means differently."""


def words() -> dict[str, tuple[str, str]]:
    """Return key -> (English, Chinese), the methods' titles and help included."""
    methods = {}
    for method in METHODS:
        title, help_text = _METHODS_CHINESE.get(method.name, (method.title, method.help))
        methods[f"fill_{method.name}"] = (method.title, title)
        methods[f"fill_{method.name}_help"] = (f"{method.help[:1].upper()}{method.help[1:]}", help_text)
    return {**_WORDS, **methods}
