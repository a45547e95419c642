"""The words of the Create tab's craft, in English and Chinese; `studio.ui.texts` takes them in."""

from __future__ import annotations

_WORDS: dict[str, tuple[str, str]] = {
    "create_styles": ("Ready-made styles", "现成风格"),
    "create_chosen_styles": ("Styles: {names}", "风格：{names}"),
    "create_styles_search": ("Search styles", "搜索风格"),
    "create_styles_import": ("Import styles (JSON or CSV)", "导入风格（JSON 或 CSV）"),
    "create_style_picture": ("Use the picture on the right for this style", "用右侧图片作为该风格的图片"),
    "create_control": ("Control pictures", "控制图"),
    "create_control_second": ("A second control picture", "第二张控制图"),
    "create_control_third": ("A third control picture", "第三张控制图"),
    "create_control_picture": ("Picture", "图片"),
    "create_control_picture_empty": (
        "Its shapes steer yours: a photo, a sketch, a control map.",
        "它的形状会引导画面：照片、草图或控制图。",
    ),
    "create_control_first": ("The first that fits the model", "首个适合该模型的"),
    "create_control_none": (
        "There is no ControlNet yet. Get one in the Models tab.",
        "还没有 ControlNet，请到“模型”页获取。",
    ),
    "create_prepare_none": ("As it is", "原样"),
    "create_prepare_canny": ("Edges", "边缘"),
    "create_prepare_invert": ("Inverted", "反相"),
    "create_prepare_inpaint": ("Painted part out", "去掉涂抹处"),
    "create_tokens": ("{tokens} of {room} tokens", "{tokens} / {room} 个词元"),
    "create_tokens_cut": (
        "{tokens} of {room} tokens: the model does not read the end",
        "{tokens} / {room} 个词元：模型读不到末尾",
    ),
    "create_tokens_chunks": ("{tokens} tokens in {chunks} parts", "{tokens} 个词元，分 {chunks} 段"),
    "create_syntax": (
        "(red:1.3) weighs · [cat:dog:0.5] switches · {a|b} is random",
        "(red:1.3) 加权 · [cat:dog:0.5] 切换 · {a|b} 随机",
    ),
    "create_random_words": ("Random: {words}", "随机：{words}"),
    "create_history": ("Prompt history", "提示词历史"),
    "create_history_search": ("Words of an earlier prompt", "搜索用过的提示词"),
    "create_history_empty": ("What you generate is remembered here.", "生成过的提示词会记在这里。"),
    "create_history_none": ("No prompt has these words.", "没有包含这些词的提示词。"),
    "create_history_forget": ("Forget this prompt", "忘掉这条提示词"),
    "create_history_times": ("{times} times", "{times} 次"),
    "create_history_keys": ("Alt+↑ and Alt+↓ in the prompt go through it.", "在提示词中按 Alt+↑、Alt+↓ 可翻阅。"),
    "create_first_run": ("First run of this model here: the time is not known yet", "此模型首次运行：尚不知所需时间"),
    "create_takes": ("About {time}", "约 {time}"),
    "create_seconds": ("{count} s", "{count} 秒"),
    "create_minutes": ("{count} min", "{count} 分钟"),
    "create_hours": ("{count} h", "{count} 小时"),
    "create_memory": ("{need} GB of {free} GB free", "需 {need} GB，可用 {free} GB"),
    "create_place": ("place {place} in the queue", "排在第 {place} 位"),
    "create_short": (
        "This needs about {need} GB; {free} GB is free.",
        "约需 {need} GB，而可用内存为 {free} GB。",
    ),
    "create_smaller_size": ("Use {width} × {height}", "改用 {width} × {height}"),
    "create_smaller_batch": ("Make {batch} at a time", "一次生成 {batch} 张"),
    "create_series": ("Grid and batch", "对比图与批量"),
    "create_axis_x": ("Across", "横向"),
    "create_axis_y": ("Down", "纵向"),
    "create_axis_z": ("Blocks", "分组"),
    "create_axis_none": ("nothing", "无"),
    "create_axis_search": ("Prompt words", "提示词中的词"),
    "create_axis_values": ("Values", "取值"),
    "create_axis_placeholder": ("10, 20, 30 or 10-40 [4]", "10, 20, 30 或 10-40 [4]"),
    "create_axis_help": (
        "Numbers: 10, 20 or 1-10 or 1-10 (+3) or 1-10 [4]. Words: red, blue, green: the first is replaced by the rest.",
        "数字：10, 20、1-10、1-10 (+3) 或 1-10 [4]。词：red, blue, green，用后面的依次替换第一个。",
    ),
    "create_grid": ("Make the grid", "生成对比图"),
    "create_grid_size": ("{count} pictures", "共 {count} 张"),
    "create_grid_takes": ("{count} pictures, about {time}", "共 {count} 张，约 {time}"),
    "create_batch_file": ("Batch from a file", "从文件批量生成"),
    "create_batch_help": (
        "One prompt a line, or a CSV or JSON of settings. Each is a picture of its own in the gallery.",
        "每行一条提示词，或含各项设置的 CSV / JSON。每条各成一张，存入图库。",
    ),
    "create_series_done": ("{done} of {total}", "{done} / {total}"),
    "create_series_failed": ("{failed} failed: {error}", "{failed} 张失败：{error}"),
    "create_series_resume": ("Go on", "继续"),
    "create_series_remove": ("Remove from this list", "从列表中移除"),
    "create_series_untitled": ("Batch", "批量"),
    "create_series_sheet": ("The whole grid", "整张对比图"),
}

FIELDS: dict[str, tuple[str, str]] = {
    "variation_strength": ("变体强度", "从这张图向另一个种子走多远"),
    "variation_seed": ("变体种子", "要靠近的种子；第 i 张使用变体种子 + i"),
    "auto_stop": ("稳定后停止", "画面不再变化时提前结束；结果可能略有不同"),
    "guidance_start": ("引导起点", "从总步数的哪个比例开始引导"),
    "guidance_end": ("引导终点", "到总步数的哪个比例为止；不引导的步更快"),
    "control": ("控制图", "它的形状会引导画面"),
    "control_net": ("ControlNet", "按其用途选择；留空：首个适合该模型的"),
    "control_preprocessor": (
        "预处理",
        "原样：已是控制图；边缘：提取轮廓；反相：用于白底深色线稿；去掉涂抹处：修复用",
    ),
    "control_scale": ("控制强度", "多大程度遵循形状"),
    "control_start": ("控制起点", "从总步数的哪个比例开始起作用"),
    "control_end": ("控制终点", "到总步数的哪个比例为止"),
    "styles": ("风格", "加在你的文字周围的词；可叠加"),
}
"""Chinese title and help of the fields that only this tab shows."""


def words() -> dict[str, tuple[str, str]]:
    """Return key -> (English, Chinese)."""
    return _WORDS
