"""TIFF, of ImageJ, DigitalMicrograph, Olympus and others."""

from __future__ import annotations

from layerscope.measured.files import RawFile

from .adapter import load_images
from .micrograph import Micrograph

__all__ = ["read", "sniff"]


def sniff(raw: RawFile) -> bool:
    """Tell by byte order and number."""
    return raw.data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read(raw: RawFile) -> list[Micrograph]:
    """Read its images."""
    return load_images(raw, "tiff")
