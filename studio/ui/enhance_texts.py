"""The words of the Enhance tab: key -> (English, Chinese); `studio.ui.texts` takes them in."""

from __future__ import annotations

WORDS: dict[str, tuple[str, str]] = {
    "tab_enhance": ("Enhance", "增强"),
    "send_to_enhance": ("Send to Enhance", "发送到增强"),
    "enhance_source": ("Picture", "图片"),
    "enhance_source_empty": ("Drop a picture here, paste it, or choose one.", "拖入、粘贴或选择一张图片。"),
    "enhance_idle_title": ("Larger, or in motion", "更大，或动起来"),
    "enhance_idle_hint": (
        "Choose a picture and press Enlarge. Or make a film from one prompt to another.",
        "选择图片后点“放大”，或制作从一个提示词到另一个的影片。",
    ),
    "enhance_go": ("Enlarge", "放大"),
    "enhance_plain": ("Plain", "普通"),
    "enhance_refine": ("Paint detail", "绘制细节"),
    "enhance_lanczos": ("Lanczos", "Lanczos"),
    "enhance_prompt_placeholder": ("what the picture shows", "图片内容（请用英文描述）"),
    "enhance_detail": ("Detail a part …", "为局部添加细节…"),
    "walk_title": ("A film from one prompt or seed to another", "从一个提示词或种子到另一个的影片"),
    "walk_prompt_placeholder": ("A red apple, 3d style", "A red apple, 3d style（起点）"),
    "walk_to_placeholder": ("A green pear, 3d style", "A green pear, 3d style（终点）"),
    "walk_go": ("Make the film", "制作影片"),
    "walk_download": ("Download the film", "下载影片"),
}
FIELDS: dict[str, dict[str, tuple[str, str]]] = {
    "upscale": {
        "scale": ("倍数", "宽和高的倍数"),
        "method": ("方式", "普通只放大；绘制细节由模型补充"),
        "upscaler": ("放大模型", "留空：Lanczos"),
        "strength": ("重绘强度", "补充细节的自由程度"),
        "prompt": ("提示词", "图片内容，用于补充细节"),
    },
    "walk": {
        "to_prompt": ("终点提示词", "留空：相同提示词"),
        "to_seed": ("终点种子", "留空：随机"),
        "frames": ("帧数", "每帧都是一张独立的图"),
        "ease": ("缓动", "起止放慢"),
        "bounce": ("往返", "放完再倒放"),
        "format": ("格式", "影片的文件格式"),
        "fps": ("每秒帧数", "播放速度"),
    },
}
