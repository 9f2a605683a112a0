"""Bruker's .bcf: maps of X-ray spectra."""

from __future__ import annotations

from layerscope.measured.files import RawFile

from ..adapter import load_spectra
from ..spectrum import SpectrumImage

__all__ = ["read", "sniff"]


def sniff(raw: RawFile) -> bool:
    """Tell by the name of its container."""
    return raw.data.startswith(b"AAMVHFSS")


def read(raw: RawFile) -> list[SpectrumImage]:
    """Read its spectra."""
    return load_spectra(raw, "bruker")
