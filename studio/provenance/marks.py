"""The optional marks together, as the settings ask for them; `studio.gallery.export.rendered` puts them on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PIL import Image

from studio.provenance.label import label
from studio.provenance.signature import Signer
from studio.provenance.watermark import embed
from studio.settings import Settings


@dataclass(frozen=True, slots=True)
class Marks:
    """What a picture gets on its way out, beside its XMP.

    Attributes:
        visible: The letters AI in a corner.
        invisible: The spread-spectrum mark.
        signer: Signs the file, if there is one.
    """

    visible: bool = False
    invisible: bool = False
    signer: Signer | None = None

    def drawn(self, image: Image.Image) -> Image.Image:
        """Return the picture with the marks that live in pixels; the invisible one last, over the label too."""
        if self.visible:
            image = label(image)
        return embed(image) if self.invisible else image

    def signed(self, data: bytes, media_type: str, settings: dict[str, Any]) -> bytes:
        """Return the file, signed if it should be; `settings` are of the request that made the picture."""
        return data if self.signer is None else self.signer.sign(data, media_type, settings)


NO_MARKS = Marks()


def marks_of(settings: Settings) -> Marks:
    """Return the marks that `settings` ask for.

    Raises:
        SettingsError: Signing is on, but its library is missing or its key cannot be used.
    """
    return Marks(
        visible=settings.visible_mark,
        invisible=settings.invisible_mark,
        signer=Signer.in_folder(settings.data_dir) if settings.content_credentials else None,
    )
