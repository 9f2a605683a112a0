"""EMD: of Velox (Thermo Fisher), and of the Berkeley laboratory."""

from __future__ import annotations

from layerscope.measured.files import RawFile
from layerscope.measured.rosetta import hdf_root

from ..adapter import load_spectra
from ..spectrum import SpectrumImage

__all__ = ["read", "sniff"]


def sniff(raw: RawFile) -> bool:
    """Tell by what is at the root of the HDF5 file."""
    return bool(hdf_root(raw) & {"version_major", "Data"})


def read(raw: RawFile) -> list[SpectrumImage]:
    """Read its spectra."""
    return load_spectra(raw, "emd")
