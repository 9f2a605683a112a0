"""HyperSpy's .hspy."""

from __future__ import annotations

from layerscope.measured.files import RawFile
from layerscope.measured.rosetta import hdf_root

from ..adapter import load_spectra
from ..spectrum import SpectrumImage

__all__ = ["read", "sniff"]


def sniff(raw: RawFile) -> bool:
    """Tell by what is at the root of the HDF5 file."""
    return "Experiments" in hdf_root(raw)


def read(raw: RawFile) -> list[SpectrumImage]:
    """Read its spectra."""
    return load_spectra(raw, "hspy")
