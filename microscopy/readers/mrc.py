"""MRC (CCP4), of which the pixel size is that of the cell over its grid."""

from __future__ import annotations

import struct

from layerscope.measured.files import RawFile

from .adapter import load_images
from .micrograph import Micrograph

__all__ = ["read", "sniff"]

_HEAD = 1024
_BYTES = {0: 1, 1: 2, 2: 4, 6: 2, 12: 2}
"""Bytes a pixel of the modes that hold real numbers."""


def sniff(raw: RawFile) -> bool:
    """Tell by its word, which stands at byte 208."""
    return len(raw.data) >= _HEAD and raw.data[208:211] == b"MAP"


def read(raw: RawFile) -> list[Micrograph]:
    """Read its images, after making sure that the file is as long as it declares.

    Raises
    ------
    ReaderError
        If it is not, or holds complex numbers.
    """
    nx, ny, nz, mode = struct.unpack_from("<4i", raw.data)
    (extended,) = struct.unpack_from("<i", raw.data, 92)
    if mode not in _BYTES or min(nx, ny, nz) < 1:
        raise raw.error(f"{nx} x {ny} x {nz} values of mode {mode} are no image", hint="big-endian, or a transform?")
    needed = _HEAD + extended + nx * ny * nz * _BYTES[mode]
    if raw.size < needed:
        raise raw.error(f"{needed} bytes are declared, {raw.size} are there", hint="was the file cut short?")
    return load_images(raw, "mrc")
