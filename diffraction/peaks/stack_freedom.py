"""How far the instrument's line and the order of a mixed stack may differ from their formulas: a few smooth functions.

No instrument shows a pseudo-Voigt, and no electrode orders its layers by two probabilities. What is left beside the
formulas is common to all frames of a series, and a series tells much of it. Both are therefore multiplied by ``1 +
sum_k a_k phi_k``, with phi_k the first functions of the Karhunen-Loeve expansion of a smooth random function of
standard deviation 1 and the a_k known beforehand to be 0 within an amplitude. Neither makes intensity: the net area of
what is added is taken out.

References
----------
Kennedy, M. C. & O'Hagan, A. (2001). J. R. Stat. Soc. B 63, 425-464. doi:10.1111/1467-9868.00294 (discrepancy)
"""

from __future__ import annotations

import numpy as np

from ..radiation import FloatArray

__all__ = ["LINE_TERMS", "MIXED_TERMS", "line_terms", "mixed_terms"]

LINE_TERMS, LINE_LENGTH = 10, 0.8
"""Functions beside the instrument's line, and how far they keep their sign, in the scale of `line_terms`."""

MIXED_TERMS, MIXED_LENGTH, MIXED_RANGE = 6, 0.3, (-0.6, 1.6)
"""Of the mixed stack, in units of the way from the filled line to the alternating one."""


def _smooth(x: FloatArray, length: float, terms: int) -> FloatArray:
    """Return the first functions of a random function at places of equal weight, shape (n, terms)."""
    value, vector = np.linalg.eigh(np.exp(-0.5 * ((x[:, None] - x) / length) ** 2))
    found: FloatArray = vector[:, : -terms - 1 : -1] * np.sqrt(value[: -terms - 1 : -1])
    return found * np.where(found.sum(axis=0) < 0, -1.0, 1.0)


def line_terms(offset: FloatArray, width: float) -> FloatArray:
    """Return the functions beside a line, shape (n, LINE_TERMS), at some distances from it (degrees).

    They are smooth in asinh(distance / half width): fine in the core, wide in the tails.
    """
    scaled = np.arcsinh(offset / (0.5 * width))
    knots = np.linspace(-4.5, 4.5, 181)
    functions = _smooth(knots, LINE_LENGTH, LINE_TERMS)
    return np.stack([np.interp(scaled, knots, f) for f in functions.T], axis=1)


def mixed_terms(way: FloatArray) -> FloatArray:
    """Return the functions beside a mixed stack, shape (..., MIXED_TERMS), 0 at the filled line and 1 at the other."""
    knots = np.linspace(*MIXED_RANGE, 111)
    functions = _smooth(knots, MIXED_LENGTH, MIXED_TERMS)
    return np.stack([np.interp(way, knots, f) for f in functions.T], axis=-1)
