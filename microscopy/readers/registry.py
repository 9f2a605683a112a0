"""The file formats of images, one module each."""

from __future__ import annotations

from layerscope.measured.formats import Formats

from .micrograph import MicrographRecording

__all__ = ["FORMATS"]

FORMATS: Formats[MicrographRecording] = Formats(
    __name__.rpartition(".")[0],
    ("dm", "emd", "hspy", "mrc", "tia", "tif", "picture", "vectors"),
    MicrographRecording,
    one_kind=False,
)
