"""Saying that a picture was made with AI, beyond the XMP mark that is always on (`studio.gallery.provenance`).

Optional by setting, and put on what leaves the studio: a signature (C2PA Content Credentials), an invisible mark, a
visible one. The gallery's own files keep their exact pixels.
"""
