"""The file formats of the microscope, all read by rosettasciio."""

from __future__ import annotations

from layerscope.measured.formats import Formats

from ..spectrum import SpectrumRecording

__all__ = ["FORMATS"]

FORMATS: Formats[SpectrumRecording] = Formats(
    __name__, ("msa", "dm", "emd", "bcf", "hspy"), SpectrumRecording, one_kind=False
)
