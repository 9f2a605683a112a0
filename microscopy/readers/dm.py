"""DigitalMicrograph (Gatan), .dm3 and .dm4."""

from __future__ import annotations

from layerscope.measured.files import RawFile
from layerscope.measured.rosetta import is_digital_micrograph

from .adapter import load_images
from .micrograph import Micrograph

__all__ = ["read", "sniff"]


def sniff(raw: RawFile) -> bool:
    """Tell by version and byte order, with which such a file begins."""
    return is_digital_micrograph(raw)


def read(raw: RawFile) -> list[Micrograph]:
    """Read its images."""
    return load_images(raw, "digitalmicrograph")
