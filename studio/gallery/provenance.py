"""The machine-readable mark that a picture was made with AI: XMP with IPTC's digitalSourceType, always on.

Sources: IPTC Photo Metadata Standard 2025.1 (Digital Source Type, AI System Used); the NewsCodes vocabulary
http://cv.iptc.org/newscodes/digitalsourcetype/; XMP specification part 3 (where it lies in PNG, JPEG, WebP).
"""

from __future__ import annotations

import re
from typing import Any
from xml.sax.saxutils import escape, quoteattr, unescape

from studio import __version__

SOFTWARE = f"Tessera Studio {__version__}"
TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"

RECIPE_NAMESPACE = "urn:tessera-studio:recipe:1"

_QUOTE = {'"': "&quot;"}
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmp:CreatorTool={software} Iptc4xmpExt:DigitalSourceType={source} Iptc4xmpExt:AISystemUsed={system}{recipe}/>
</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def digital_source_type(settings: dict[str, Any]) -> str:
    """Return COMPOSITE for a picture made from another picture, TRAINED for one made from words or codes alone."""
    return COMPOSITE if any(settings.get(name) for name in ("source", "content", "references")) else TRAINED


def xmp(settings: dict[str, Any], *, recipe: str = "") -> str:
    """Return the XMP packet for a picture made with `settings` (a request's values; only its model is named).

    `recipe` (JSON) goes in as well where it is given: JPEG and WebP have no text chunks.
    """
    model = settings.get("model")
    system = f"{SOFTWARE}, model {model}" if isinstance(model, str) and model else SOFTWARE
    printable = "".join(c for c in system if c.isprintable())[:300]
    return _PACKET.format(
        software=quoteattr(SOFTWARE),
        source=quoteattr(digital_source_type(settings)),
        system=quoteattr(printable),
        recipe=f' xmlns:tessera="{RECIPE_NAMESPACE}" tessera:recipe="{escape(recipe, _QUOTE)}"' if recipe else "",
    )


def recipe_in(packet: str) -> str:
    """Return the recipe (JSON) that `xmp` put into a packet, or ""."""
    found = re.search(r'tessera:recipe="([^"]*)"', packet)
    return unescape(found[1], {entity: letter for letter, entity in _QUOTE.items()}) if found else ""
