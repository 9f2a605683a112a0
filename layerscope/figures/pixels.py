"""Pixels as PNG, quickly: each row as its difference to the one above, packed with little effort.

Pages are mostly white and repeat from row to row, so that this one filter does as well as a choice for every row, which
is what image libraries spend their time on.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["packed", "png", "without_colour"]

Pixels = NDArray[np.uint8]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KINDS = {1: 0, 3: 2, 4: 6}
"""Values a pixel to PNG's number for their meaning: grey, colour, colour with opacity."""
_UP = 2
"""PNG's number for the filter that subtracts the row above."""
_EFFORT = 3
_METRES_PER_INCH = 0.0254


def without_colour(pixels: Pixels) -> Pixels:
    """Return pixels of shape (rows, columns, 3) with one value each, shape (rows, columns, 1), where all are grey."""
    red = pixels[..., :1]
    return red if np.array_equal(pixels, np.broadcast_to(red, pixels.shape)) else pixels


def packed(pixels: Pixels) -> bytes:
    """Return the rows of an image as PNG and PDF store them.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (rows, columns, values)

    Returns
    -------
    bytes
        A zlib stream of filtered rows: W3C, *Portable Network Graphics*, sections 9 and 10.
    """
    rows = np.ascontiguousarray(pixels).reshape(pixels.shape[0], -1)
    filtered = np.empty((rows.shape[0], rows.shape[1] + 1), dtype=np.uint8)
    filtered[:, 0] = _UP
    filtered[:1, 1:] = rows[:1]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])  # modulo 256, as the format asks
    return zlib.compress(filtered.data, _EFFORT)


def png(pixels: Pixels, words: Mapping[str, str] | None = None, dpi: float | None = None) -> bytes:
    """Return an image as a PNG file.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (rows, columns, values)
        Grey (1), red, green and blue (3), or those and opacity (4).
    words : mapping of str to str, optional
        Keywords and texts for its header.
    dpi : float, optional
        Pixels an inch.

    Returns
    -------
    bytes
    """
    height, width, values = pixels.shape
    chunks = [(b"IHDR", struct.pack(">2I5B", width, height, 8, _KINDS[values], 0, 0, 0))]
    if dpi is not None:
        chunks.append((b"pHYs", struct.pack(">2IB", *2 * [round(dpi / _METRES_PER_INCH)], 1)))
    chunks += [_text(key, text) for key, text in (words or {}).items()]
    chunks += [(b"IDAT", packed(pixels)), (b"IEND", b"")]
    parts = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return _SIGNATURE + b"".join(parts)


def _text(key: str, text: str) -> tuple[bytes, bytes]:
    """Return a text as a chunk: in Latin letters where they do, else in UTF-8, which fewer programs show."""
    keyword = key.encode("latin-1") + b"\0"
    try:
        return b"tEXt", keyword + text.encode("latin-1")
    except UnicodeEncodeError:
        return b"iTXt", keyword + b"\0\0\0\0" + text.encode()
