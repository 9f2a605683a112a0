"""What readers of spectra share: values that a file does not know."""

from __future__ import annotations

import math

__all__ = ["UNKNOWN_VALUE", "known", "positive"]

UNKNOWN_VALUE = 1e37
"""ISO 14976 writes 1E37 for a value that is not known."""


def known(value: float) -> float | None:
    """Return the value, or None where the file says that it does not know it (1E37, NaN, infinite)."""
    return value if math.isfinite(value) and abs(value) < UNKNOWN_VALUE * 0.999 else None


def positive(value: float | str | None) -> float | None:
    """Return a number, or the number in a text, or None where it is not known or not above zero."""
    try:
        found = known(float(value if value is not None else math.nan))
    except ValueError:
        return None
    return found if found is not None and found > 0 else None
