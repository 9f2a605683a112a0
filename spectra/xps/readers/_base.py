"""What readers of spectra share: values that a file does not know, and the sorted axis."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..dataset import FloatArray

__all__ = ["READER_VERSION", "UNKNOWN_VALUE", "known", "rising_order"]

READER_VERSION = "1"
"""Raised whenever a reader returns something else for the same bytes, so that old records stay distinguishable."""

UNKNOWN_VALUE = 1e37
"""ISO 14976 writes 1E37 for a value that is not known."""


def known(value: float) -> float | None:
    """Return the value, or None where the file says that it does not know it (1E37, NaN, infinite)."""
    return value if math.isfinite(value) and abs(value) < UNKNOWN_VALUE * 0.999 else None


def rising_order(energy: FloatArray) -> NDArray[np.intp]:
    """Return the indices that order an axis by rising energy, shape (n,); equal energies keep their order."""
    return np.argsort(energy, kind="stable")
