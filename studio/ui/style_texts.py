"""The words of the Style tab and of picture wells, in English and Chinese; `studio.ui.texts` takes them in."""

from __future__ import annotations

from studio.stylize.methods import METHODS

WORDS: dict[str, tuple[str, str]] = {
    "tab_style": ("Style", "风格迁移"),
    "send_to_style": ("Send to Style", "发送到风格迁移"),
    "style_content": ("Picture", "图片"),
    "style_content_empty": (
        "Drop a picture here, paste one, or choose one below.",
        "把图片拖到这里、粘贴，或从下方选择。",
    ),
    "style_references": ("Style pictures", "风格图片"),
    "style_references_empty": (
        "One or more pictures whose look you like. Or only write style words.",
        "放入一张或多张你喜欢其风格的图片；也可以只写风格词。",
    ),
    "style_presets": ("Ready-made styles", "预设风格"),
    "style_presets_help": ("Words around yours; several can be combined", "会加在你的文字前后；可以叠加多个"),
    "style_import": ("Import styles …", "导入风格…"),
    "style_prompt_placeholder": ("a cat, watercolour, loose brush strokes", "a cat, watercolour（请用英文描述）"),
    "style_apply": ("Apply style", "应用风格"),
    "style_try_all": ("Try all methods", "试试所有方法"),
    "style_idle": ("Your picture in its new style appears here", "换上新风格的图片将显示在这里"),
    "style_idle_hint": (
        "Choose a picture and a style, then press Apply style.",
        "选择图片和风格，然后点“应用风格”。",
    ),
    "style_method": ("Method", "方法"),
    "style_method_help": ("How the style is carried over", "用什么方式迁移风格"),
    "style_then": ("Then", "然后"),
    "style_then_help": ("A second pass over the result; repainting is gentle here", "在结果上再处理一遍；重绘在此较轻"),
    "style_last": ("And last", "最后"),
    "style_last_help": ("A third pass", "第三遍处理"),
    "style_automatic": ("What suits the style", "自动选择"),
    "style_nothing_more": ("Nothing more", "不再处理"),
    "well_open": ("Open …", "打开…"),
    "well_from_gallery": ("Gallery …", "图库…"),
    "well_remove": ("Take out", "移除"),
    "well_weight": ("How much it counts", "所占比重"),
    "well_gone": ("This picture is not here any more. Choose it again.", "这张图片已不存在，请重新选择。"),
    "well_full": ("At most {count} pictures fit here. Take one out first.", "最多放 {count} 张图片，请先移除一张。"),
    "well_palette": ("Palette of {count} codes {name}", "包含 {count} 个编码的调色板 {name}"),
}

_METHODS_CHINESE = dict(
    colour=("色彩", "柔和地取用其色彩"),
    colour_transport=("色彩（完全）", "取用其全部色彩"),
    strokes=("笔触", "用它的碎片来画"),
    adain=("质感（轻）", "取用其对比与颗粒"),
    wct=("质感（重）", "取用其颗粒与色彩搭配"),
    tokens=("马赛克", "用它的编码重画"),
    tokens_nearest=("马赛克（最近）", "每块取最接近的编码"),
    tokens_histogram=("马赛克（按明暗）", "暗对暗，亮对亮"),
    diffusion=("按文字重绘", "按你写的风格重新绘制"),
    reference=("按图片重绘", "照风格图片重新绘制（需要 IP-Adapter）"),
)

FIELDS: dict[str, tuple[str, str]] = dict(
    prompt=("风格词", "想要的风格"),
    strength=("风格强度", "0 保持原图，1 完全是风格"),
    structure=("结构", "多大程度保持原图的形状"),
    keep_colours=("保留原图颜色", "取笔触与质感，不改颜色"),
    size=("处理尺寸", "处理时的长边像素；0 为自动选择"),
)


def words() -> dict[str, tuple[str, str]]:
    """Return key -> (English, Chinese), the methods' titles included, alone ("doing_tokens") and with their help."""
    methods = {}
    for method in METHODS:
        title, help_text = _METHODS_CHINESE[method.name]
        methods[f"doing_{method.name}"] = (method.title, title)
        methods[f"method_{method.name}"] = (f"{method.title}: {method.help}", f"{title}：{help_text}")
    return {**WORDS, **methods}
