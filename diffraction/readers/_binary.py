"""Fields of binary files, little-endian, each with an error that says where a file ends too early."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from layerscope.measured.files import RawFile

__all__ = ["field", "rounded", "text"]


def field(raw: RawFile, layout: str, offset: int, what: str) -> Any:
    """Return one value of a `struct` layout at a byte; a ReaderError where the file ends before it."""
    size = struct.calcsize(f"<{layout}")
    if offset < 0 or offset + size > raw.size:
        raise raw.error(f"the file ends at byte {raw.size}, before the {what} at byte {offset}", hint="it is cut off")
    return struct.unpack_from(f"<{layout}", raw.data, offset)[0]


def text(raw: RawFile, offset: int, length: int, what: str) -> str:
    """Return a text of fixed length, up to the first zero."""
    value = field(raw, f"{length}s", offset, what)
    return bytes(value).split(b"\0")[0].decode("cp1252", errors="replace").strip()


def rounded(value: float) -> float:
    """Undo the noise of a number stored in 32 bits: 0.03 and not 0.029999999329."""
    return float(str(np.float32(value)))
