"""What guests may not ask for, and the hook for a filter of the pictures they get.

The prompt check is always on for guests and cannot be switched: nothing that puts minors and sex together is made
for strangers. A picture filter is the owner's choice, since each comes with weights and judgements of its own: the
setting `guest_filter` names a function, and a guest's picture it objects to is stored and shown blurred, with the
reason; guests then see no previews, which come before it. A filter that fails lets nothing through.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeAlias

from PIL import Image, ImageFilter

from studio.errors import InvalidRequest, SettingsError
from studio.events import Event, Finished, Step
from studio.jobs import Job, Record
from studio.requests import Request
from studio.sharing.visitors import is_guest

logger = logging.getLogger(__name__)

PictureFilter: TypeAlias = Callable[[Image.Image, Request], str]
"""Returns why a picture should not be shown, in a few words for the guest, or ""."""

_MINORS = re.compile(
    r"\b(?:child(?:ren)?|kids?|minors?|toddlers?|bab(?:y|ies)|infants?|(?:pre)?teens?|teenagers?|underage"
    r"|school ?(?:girl|boy)s?|lolis?|lolita|shota|(?:little|young) (?:girl|boy)s?"
    r"|(?:1[0-7]|\d) ?(?:yo|y/o|years? old))\b"
    r"|儿童|孩子|小孩|幼女|幼童|未成年|少女|萝莉|正太|小学生|中学生",
    re.IGNORECASE,
)
_SEXUAL = re.compile(
    r"\b(?:nudes?|nudity|naked|topless|undressed|unclothed|nsfw|sex\w*|porn\w*|erotic\w*|hentai|lewd|lingerie|genitals?|penis"
    r"|vagina|breasts?|nipples?|fetish\w*|bdsm|orgasm\w*|masturbat\w*)\b"
    r"|裸|色情|性交|性爱|情色|淫|露点|内衣",
    re.IGNORECASE,
)
_BLUR = 0.06  # of the shorter side: nothing can be made out


def check_prompt(request: Request, guest: str) -> None:
    """Raise InvalidRequest for a prompt that nobody makes for a guest; the log keeps a hash of it, not the words."""
    prompt = str(getattr(request, "prompt", ""))
    if _MINORS.search(prompt) and _SEXUAL.search(prompt):
        logger.warning("a guest's prompt was refused (SHA-256 %s)", hashlib.sha256(prompt.encode()).hexdigest())
        raise InvalidRequest("This is not made here.", "Describe something else.", field="prompt")


def load_filter(name: str) -> PictureFilter | None:
    """Return the function that the setting `guest_filter` names ("module:function"), or None for "".

    Raises:
        SettingsError: There is no such module or function.
    """
    if not name:
        return None
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise SettingsError(
            f'The guest filter "{name}" cannot be loaded: {error}.', "Install it, or unset it."
        ) from error
    if not callable(found):
        raise SettingsError(f'The guest filter "{name}" is not a function.', "Name one as module:function.")
    return found  # type: ignore[no-any-return]


def filtered(record: Record, objects: PictureFilter | None) -> Record:
    """Return `record` so that guests' pictures pass the filter before they are stored or shown."""
    if objects is None:
        return record

    def checked(job: Job, finished: Finished) -> Finished:
        if not is_guest(job.owner):
            return record(job, finished)
        reasons = [objects(image, job.request) for image in finished.images]
        if not any(reasons):
            return record(job, finished)
        images = tuple(_blurred(it) if why else it for it, why in zip(finished.images, reasons, strict=True))
        notes = tuple(f"A picture was blurred: {why.rstrip('.')}." for why in dict.fromkeys(filter(None, reasons)))
        unseen = replace(finished, images=images, notes=(*finished.notes, *notes), extras={})  # no film of it either
        return record(job, unseen)

    return checked


class WithoutPreviews:
    """A job whose steps show nothing: what a filter will look at is not seen before it has.

    Args:
        job: The job; everything but its steps is the same.
    """

    def __init__(self, job: Job) -> None:
        self._job = job

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job, name)

    def events(self, *, timeout_seconds: float | None = None) -> Iterator[Event]:
        """Yield the job's events; see Job.events."""
        yield from map(_unseen, self._job.events(timeout_seconds=timeout_seconds))

    async def stream(self) -> AsyncGenerator[Event, None]:
        """Yield the job's events; see Job.stream."""
        async with aclosing(self._job.stream()) as events:
            async for event in events:
                yield _unseen(event)


def _unseen(event: Event) -> Event:
    return replace(event, preview=None) if isinstance(event, Step) else event


def _blurred(image: Image.Image) -> Image.Image:
    plain = image.convert("RGB")
    small = plain.resize((max(1, plain.width // 16), max(1, plain.height // 16)), Image.Resampling.BOX)
    soft = small.resize(plain.size, Image.Resampling.BICUBIC)
    return soft.filter(ImageFilter.GaussianBlur(_BLUR * min(plain.size)))
