"""The pages in front of the gate, in the visitor's language: ask for the passphrase, or say where the key is.

They stand alone: no script or style from anywhere, not even from the studio behind the gate. A passphrase in the
address's fragment (`#...`, which browsers never send) is typed in by the page: that is what invitations and QR
codes carry.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from string import Template
from typing import Literal, TypeAlias

Language: TypeAlias = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class Wording:
    """What an entry page says, in one language; `wait` has {seconds}, `refused` a sentence for each reason."""

    title: str
    lines: tuple[str, ...]
    secret: str
    button: str
    wrong: str
    wait: str
    refused: Mapping[str, str] = field(default_factory=dict)


GUEST: dict[Language, Wording] = {
    "en": Wording(
        title="You are invited",
        lines=(
            "Enter the passphrase you were given, and make pictures.",
            "Other guests do not see what you make. The studio's owner can.",
        ),
        secret="Passphrase",
        button="Enter",
        wrong="That is not the passphrase.",
        wait="Too many tries. Wait {seconds} s, then try again.",
        refused={
            "full": "The studio is full. Come back in an hour.",
            "over": "This invitation has ended. Ask for a new one.",
        },
    ),
    "zh": Wording(
        title="欢迎来创作",
        lines=("输入收到的口令，即可开始作画。", "其他访客看不到你的作品，但工作室的主人可以看到。"),
        secret="口令",
        button="进入",
        wrong="口令不对。",
        wait="尝试次数过多，请等待 {seconds} 秒后再试。",
        refused={"full": "访客已满，请一小时后再来。", "over": "这次邀请已经结束，请索取新的邀请。"},
    ),
}
OWNER: dict[Language, Wording] = {
    "en": Wording(
        title="This studio needs its key",
        lines=(
            "Open the link that the terminal printed when the studio started: it ends with ?\u2060token=… and lets "
            "this browser in for a year.",
            "Terminal closed? Start the studio again; it opens the page by itself. Or paste the key from the file "
            "owner.token in the studio's data folder:",
        ),
        secret="Key",
        button="Open the studio",
        wrong="That is not this studio's key.",
        wait="Too many tries. Wait {seconds} s, then try again.",
    ),
    "zh": Wording(
        title="需要工作室的密钥",
        lines=(
            "请打开启动时终端里显示的链接：它以 ?\u2060token=… 结尾，打开后此浏览器一年内无需再次验证。",
            "终端已关闭？重新启动工作室会自动打开页面；也可以粘贴数据文件夹中 owner.token 文件里的密钥：",
        ),
        secret="密钥",
        button="打开工作室",
        wrong="这不是本工作室的密钥。",
        wait="尝试次数过多，请等待 {seconds} 秒后再试。",
    ),
}


def language_of(accepted: str) -> Language:
    """Return the first language of an Accept-Language header that there are texts for."""
    for part in accepted.lower().split(","):
        name = part.split(";")[0].strip()
        if name.startswith("zh"):
            return "zh"
        if name.startswith("en"):
            return "en"
    return "en"


def entry_page(wording: Wording, language: Language, *, problem: str = "", nonce: str) -> str:
    """Return an entry page's HTML; `nonce` is what its style and script are allowed by."""
    text = (files("studio.sharing") / "entry.html").read_text(encoding="utf-8")
    return Template(text).substitute(
        language=language,
        nonce=nonce,
        title=html.escape(wording.title),
        lines="".join(f"<p>{html.escape(line)}</p>" for line in wording.lines),
        secret=html.escape(wording.secret),
        button=html.escape(wording.button),
        problem=html.escape(problem),
    )


def entry_policy(nonce: str) -> str:
    """Return the content security policy of an entry page: nothing but itself."""
    return (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; form-action 'self'; "
        "img-src data:; frame-ancestors 'none'; base-uri 'none'"
    )
