"""Text of instruments and its numbers: decoded by what the bytes say, parsed without guessing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["decode", "number", "numbers"]


def decode(data: bytes) -> str:
    """Decode text as UTF-8 or UTF-16 by its mark, as plain UTF-8, or else as Windows-1252, which vendors write."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def number(text: str | None) -> float | None:
    """Return a finite number, or None if the text is none."""
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def numbers(texts: Sequence[str]) -> NDArray[np.float64]:
    """Convert texts to float64, shape (n,).

    Raises
    ------
    ValueError
        If one of them is not a number; ``nan`` and ``inf`` are numbers here, and the checks of a dataset refuse them.
    """
    try:
        return np.array(texts, dtype=np.float64)
    except ValueError:
        for index, text in enumerate(texts):
            try:
                float(text)
            except ValueError:
                raise ValueError(f"value {index + 1} is {text.strip()[:40]!r}, not a number") from None
        raise
