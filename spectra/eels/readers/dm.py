"""DigitalMicrograph (Gatan), .dm3 and .dm4."""

from __future__ import annotations

from layerscope.measured.files import RawFile

from ..adapter import load_spectra
from ..spectrum import SpectrumImage

__all__ = ["read", "sniff"]


def sniff(raw: RawFile) -> bool:
    """Tell by version and byte order, with which such a file begins."""
    head = raw.data[:12]
    version = int.from_bytes(head[:4], "big")
    order = head[8:12] if version == 3 else raw.data[12:16]
    return version in (3, 4) and order in (b"\0\0\0\0", b"\0\0\0\1")


def read(raw: RawFile) -> list[SpectrumImage]:
    """Read its spectra."""
    return load_spectra(raw, "digitalmicrograph")
