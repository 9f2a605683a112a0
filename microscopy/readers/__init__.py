"""The file formats of images, read by rosettasciio, and how an image is made ready for analysis."""

from __future__ import annotations

from .ready import ImageOptions, read_image, ready_image
from .registry import FORMATS

__all__ = ["FORMATS", "ImageOptions", "read_image", "ready_image"]
