"""The file formats of images, read by rosettasciio, and how an image is made ready for analysis."""

from __future__ import annotations

from layerscope.measured.formats import Formats

from .micrograph import MicrographRecording
from .ready import ImageOptions, read_image, ready_image

__all__ = ["FORMATS", "ImageOptions", "read_image", "ready_image"]

FORMATS: Formats[MicrographRecording] = Formats(
    __name__, ("dm", "emd", "hspy", "mrc", "tia", "tif", "picture", "vectors"), MicrographRecording, one_kind=False
)
