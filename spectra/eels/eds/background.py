"""The background under lines of X-rays: smooth curves, wider than any line, of which the data choose the sum.

Bremsstrahlung follows Kramers' law, bent by absorption in sample, window and detector. Both are smooth on the scale of
a line, and cubic splines whose knots lie several widths apart follow them without following a line. How far apart, and
where, is a matter of choice: every choice is a member of an ensemble. Splines alone, and splines times Kramers' law,
are two laws whose difference is the part of the error that is called ``background``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from .lines import Detector

__all__ = ["LAWS", "kramers", "splines"]

FloatArray = NDArray[np.float64]

LAWS = ("splines", "Kramers")
WIDTHS, SHARE = 3.0, 0.3
"""Distance of two knots: so many widths of a line, or this share of the energy, whichever is more."""
_DEGREE = 3


def splines(energy: FloatArray, detector: Detector, spacing: float, phase: float) -> FloatArray:
    """Return cubic splines, shape (n, p).

    Parameters
    ----------
    energy : ndarray, shape (n,)
        Middles of the channels, eV.
    detector : Detector
    spacing : float
        Factor on the distance of the knots.
    phase : float
        By which share of their distance they are moved, 0 to 1.
    """
    step = np.maximum(WIDTHS * detector.fwhm(energy), SHARE * energy)
    u = np.concatenate([[0.0], np.cumsum(np.diff(energy) / (0.5 * (step[1:] + step[:-1])))]) / spacing
    inner = np.arange(np.floor(-phase) + phase, u[-1] + 1.0)
    inner = inner[(inner > 0.3) & (inner < u[-1] - 0.3)]
    ends = np.repeat([u[0], u[-1] + 1e-9], _DEGREE + 1)
    knots = np.concatenate([ends[: _DEGREE + 1], inner, ends[_DEGREE + 1 :]])
    return np.asarray(BSpline.design_matrix(u, knots, _DEGREE).toarray())


def kramers(energy: FloatArray, beam_eV: float) -> FloatArray:
    """Return Kramers' law, (E0 - E) / E, shape (n,); flat above the energy of the beam."""
    law = np.maximum(beam_eV - energy, 0.01 * beam_eV) / energy
    return np.asarray(law / law.mean())
