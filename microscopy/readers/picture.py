"""Pictures without a scale: .png, .jpg, .bmp."""

from __future__ import annotations

from layerscope.measured.files import RawFile

from .adapter import load_images
from .micrograph import Micrograph

__all__ = ["read", "sniff"]


def sniff(raw: RawFile) -> bool:
    """Tell by their first bytes."""
    return raw.data.startswith((b"\x89PNG\r\n", b"\xff\xd8\xff", b"BM"))


def read(raw: RawFile) -> list[Micrograph]:
    """Read its images."""
    return load_images(raw, "image")
