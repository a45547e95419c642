"""The words of sharing, in English and Chinese."""

from __future__ import annotations

WORDS: dict[str, tuple[str, str]] = {
    "tab_own_pictures": ("Yours", "我的作品"),
    "share": ("Share", "分享"),
    "share_title": ("Let others in", "邀请他人"),
    "share_intro": (
        "Guests make pictures on this computer, from their own browser. They see their own pictures only; models, "
        "training, settings and deletion are not there for them.",
        "访客通过自己的浏览器在这台电脑上作画。他们只能看到自己的作品，不能使用模型管理、训练、设置和删除功能。",
    ),
    "share_public": ("Public link", "公开链接"),
    "share_public_hint": (
        "For anybody, anywhere. It passes a relay of Gradio's makers, who could read along.",
        "任何地方都能访问。数据经由 Gradio 官方的中继服务器，其运营者可能看到内容。",
    ),
    "share_network": ("Local network", "局域网"),
    "share_network_hint": ("For devices in the same Wi-Fi or house.", "供同一 Wi-Fi 或局域网内的设备使用。"),
    "share_local": ("This machine only", "仅限本机"),
    "share_opening": ("Opening …", "正在开启…"),
    "share_on": ("Shared", "分享中"),
    "share_nobody": ("nobody is here", "暂无访客"),
    "share_one": ("1 guest is here", "1 位访客在线"),
    "share_some": ("{count} guests are here", "{count} 位访客在线"),
    "share_ends_hours": ("ends in {hours} h {minutes} min", "{hours} 小时 {minutes} 分钟后结束"),
    "share_ends_minutes": ("ends in {minutes} min", "{minutes} 分钟后结束"),
    "share_manage": ("Show", "查看"),
    "share_passphrase": ("Passphrase", "口令"),
    "share_copy": ("Copy", "复制"),
    "share_copied": ("Copied", "已复制"),
    "share_invitation": ("Copy invitation", "复制邀请"),
    "share_invitation_hint": ("The link with the passphrase inside", "包含口令的链接"),
    "share_qr": ("QR code of the invitation", "邀请二维码"),
    "share_also_public": ("Make a public link too", "同时创建公开链接"),
    "share_also_network": ("Also in the local network", "同时在局域网开放"),
    "share_guests": ("Guests", "访客"),
    "share_guests_none": ("Nobody has come yet.", "还没有人加入。"),
    "share_guest": ("Guest {number}", "访客 {number}"),
    "share_guest_here": ("here", "在线"),
    "share_guest_away": ("away", "离开"),
    "share_guest_since": ("for {minutes} min", "已 {minutes} 分钟"),
    "share_job_running": ("now: {prompt}", "正在生成：{prompt}"),
    "share_job_waiting": ("waiting: {prompt}", "排队中：{prompt}"),
    "share_job_untitled": ("a picture", "一张图片"),
    "share_end_guest": ("End", "移出"),
    "share_end": ("End the share", "结束分享"),
    "share_end_sure": ("Everybody out?", "确定让所有人离开？"),
    "share_shows": ("Gallery links", "图库链接"),
    "share_shows_hint": (
        "Read-only: who has the link sees and downloads the pictures of one collection, nothing else, "
        "without the passphrase.",
        "只读：持有链接的人无需口令即可查看并下载某个收藏集中的图片，除此之外什么都不能做。",
    ),
    "share_shows_none": (
        "Put pictures into a collection in the gallery, then make a link to it here.",
        "先在图库中把图片放入收藏集，再到这里创建链接。",
    ),
    "share_show_make": ("Make a link", "创建链接"),
    "share_show_remove": ("Remove", "移除"),
    "share_show_closed": ("works while the studio is shared", "仅在分享期间有效"),
    "share_show_recipes": ("with prompts", "包含提示词"),
    "guest_notice": (
        "You are a guest here. Other guests do not see what you make; the studio's owner can.",
        "你是这里的访客。其他访客看不到你的作品，但工作室的主人可以看到。",
    ),
    "own_empty": ("Nothing here yet", "这里还没有作品"),
    "own_empty_hint": (
        "What you make appears here, and you can save it. Others do not see it.",
        "你生成的作品会显示在这里，可以保存下来，其他访客看不到。",
    ),
    "own_save": ("Save", "保存"),
    "own_save_hint": (
        "Saved files say that they were made with AI; they do not say who made them, where, or with which words.",
        "保存的文件会注明由 AI 生成，但不包含作者、地点和提示词。",
    ),
}
