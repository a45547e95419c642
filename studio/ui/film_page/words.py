"""The film strip's words: key -> (English, Chinese). `studio.ui.texts` puts them beside all others."""

from __future__ import annotations

WORDS: dict[str, tuple[str, str]] = {
    "film_title": ("Film", "过程"),
    "film_at": ("Step {step} of {total}", "第 {step} / {total} 步"),
    "film_enough": ("Good enough from step {step}", "第 {step} 步起已足够好"),
    "film_moving": ("Show what still moves", "标出仍在变化的部分"),
    "film_resting": ("{percent} % at rest", "{percent}% 已稳定"),
    "film_scrub": ("Step", "步骤"),
    "film_save": ("Save this frame", "保存此帧"),
    "film_fork": ("Fork from here …", "从此处分叉…"),
    "film_keep": ("Keep the film", "保留过程"),
    "film_saved": ("The frame of step {step} is in the gallery.", "第 {step} 步的画面已存入图库。"),
    "film_kept": (
        "The film is kept: the gallery opens it again with “Film”, even after a restart.",
        "过程已保留：在图库中点“过程”即可再次打开，重启后也可以。",
    ),
    "film_made": ("The timelapse is being downloaded.", "延时动画正在下载。"),
    "film_fork_go": ("Fork", "分叉"),
    "film_fork_close": ("Close", "关闭"),
    "film_fork_hint": (
        "Up to this step everything stays. Change what you like from here on; with nothing changed you get the same "
        "picture. A new seed takes another way from the picture as it stands.",
        "此步之前保持不变，之后可自由修改；不改任何设置则得到完全相同的图。新的种子会从当前画面走向另一种结果。",
    ),
    "film_part": ("Change only a part", "只改一部分"),
    "film_part_hint": ("Paint what may change; the rest keeps its way.", "涂抹可改变的部分，其余保持不变。"),
}
