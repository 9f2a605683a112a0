"""What readers of spectra share: values that a file does not know, and binding energies."""

from __future__ import annotations

import math

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.measurement import FloatArray
from layerscope.measured.text import positive

__all__ = ["binding_energy", "known", "known_positive"]

UNKNOWN_VALUE = 1e37
"""ISO 14976 writes 1E37 for a value that is not known."""


def known(value: float) -> float | None:
    """Return the value, or None where the file says that it does not know it (1E37, NaN, infinite)."""
    return value if math.isfinite(value) and abs(value) < UNKNOWN_VALUE * 0.999 else None


def known_positive(value: float) -> float | None:
    """Return the value, or None where it is not known or not above zero."""
    return positive(known(value))


def binding_energy(raw: RawFile, where: str, label: str, axis: FloatArray, photon: float | None) -> FloatArray:
    """Return the binding energies of an axis that a file calls kinetic or binding, in eV, shape (n,).

    Raises
    ------
    ReaderError
        If the label says neither, or the energies are kinetic and the photon energy is not known; `where` names the
        part of the file.
    """
    if "binding" in label.lower():
        return np.array(axis)
    if "kinetic" not in label.lower():
        raise raw.error(f"{where}: the axis {label!r} is neither a kinetic nor a binding energy")
    if photon is None:
        raise raw.error(f"{where}: the energies are kinetic, and the excitation energy is not given")
    return np.asarray(photon - axis)
